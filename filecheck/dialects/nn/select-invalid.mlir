// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @no_broadcast(%c: tensor<2xi1>, %a: tensor<3xf32>, %b: tensor<3xf32>) -> tensor<3xf32> {
  // C1 of nn.select
  // expected-error @+1 {{[2], [3] and [3] do not broadcast to [3]}}
  %y = nn.select %c, %a, %b : (tensor<2xi1>, tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  func.return %y : tensor<3xf32>
}

// -----

func.func @number_as_condition(%c: tensor<2xi8>, %a: tensor<2xf32>, %b: tensor<2xf32>) -> tensor<2xf32> {
  // C2 of nn.select
  // expected-error @+1 {{the condition must be i1, the others one float or integer type}}
  %y = nn.select %c, %a, %b : (tensor<2xi8>, tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

func.func @mixed_types(%c: tensor<2xi1>, %a: tensor<2xf32>, %b: tensor<2xf16>) -> tensor<2xf32> {
  // C2 of nn.select
  // expected-error @+1 {{the condition must be i1, the others one float or integer type}}
  %y = nn.select %c, %a, %b : (tensor<2xi1>, tensor<2xf32>, tensor<2xf16>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

func.func @other_parameters(%c: tensor<2xi1>, %a: tensor<2x!quant.uniform<i8:f32, 0.5>>, %b: tensor<2x!quant.uniform<i8:f32, 0.25>>) -> tensor<2x!quant.uniform<i8:f32, 0.5>> {
  // C2 of nn.select
  // expected-error @+1 {{the others one float or integer type or quantized with the same parameters}}
  %y = nn.select %c, %a, %b : (tensor<2xi1>, tensor<2x!quant.uniform<i8:f32, 0.5>>, tensor<2x!quant.uniform<i8:f32, 0.25>>) -> tensor<2x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<2x!quant.uniform<i8:f32, 0.5>>
}

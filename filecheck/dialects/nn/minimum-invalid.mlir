// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @no_broadcast(%a: tensor<2x3xf32>, %b: tensor<2xf32>) -> tensor<2x3xf32> {
  // C1 of nn.minimum
  // expected-error @+1 {{[2, 3] and [2] do not broadcast to [2, 3]}}
  %y = nn.minimum %a, %b : (tensor<2x3xf32>, tensor<2xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

// -----

func.func @result_shape(%a: tensor<2x1xf32>, %b: tensor<3xf32>) -> tensor<2x1xf32> {
  // C1 of nn.minimum
  // expected-error @+1 {{[2, 1] and [3] do not broadcast to [2, 1]}}
  %y = nn.minimum %a, %b : (tensor<2x1xf32>, tensor<3xf32>) -> tensor<2x1xf32>
  func.return %y : tensor<2x1xf32>
}

// -----

func.func @mixed_floats(%a: tensor<2xf32>, %b: tensor<2xf16>) -> tensor<2xf32> {
  // C2 of nn.minimum
  // expected-error @+1 {{operands and result must have one float type}}
  %y = nn.minimum %a, %b : (tensor<2xf32>, tensor<2xf16>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

func.func @integers(%a: tensor<2xi32>, %b: tensor<2xi32>) -> tensor<2xi32> {
  // C2 of nn.minimum
  // expected-error @+1 {{operands and result must have one float type}}
  %y = nn.minimum %a, %b : (tensor<2xi32>, tensor<2xi32>) -> tensor<2xi32>
  func.return %y : tensor<2xi32>
}

// -----

func.func @mixed(%a: tensor<2x!quant.uniform<i8:f32, 0.5>>, %b: tensor<2xf32>) -> tensor<2x!quant.uniform<i8:f32, 0.5>> {
  // C2 of nn.minimum
  // expected-error @+1 {{operands and result must have one float type or all be quantized per tensor}}
  %y = nn.minimum %a, %b : (tensor<2x!quant.uniform<i8:f32, 0.5>>, tensor<2xf32>) -> tensor<2x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<2x!quant.uniform<i8:f32, 0.5>>
}

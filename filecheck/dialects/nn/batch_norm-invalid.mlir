// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @shape(%x: tensor<2x3xf32>, %s: tensor<3xf32>, %o: tensor<3xf32>, %m: tensor<3xf32>, %v: tensor<3xf32>) -> tensor<3x3xf32> {
  // C1 of nn.batch_norm
  // expected-error @+1 {{input and result must have one shape of rank 1 or more and one float type}}
  %y = nn.batch_norm %x scale %s offset %o mean %m variance %v epsilon 1.000000e-05 : f64 : (tensor<2x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<3x3xf32>
  func.return %y : tensor<3x3xf32>
}

// -----

func.func @scalar(%x: tensor<f32>, %s: tensor<1xf32>, %o: tensor<1xf32>, %m: tensor<1xf32>, %v: tensor<1xf32>) -> tensor<f32> {
  // C1 of nn.batch_norm
  // expected-error @+1 {{input and result must have one shape of rank 1 or more and one float type}}
  %y = nn.batch_norm %x scale %s offset %o mean %m variance %v epsilon 1.000000e-05 : f64 : (tensor<f32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<f32>
  func.return %y : tensor<f32>
}

// -----

func.func @quantized(%x: tensor<2x3x!quant.uniform<i8:f32, 0.5>>, %s: tensor<3xf32>, %o: tensor<3xf32>, %m: tensor<3xf32>, %v: tensor<3xf32>) -> tensor<2x3x!quant.uniform<i8:f32, 0.5>> {
  // C1 of nn.batch_norm
  // expected-error @+1 {{input and result must have one shape of rank 1 or more and one float type}}
  %y = nn.batch_norm %x scale %s offset %o mean %m variance %v epsilon 1.000000e-05 : f64 : (tensor<2x3x!quant.uniform<i8:f32, 0.5>>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<2x3x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<2x3x!quant.uniform<i8:f32, 0.5>>
}

// -----

func.func @channels(%x: tensor<2x3xf32>, %s: tensor<3xf32>, %o: tensor<3xf32>, %m: tensor<4xf32>, %v: tensor<3xf32>) -> tensor<2x3xf32> {
  // C2 of nn.batch_norm
  // expected-error @+1 {{parameters must be tensor<3xf32>, got tensor<4xf32>}}
  %y = nn.batch_norm %x scale %s offset %o mean %m variance %v epsilon 1.000000e-05 : f64 : (tensor<2x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<4xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

// -----

func.func @element_type(%x: tensor<2x3xf32>, %s: tensor<3xf32>, %o: tensor<3xf32>, %m: tensor<3xf32>, %v: tensor<3xf16>) -> tensor<2x3xf32> {
  // C2 of nn.batch_norm
  // expected-error @+1 {{parameters must be tensor<3xf32>, got tensor<3xf16>}}
  %y = nn.batch_norm %x scale %s offset %o mean %m variance %v epsilon 1.000000e-05 : f64 : (tensor<2x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf16>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

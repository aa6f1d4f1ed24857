// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @shape(%x: tensor<2xf32>) -> tensor<3xi32> {
  // C1 of nn.cast
  // expected-error @+1 {{input [2] and result [3] must have one shape}}
  %y = nn.cast %x : (tensor<2xf32>) -> tensor<3xi32>
  func.return %y : tensor<3xi32>
}

// -----

func.func @quantized(%x: tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2xf32> {
  // C2 of nn.cast
  // expected-error @+1 {{numbers are cast to numbers}}
  %y = nn.cast %x : (tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

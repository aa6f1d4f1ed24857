// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @shape(%x: tensor<2x3xf32>) -> tensor<3x2xf32> {
  // C1 of nn.mish
  // expected-error @+1 {{input [2, 3] and result [3, 2] must have one shape}}
  %y = nn.mish %x : (tensor<2x3xf32>) -> tensor<3x2xf32>
  func.return %y : tensor<3x2xf32>
}

// -----

func.func @mixed_floats(%x: tensor<2xf32>) -> tensor<2xf16> {
  // C2 of nn.mish
  // expected-error @+1 {{input and result must have one float type or both be quantized per tensor}}
  %y = nn.mish %x : (tensor<2xf32>) -> tensor<2xf16>
  func.return %y : tensor<2xf16>
}

// -----

func.func @float_result(%x: tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2xf32> {
  // C2 of nn.mish
  // expected-error @+1 {{input and result must have one float type or both be quantized per tensor}}
  %y = nn.mish %x : (tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

func.func @per_axis(%x: tensor<2x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>) -> tensor<2x!quant.uniform<i8:f32, 0.5>> {
  // C2 of nn.mish
  // expected-error @+1 {{input and result must have one float type or both be quantized per tensor}}
  %y = nn.mish %x : (tensor<2x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>) -> tensor<2x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<2x!quant.uniform<i8:f32, 0.5>>
}

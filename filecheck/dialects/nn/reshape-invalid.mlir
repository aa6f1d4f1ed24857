// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @number_of_elements(%x: tensor<4x6xf32>) -> tensor<25xf32> {
  // C1 of nn.reshape
  // expected-error @+1 {{cannot reshape [4, 6] to [25]}}
  %y = nn.reshape %x : (tensor<4x6xf32>) -> tensor<25xf32>
  func.return %y : tensor<25xf32>
}

// -----

func.func @element_type(%x: tensor<4x6xf32>) -> tensor<24xf16> {
  // C2 of nn.reshape
  // expected-error @+1 {{moving elements cannot change their type}}
  %y = nn.reshape %x : (tensor<4x6xf32>) -> tensor<24xf16>
  func.return %y : tensor<24xf16>
}

// -----

func.func @quantization(%x: tensor<4x6x!quant.uniform<i8:f32, 0.5>>) -> tensor<24x!quant.uniform<i8:f32, 0.05:3>> {
  // C2 of nn.reshape
  // expected-error @+1 {{moving elements cannot change their type}}
  %y = nn.reshape %x : (tensor<4x6x!quant.uniform<i8:f32, 0.5>>) -> tensor<24x!quant.uniform<i8:f32, 0.05:3>>
  func.return %y : tensor<24x!quant.uniform<i8:f32, 0.05:3>>
}

// -----

func.func @per_axis(%x: tensor<2x6x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>) -> tensor<2x2x3x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>> {
  // C2 of nn.reshape
  // expected-error @+1 {{elements that move must be quantized per tensor}}
  %y = nn.reshape %x : (tensor<2x6x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>) -> tensor<2x2x3x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>
  func.return %y : tensor<2x2x3x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>
}

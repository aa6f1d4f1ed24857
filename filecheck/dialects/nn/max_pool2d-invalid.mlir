// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @rank(%x: tensor<8x8x3xf32>) -> tensor<4x4x3xf32> {
  // C1 of nn.max_pool2d
  // expected-error @+1 {{input and result must have rank 4}}
  %y = nn.max_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<8x8x3xf32>) -> tensor<4x4x3xf32>
  func.return %y : tensor<4x4x3xf32>
}

// -----

func.func @kernel(%x: tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32> {
  // C2 of nn.max_pool2d
  // expected-error @+1 {{kernel must be 2 integers of at least 1, got [2]}}
  %y = nn.max_pool2d %x kernel [2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32>
  func.return %y : tensor<1x4x4x3xf32>
}

// -----

func.func @strides(%x: tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32> {
  // C2 of nn.max_pool2d
  // expected-error @+1 {{strides must be 2 integers of at least 1, got [2, 0]}}
  %y = nn.max_pool2d %x kernel [2, 2] strides [2, 0] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32>
  func.return %y : tensor<1x4x4x3xf32>
}

// -----

func.func @pads(%x: tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32> {
  // C2 of nn.max_pool2d
  // expected-error @+1 {{pads must be 4 integers of at least 0, got [0, 0, 0, -1]}}
  %y = nn.max_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, -1] dilations [1, 1] : (tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32>
  func.return %y : tensor<1x4x4x3xf32>
}

// -----

func.func @dilations(%x: tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32> {
  // C2 of nn.max_pool2d
  // expected-error @+1 {{dilations must be 2 integers of at least 1, got [0, 1]}}
  %y = nn.max_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [0, 1] : (tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32>
  func.return %y : tensor<1x4x4x3xf32>
}

// -----

func.func @result_shape(%x: tensor<1x8x8x3xf32>) -> tensor<1x4x4x4xf32> {
  // C3 of nn.max_pool2d
  // expected-error @+1 {{result must have shape [1, 4, 4, 3], got [1, 4, 4, 4]}}
  %y = nn.max_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x8x8x3xf32>) -> tensor<1x4x4x4xf32>
  func.return %y : tensor<1x4x4x4xf32>
}

// -----

func.func @parameters_change(%x: tensor<1x8x8x3x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x3x!quant.uniform<i8:f32, 0.05:3>> {
  // C4 of nn.max_pool2d
  // expected-error @+1 {{moving elements cannot change their type: operands and result must have one element type}}
  %y = nn.max_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x8x8x3x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x3x!quant.uniform<i8:f32, 0.05:3>>
  func.return %y : tensor<1x4x4x3x!quant.uniform<i8:f32, 0.05:3>>
}

// -----

func.func @per_axis(%x: tensor<2x8x8x3x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>) -> tensor<2x4x4x3x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>> {
  // C4 of nn.max_pool2d
  // expected-error @+1 {{elements that move must be quantized per tensor}}
  %y = nn.max_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<2x8x8x3x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>) -> tensor<2x4x4x3x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>
  func.return %y : tensor<2x4x4x3x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>
}

// -----

func.func @window_in_padding(%x: tensor<1x8x8x3xf32>) -> tensor<1x5x4x3xf32> {
  // C5 of nn.max_pool2d
  // expected-error @+1 {{a window lies wholly in the padding [2, 0, 0, 0]}}
  %y = nn.max_pool2d %x kernel [2, 2] strides [2, 2] pads [2, 0, 0, 0] dilations [1, 1] : (tensor<1x8x8x3xf32>) -> tensor<1x5x4x3xf32>
  func.return %y : tensor<1x5x4x3xf32>
}

// -----

func.func @input_between_taps(%x: tensor<1x1x8x3xf32>) -> tensor<1x1x8x3xf32> {
  // C5 of nn.max_pool2d
  // expected-error @+1 {{a window lies wholly in the padding [1, 0, 1, 0]}}
  %y = nn.max_pool2d %x kernel [2, 1] strides [1, 1] pads [1, 0, 1, 0] dilations [2, 1] : (tensor<1x1x8x3xf32>) -> tensor<1x1x8x3xf32>
  func.return %y : tensor<1x1x8x3xf32>
}

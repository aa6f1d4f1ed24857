// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @rank(%x: tensor<8x8x3xf32>) -> tensor<4x4x3xf32> {
  // C1 of nn.avg_pool2d
  // expected-error @+1 {{input and result must have rank 4}}
  %y = nn.avg_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] count_include_pad false : (tensor<8x8x3xf32>) -> tensor<4x4x3xf32>
  func.return %y : tensor<4x4x3xf32>
}

// -----

func.func @kernel(%x: tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32> {
  // C2 of nn.avg_pool2d
  // expected-error @+1 {{kernel must be 2 integers of at least 1, got [2]}}
  %y = nn.avg_pool2d %x kernel [2] strides [2, 2] pads [0, 0, 0, 0] count_include_pad false : (tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32>
  func.return %y : tensor<1x4x4x3xf32>
}

// -----

func.func @strides(%x: tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32> {
  // C2 of nn.avg_pool2d
  // expected-error @+1 {{strides must be 2 integers of at least 1, got [2, 0]}}
  %y = nn.avg_pool2d %x kernel [2, 2] strides [2, 0] pads [0, 0, 0, 0] count_include_pad false : (tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32>
  func.return %y : tensor<1x4x4x3xf32>
}

// -----

func.func @pads(%x: tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32> {
  // C2 of nn.avg_pool2d
  // expected-error @+1 {{pads must be 4 integers of at least 0, got [0, 0, 0, -1]}}
  %y = nn.avg_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, -1] count_include_pad false : (tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32>
  func.return %y : tensor<1x4x4x3xf32>
}

// -----

func.func @result_shape(%x: tensor<1x8x8x3xf32>) -> tensor<1x4x4x4xf32> {
  // C3 of nn.avg_pool2d
  // expected-error @+1 {{result must have shape [1, 4, 4, 3], got [1, 4, 4, 4]}}
  %y = nn.avg_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] count_include_pad false : (tensor<1x8x8x3xf32>) -> tensor<1x4x4x4xf32>
  func.return %y : tensor<1x4x4x4xf32>
}

// -----

func.func @float_result(%x: tensor<1x8x8x3x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x3xf32> {
  // C4 of nn.avg_pool2d
  // expected-error @+1 {{input and result must have one float type or both be quantized per tensor}}
  %y = nn.avg_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] count_include_pad false : (tensor<1x8x8x3x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x3xf32>
  func.return %y : tensor<1x4x4x3xf32>
}

// -----

func.func @window_in_padding(%x: tensor<1x8x8x3xf32>) -> tensor<1x5x4x3xf32> {
  // C5 of nn.avg_pool2d
  // expected-error @+1 {{a window lies wholly in the padding [2, 0, 0, 0]}}
  %y = nn.avg_pool2d %x kernel [2, 2] strides [2, 2] pads [2, 0, 0, 0] count_include_pad false : (tensor<1x8x8x3xf32>) -> tensor<1x5x4x3xf32>
  func.return %y : tensor<1x5x4x3xf32>
}

// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @rank(%x: tensor<4x4x4xf32>, %w: tensor<2x2x2x4xf32>) -> tensor<1x8x8x2xf32> {
  // C1 of nn.conv_transpose2d
  // expected-error @+1 {{input, weight and result must have rank 4}}
  %y = nn.conv_transpose2d %x, %w strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<4x4x4xf32>, tensor<2x2x2x4xf32>) -> tensor<1x8x8x2xf32>
  func.return %y : tensor<1x8x8x2xf32>
}

// -----

func.func @channels(%x: tensor<1x4x4x4xf32>, %w: tensor<2x2x2x3xf32>) -> tensor<1x8x8x2xf32> {
  // C2 of nn.conv_transpose2d
  // expected-error @+1 {{4 input channels in 1 groups do not match a weight of shape [2, 2, 2, 3]}}
  %y = nn.conv_transpose2d %x, %w strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x4x4x4xf32>, tensor<2x2x2x3xf32>) -> tensor<1x8x8x2xf32>
  func.return %y : tensor<1x8x8x2xf32>
}

// -----

func.func @bias(%x: tensor<1x4x4x4xf32>, %w: tensor<2x2x2x4xf32>, %b: tensor<3xf32>) -> tensor<1x8x8x2xf32> {
  // C3 of nn.conv_transpose2d
  // expected-error @+1 {{bias must have shape [2], got [3]}}
  %y = nn.conv_transpose2d %x, %w bias %b strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x4x4x4xf32>, tensor<2x2x2x4xf32>, tensor<3xf32>) -> tensor<1x8x8x2xf32>
  func.return %y : tensor<1x8x8x2xf32>
}

// -----

func.func @stride(%x: tensor<1x4x4x4xf32>, %w: tensor<2x2x2x4xf32>) -> tensor<1x8x8x2xf32> {
  // C4 of nn.conv_transpose2d
  // expected-error @+1 {{strides and dilations must be 2 integers of at least 1 and pads 4 integers, got [0, 2], [1, 1] and [0, 0, 0, 0]}}
  %y = nn.conv_transpose2d %x, %w strides [0, 2] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x4x4x4xf32>, tensor<2x2x2x4xf32>) -> tensor<1x8x8x2xf32>
  func.return %y : tensor<1x8x8x2xf32>
}

// -----

func.func @pads(%x: tensor<1x4x4x4xf32>, %w: tensor<2x2x2x4xf32>) -> tensor<1x8x8x2xf32> {
  // C4 of nn.conv_transpose2d
  // expected-error @+1 {{strides and dilations must be 2 integers of at least 1 and pads 4 integers, got [2, 2], [1, 1] and [0, 0]}}
  %y = nn.conv_transpose2d %x, %w strides [2, 2] pads [0, 0] dilations [1, 1] groups 1 : (tensor<1x4x4x4xf32>, tensor<2x2x2x4xf32>) -> tensor<1x8x8x2xf32>
  func.return %y : tensor<1x8x8x2xf32>
}

// -----

func.func @result(%x: tensor<1x4x4x4xf32>, %w: tensor<2x2x2x4xf32>) -> tensor<1x4x4x2xf32> {
  // C5 of nn.conv_transpose2d
  // expected-error @+1 {{result must have shape [1, 8, 8, 2], got [1, 4, 4, 2]}}
  %y = nn.conv_transpose2d %x, %w strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x4x4x4xf32>, tensor<2x2x2x4xf32>) -> tensor<1x4x4x2xf32>
  func.return %y : tensor<1x4x4x2xf32>
}

// -----

func.func @mixed_floats(%x: tensor<1x4x4x4xf32>, %w: tensor<2x2x2x4xf16>) -> tensor<1x8x8x2xf32> {
  // C6 of nn.conv_transpose2d
  // expected-error @+1 {{float operands and result must have one element type}}
  %y = nn.conv_transpose2d %x, %w strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x4x4x4xf32>, tensor<2x2x2x4xf16>) -> tensor<1x8x8x2xf32>
  func.return %y : tensor<1x8x8x2xf32>
}

// -----

func.func @bias_scale(%x: tensor<1x4x4x4x!quant.uniform<i8:f32, 0.5>>, %w: tensor<2x2x2x4x!quant.uniform<i8<-127:127>:f32, 0.5>>, %b: tensor<2x!quant.uniform<i32:f32, 0.5>>) -> tensor<1x8x8x2x!quant.uniform<i8:f32, 0.05:3>> {
  // C6 of nn.conv_transpose2d
  // expected-error @+1 {{the bias scale must be input scale times weight scale}}
  %y = nn.conv_transpose2d %x, %w bias %b strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x4x4x4x!quant.uniform<i8:f32, 0.5>>, tensor<2x2x2x4x!quant.uniform<i8<-127:127>:f32, 0.5>>, tensor<2x!quant.uniform<i32:f32, 0.5>>) -> tensor<1x8x8x2x!quant.uniform<i8:f32, 0.05:3>>
  func.return %y : tensor<1x8x8x2x!quant.uniform<i8:f32, 0.05:3>>
}

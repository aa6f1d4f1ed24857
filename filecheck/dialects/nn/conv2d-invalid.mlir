// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @rank(%x: tensor<1x8x3xf32>, %w: tensor<4x1x1x3xf32>) -> tensor<1x8x8x4xf32> {
  // C1 of nn.conv2d
  // expected-error @+1 {{input, weight and result must have rank 4}}
  %y = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x8x3xf32>, tensor<4x1x1x3xf32>) -> tensor<1x8x8x4xf32>
  func.return %y : tensor<1x8x8x4xf32>
}

// -----

func.func @groups(%x: tensor<1x8x8x4xf32>, %w: tensor<6x1x1x2xf32>) -> tensor<1x8x8x6xf32> {
  // C2 of nn.conv2d
  // expected-error @+1 {{4 input channels in 3 groups do not match a weight of shape [6, 1, 1, 2]}}
  %y = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 3 : (tensor<1x8x8x4xf32>, tensor<6x1x1x2xf32>) -> tensor<1x8x8x6xf32>
  func.return %y : tensor<1x8x8x6xf32>
}

// -----

func.func @weight_channels(%x: tensor<1x8x8x4xf32>, %w: tensor<6x1x1x3xf32>) -> tensor<1x8x8x6xf32> {
  // C2 of nn.conv2d
  // expected-error @+1 {{4 input channels in 1 groups do not match a weight of shape [6, 1, 1, 3]}}
  %y = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x8x8x4xf32>, tensor<6x1x1x3xf32>) -> tensor<1x8x8x6xf32>
  func.return %y : tensor<1x8x8x6xf32>
}

// -----

func.func @output_channels(%x: tensor<1x8x8x4xf32>, %w: tensor<3x1x1x2xf32>) -> tensor<1x8x8x3xf32> {
  // C2 of nn.conv2d
  // expected-error @+1 {{4 input channels in 2 groups do not match a weight of shape [3, 1, 1, 2]}}
  %y = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 2 : (tensor<1x8x8x4xf32>, tensor<3x1x1x2xf32>) -> tensor<1x8x8x3xf32>
  func.return %y : tensor<1x8x8x3xf32>
}

// -----

func.func @bias(%x: tensor<1x8x8x3xf32>, %w: tensor<4x1x1x3xf32>, %b: tensor<3xf32>) -> tensor<1x8x8x4xf32> {
  // C3 of nn.conv2d
  // expected-error @+1 {{bias must have shape [4], got [3]}}
  %y = nn.conv2d %x, %w bias %b strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x8x8x3xf32>, tensor<4x1x1x3xf32>, tensor<3xf32>) -> tensor<1x8x8x4xf32>
  func.return %y : tensor<1x8x8x4xf32>
}

// -----

func.func @strides(%x: tensor<1x8x8x3xf32>, %w: tensor<4x1x1x3xf32>) -> tensor<1x8x8x4xf32> {
  // C4 of nn.conv2d
  // expected-error @+1 {{strides must be 2 integers of at least 1, got [0, 1]}}
  %y = nn.conv2d %x, %w strides [0, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x8x8x3xf32>, tensor<4x1x1x3xf32>) -> tensor<1x8x8x4xf32>
  func.return %y : tensor<1x8x8x4xf32>
}

// -----

func.func @pads(%x: tensor<1x8x8x3xf32>, %w: tensor<4x1x1x3xf32>) -> tensor<1x8x8x4xf32> {
  // C4 of nn.conv2d
  // expected-error @+1 {{pads must be 4 integers of at least 0, got [0, 0]}}
  %y = nn.conv2d %x, %w strides [1, 1] pads [0, 0] dilations [1, 1] groups 1 : (tensor<1x8x8x3xf32>, tensor<4x1x1x3xf32>) -> tensor<1x8x8x4xf32>
  func.return %y : tensor<1x8x8x4xf32>
}

// -----

func.func @negative_pad(%x: tensor<1x8x8x3xf32>, %w: tensor<4x1x1x3xf32>) -> tensor<1x8x7x4xf32> {
  // C4 of nn.conv2d
  // expected-error @+1 {{pads must be 4 integers of at least 0, got [0, -1, 0, 0]}}
  %y = nn.conv2d %x, %w strides [1, 1] pads [0, -1, 0, 0] dilations [1, 1] groups 1 : (tensor<1x8x8x3xf32>, tensor<4x1x1x3xf32>) -> tensor<1x8x7x4xf32>
  func.return %y : tensor<1x8x7x4xf32>
}

// -----

func.func @dilations(%x: tensor<1x8x8x3xf32>, %w: tensor<4x1x1x3xf32>) -> tensor<1x8x8x4xf32> {
  // C4 of nn.conv2d
  // expected-error @+1 {{dilations must be 2 integers of at least 1, got [1, 0]}}
  %y = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 0] groups 1 : (tensor<1x8x8x3xf32>, tensor<4x1x1x3xf32>) -> tensor<1x8x8x4xf32>
  func.return %y : tensor<1x8x8x4xf32>
}

// -----

func.func @result_shape(%x: tensor<1x8x8x3xf32>, %w: tensor<4x3x3x3xf32>) -> tensor<1x8x8x4xf32> {
  // C5 of nn.conv2d
  // expected-error @+1 {{result must have shape [1, 6, 6, 4], got [1, 8, 8, 4]}}
  %y = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x8x8x3xf32>, tensor<4x3x3x3xf32>) -> tensor<1x8x8x4xf32>
  func.return %y : tensor<1x8x8x4xf32>
}

// -----

func.func @mixed_floats(%x: tensor<1x8x8x3xf32>, %w: tensor<4x1x1x3xf16>) -> tensor<1x8x8x4xf32> {
  // C6 of nn.conv2d
  // expected-error @+1 {{float operands and result must have one element type}}
  %y = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x8x8x3xf32>, tensor<4x1x1x3xf16>) -> tensor<1x8x8x4xf32>
  func.return %y : tensor<1x8x8x4xf32>
}

// -----

func.func @float_weight(%x: tensor<1x8x8x3x!quant.uniform<i8:f32, 0.5>>, %w: tensor<4x1x1x3xf32>) -> tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5>> {
  // C6 of nn.conv2d
  // expected-error @+1 {{expected one float type throughout, or per-tensor quantized input and result and symmetric quantized weights}}
  %y = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x8x8x3x!quant.uniform<i8:f32, 0.5>>, tensor<4x1x1x3xf32>) -> tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5>>
}

// -----

func.func @asymmetric_weight(%x: tensor<1x8x8x3x!quant.uniform<i8:f32, 0.5>>, %w: tensor<4x1x1x3x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5>> {
  // C6 of nn.conv2d
  // expected-error @+1 {{expected one float type throughout, or per-tensor quantized input and result and symmetric quantized weights}}
  %y = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x8x8x3x!quant.uniform<i8:f32, 0.5>>, tensor<4x1x1x3x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5>>
}

// -----

func.func @weight_axis(%x: tensor<1x8x8x2x!quant.uniform<i8:f32, 0.5>>, %w: tensor<2x1x1x2x!quant.uniform<i8:f32:3, {0.5,0.25}>>) -> tensor<1x8x8x2x!quant.uniform<i8:f32, 0.5>> {
  // C6 of nn.conv2d
  // expected-error @+1 {{expected one float type throughout, or per-tensor quantized input and result and symmetric quantized weights}}
  %y = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x8x8x2x!quant.uniform<i8:f32, 0.5>>, tensor<2x1x1x2x!quant.uniform<i8:f32:3, {0.5,0.25}>>) -> tensor<1x8x8x2x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x8x8x2x!quant.uniform<i8:f32, 0.5>>
}

// -----

func.func @number_of_scales(%x: tensor<1x8x8x3x!quant.uniform<i8:f32, 0.5>>, %w: tensor<4x1x1x3x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>) -> tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5>> {
  // C6 of nn.conv2d
  // expected-error @+1 {{expected one float type throughout, or per-tensor quantized input and result and symmetric quantized weights}}
  %y = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x8x8x3x!quant.uniform<i8:f32, 0.5>>, tensor<4x1x1x3x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>) -> tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5>>
}

// -----

func.func @integers(%x: tensor<1x8x8x3xi8>, %w: tensor<4x1x1x3xi8>) -> tensor<1x8x8x4xi8> {
  // C6 of nn.conv2d
  // expected-error @+1 {{expected one float type throughout, or per-tensor quantized input and result and symmetric quantized weights}}
  %y = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x8x8x3xi8>, tensor<4x1x1x3xi8>) -> tensor<1x8x8x4xi8>
  func.return %y : tensor<1x8x8x4xi8>
}

// -----

func.func @bias_storage(%x: tensor<1x8x8x3x!quant.uniform<i8:f32, 0.5>>, %w: tensor<4x1x1x3x!quant.uniform<i8:f32, 0.5>>, %b: tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5>> {
  // C6 of nn.conv2d
  // expected-error @+1 {{the bias of a quantized layer must be a symmetric i32 quantized type}}
  %y = nn.conv2d %x, %w bias %b strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x8x8x3x!quant.uniform<i8:f32, 0.5>>, tensor<4x1x1x3x!quant.uniform<i8:f32, 0.5>>, tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5>>
}

// -----

func.func @bias_scale(%x: tensor<1x8x8x3x!quant.uniform<i8:f32, 0.5>>, %w: tensor<4x1x1x3x!quant.uniform<i8:f32, 0.5>>, %b: tensor<4x!quant.uniform<i32:f32, 0.5>>) -> tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5>> {
  // C6 of nn.conv2d
  // expected-error @+1 {{the bias scale must be input scale times weight scale}}
  %y = nn.conv2d %x, %w bias %b strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x8x8x3x!quant.uniform<i8:f32, 0.5>>, tensor<4x1x1x3x!quant.uniform<i8:f32, 0.5>>, tensor<4x!quant.uniform<i32:f32, 0.5>>) -> tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5>>
}

// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @float_with_everything
// CHECK: %y = nn.conv2d %x, %w bias %b strides [2, 1] pads [1, 0, 2, 1] dilations [1, 2] groups 2 clamp <0.0, 6.0> : (tensor<1x8x8x4xf32>, tensor<6x3x3x2xf32>, tensor<6xf32>) -> tensor<1x5x5x6xf32>
func.func @float_with_everything(%x: tensor<1x8x8x4xf32>, %w: tensor<6x3x3x2xf32>, %b: tensor<6xf32>) -> tensor<1x5x5x6xf32> {
  %y = nn.conv2d %x, %w bias %b strides [2, 1] pads [1, 0, 2, 1] dilations [1, 2] groups 2 clamp <0.0, 6.0> : (tensor<1x8x8x4xf32>, tensor<6x3x3x2xf32>, tensor<6xf32>) -> tensor<1x5x5x6xf32>
  func.return %y : tensor<1x5x5x6xf32>
}

// CHECK-LABEL: func.func @float_without_bias
// CHECK: %y = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<2x5x5x3xf32>, tensor<4x3x3x3xf32>) -> tensor<2x3x3x4xf32>
func.func @float_without_bias(%x: tensor<2x5x5x3xf32>, %w: tensor<4x3x3x3xf32>) -> tensor<2x3x3x4xf32> {
  %y = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<2x5x5x3xf32>, tensor<4x3x3x3xf32>) -> tensor<2x3x3x4xf32>
  func.return %y : tensor<2x3x3x4xf32>
}

// CHECK-LABEL: func.func @depthwise
// CHECK: %y = nn.conv2d %x, %w strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] groups 4 : (tensor<1x4x4x4xf32>, tensor<4x3x3x1xf32>) -> tensor<1x4x4x4xf32>
func.func @depthwise(%x: tensor<1x4x4x4xf32>, %w: tensor<4x3x3x1xf32>) -> tensor<1x4x4x4xf32> {
  %y = nn.conv2d %x, %w strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] groups 4 : (tensor<1x4x4x4xf32>, tensor<4x3x3x1xf32>) -> tensor<1x4x4x4xf32>
  func.return %y : tensor<1x4x4x4xf32>
}

// CHECK-LABEL: func.func @quantized_per_axis
// CHECK: %y = nn.conv2d %x, %w bias %b strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x2x2x1x!quant.uniform<i8:f32, 0.5>>, tensor<2x1x1x1x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>, tensor<2x!quant.uniform<i32:f32:0, {0.25,0.125}>>) -> tensor<1x2x2x2x!quant.uniform<i8:f32, 0.05:3>>
func.func @quantized_per_axis(%x: tensor<1x2x2x1x!quant.uniform<i8:f32, 0.5>>, %w: tensor<2x1x1x1x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>, %b: tensor<2x!quant.uniform<i32:f32:0, {0.25,0.125}>>) -> tensor<1x2x2x2x!quant.uniform<i8:f32, 0.05:3>> {
  %y = nn.conv2d %x, %w bias %b strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x2x2x1x!quant.uniform<i8:f32, 0.5>>, tensor<2x1x1x1x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>, tensor<2x!quant.uniform<i32:f32:0, {0.25,0.125}>>) -> tensor<1x2x2x2x!quant.uniform<i8:f32, 0.05:3>>
  func.return %y : tensor<1x2x2x2x!quant.uniform<i8:f32, 0.05:3>>
}

// CHECK-LABEL: func.func @quantized_per_tensor
// CHECK: %y = nn.conv2d %x, %w bias %b strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x2x2x1x!quant.uniform<i8:f32, 0.5>>, tensor<2x1x1x1x!quant.uniform<i8:f32, 0.5>>, tensor<2x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x2x2x2x!quant.uniform<i8:f32, 0.05:3>>
func.func @quantized_per_tensor(%x: tensor<1x2x2x1x!quant.uniform<i8:f32, 0.5>>, %w: tensor<2x1x1x1x!quant.uniform<i8:f32, 0.5>>, %b: tensor<2x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x2x2x2x!quant.uniform<i8:f32, 0.05:3>> {
  %y = nn.conv2d %x, %w bias %b strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x2x2x1x!quant.uniform<i8:f32, 0.5>>, tensor<2x1x1x1x!quant.uniform<i8:f32, 0.5>>, tensor<2x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x2x2x2x!quant.uniform<i8:f32, 0.05:3>>
  func.return %y : tensor<1x2x2x2x!quant.uniform<i8:f32, 0.05:3>>
}

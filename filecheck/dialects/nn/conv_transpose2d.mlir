// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @bias
// CHECK: %y = nn.conv_transpose2d %x, %w bias %b strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x4x4x4xf32>, tensor<2x2x2x4xf32>, tensor<2xf32>) -> tensor<1x8x8x2xf32>
func.func @bias(%x: tensor<1x4x4x4xf32>, %w: tensor<2x2x2x4xf32>, %b: tensor<2xf32>) -> tensor<1x8x8x2xf32> {
  %y = nn.conv_transpose2d %x, %w bias %b strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x4x4x4xf32>, tensor<2x2x2x4xf32>, tensor<2xf32>) -> tensor<1x8x8x2xf32>
  func.return %y : tensor<1x8x8x2xf32>
}

// CHECK-LABEL: func.func @added_row
// CHECK: %y = nn.conv_transpose2d %x, %w strides [2, 2] pads [0, 0, -1, 0] dilations [1, 1] groups 1 clamp <0.0, inf> : (tensor<1x4x4x4xf32>, tensor<2x2x2x4xf32>) -> tensor<1x9x8x2xf32>
func.func @added_row(%x: tensor<1x4x4x4xf32>, %w: tensor<2x2x2x4xf32>) -> tensor<1x9x8x2xf32> {
  %y = nn.conv_transpose2d %x, %w strides [2, 2] pads [0, 0, -1, 0] dilations [1, 1] groups 1 clamp <0.0, inf> : (tensor<1x4x4x4xf32>, tensor<2x2x2x4xf32>) -> tensor<1x9x8x2xf32>
  func.return %y : tensor<1x9x8x2xf32>
}

// CHECK-LABEL: func.func @groups
// CHECK: %y = nn.conv_transpose2d %x, %w strides [2, 2] pads [1, 1, 1, 1] dilations [2, 2] groups 2 : (tensor<1x4x4x4xf32>, tensor<2x3x3x2xf32>) -> tensor<1x9x9x2xf32>
func.func @groups(%x: tensor<1x4x4x4xf32>, %w: tensor<2x3x3x2xf32>) -> tensor<1x9x9x2xf32> {
  %y = nn.conv_transpose2d %x, %w strides [2, 2] pads [1, 1, 1, 1] dilations [2, 2] groups 2 : (tensor<1x4x4x4xf32>, tensor<2x3x3x2xf32>) -> tensor<1x9x9x2xf32>
  func.return %y : tensor<1x9x9x2xf32>
}

// CHECK-LABEL: func.func @quantized
// CHECK: %y = nn.conv_transpose2d %x, %w bias %b strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x4x4x4x!quant.uniform<i8:f32, 0.5>>, tensor<2x2x2x4x!quant.uniform<i8<-127:127>:f32, 0.5>>, tensor<2x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x8x8x2x!quant.uniform<i8:f32, 0.05:3>>
func.func @quantized(%x: tensor<1x4x4x4x!quant.uniform<i8:f32, 0.5>>, %w: tensor<2x2x2x4x!quant.uniform<i8<-127:127>:f32, 0.5>>, %b: tensor<2x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x8x8x2x!quant.uniform<i8:f32, 0.05:3>> {
  %y = nn.conv_transpose2d %x, %w bias %b strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x4x4x4x!quant.uniform<i8:f32, 0.5>>, tensor<2x2x2x4x!quant.uniform<i8<-127:127>:f32, 0.5>>, tensor<2x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x8x8x2x!quant.uniform<i8:f32, 0.05:3>>
  func.return %y : tensor<1x8x8x2x!quant.uniform<i8:f32, 0.05:3>>
}

// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @float
// CHECK: %y = nn.max_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32>
func.func @float(%x: tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32> {
  %y = nn.max_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32>
  func.return %y : tensor<1x4x4x3xf32>
}

// CHECK-LABEL: func.func @padded_and_dilated
// CHECK: %y = nn.max_pool2d %x kernel [3, 2] strides [1, 2] pads [1, 0, 2, 1] dilations [2, 1] : (tensor<2x8x8x3xf32>) -> tensor<2x7x4x3xf32>
func.func @padded_and_dilated(%x: tensor<2x8x8x3xf32>) -> tensor<2x7x4x3xf32> {
  %y = nn.max_pool2d %x kernel [3, 2] strides [1, 2] pads [1, 0, 2, 1] dilations [2, 1] : (tensor<2x8x8x3xf32>) -> tensor<2x7x4x3xf32>
  func.return %y : tensor<2x7x4x3xf32>
}

// CHECK-LABEL: func.func @quantized
// CHECK: %y = nn.max_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x8x8x3x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<1x4x4x3x!quant.uniform<i8:f32, 0.05:3>>
func.func @quantized(%x: tensor<1x8x8x3x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<1x4x4x3x!quant.uniform<i8:f32, 0.05:3>> {
  %y = nn.max_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x8x8x3x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<1x4x4x3x!quant.uniform<i8:f32, 0.05:3>>
  func.return %y : tensor<1x4x4x3x!quant.uniform<i8:f32, 0.05:3>>
}

// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @float
// CHECK: %y = nn.avg_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] count_include_pad false : (tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32>
func.func @float(%x: tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32> {
  %y = nn.avg_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] count_include_pad false : (tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32>
  func.return %y : tensor<1x4x4x3xf32>
}

// CHECK-LABEL: func.func @padded_with_clamp
// CHECK: %y = nn.avg_pool2d %x kernel [3, 2] strides [1, 2] pads [1, 0, 2, 1] count_include_pad true clamp <0.0, inf> : (tensor<2x8x8x3xf32>) -> tensor<2x9x4x3xf32>
func.func @padded_with_clamp(%x: tensor<2x8x8x3xf32>) -> tensor<2x9x4x3xf32> {
  %y = nn.avg_pool2d %x kernel [3, 2] strides [1, 2] pads [1, 0, 2, 1] count_include_pad true clamp <0.0, inf> : (tensor<2x8x8x3xf32>) -> tensor<2x9x4x3xf32>
  func.return %y : tensor<2x9x4x3xf32>
}

// CHECK-LABEL: func.func @quantized
// CHECK: %y = nn.avg_pool2d %x kernel [8, 8] strides [1, 1] pads [0, 0, 0, 0] count_include_pad false : (tensor<1x8x8x3x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x1x1x3x!quant.uniform<i8:f32, 0.05:3>>
func.func @quantized(%x: tensor<1x8x8x3x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x1x1x3x!quant.uniform<i8:f32, 0.05:3>> {
  %y = nn.avg_pool2d %x kernel [8, 8] strides [1, 1] pads [0, 0, 0, 0] count_include_pad false : (tensor<1x8x8x3x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x1x1x3x!quant.uniform<i8:f32, 0.05:3>>
  func.return %y : tensor<1x1x1x3x!quant.uniform<i8:f32, 0.05:3>>
}

// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @float
// CHECK: %y = nn.transpose %x permutation [0, 2, 3, 1] : (tensor<1x3x8x4xf32>) -> tensor<1x8x4x3xf32>
func.func @float(%x: tensor<1x3x8x4xf32>) -> tensor<1x8x4x3xf32> {
  %y = nn.transpose %x permutation [0, 2, 3, 1] : (tensor<1x3x8x4xf32>) -> tensor<1x8x4x3xf32>
  func.return %y : tensor<1x8x4x3xf32>
}

// CHECK-LABEL: func.func @quantized
// CHECK: %y = nn.transpose %x permutation [1, 0] : (tensor<2x3x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<3x2x!quant.uniform<i8:f32, 0.05:3>>
func.func @quantized(%x: tensor<2x3x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<3x2x!quant.uniform<i8:f32, 0.05:3>> {
  %y = nn.transpose %x permutation [1, 0] : (tensor<2x3x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<3x2x!quant.uniform<i8:f32, 0.05:3>>
  func.return %y : tensor<3x2x!quant.uniform<i8:f32, 0.05:3>>
}

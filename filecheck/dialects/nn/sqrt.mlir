// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @float
// CHECK: %y = nn.sqrt %x : (tensor<2x3xf32>) -> tensor<2x3xf32>
func.func @float(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %y = nn.sqrt %x : (tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @quantized
// CHECK: %y = nn.sqrt %x : (tensor<2x3x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x3x!quant.uniform<i8:f32, 0.05:3>>
func.func @quantized(%x: tensor<2x3x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x3x!quant.uniform<i8:f32, 0.05:3>> {
  %y = nn.sqrt %x : (tensor<2x3x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x3x!quant.uniform<i8:f32, 0.05:3>>
  func.return %y : tensor<2x3x!quant.uniform<i8:f32, 0.05:3>>
}

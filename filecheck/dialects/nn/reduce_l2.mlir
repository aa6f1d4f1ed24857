// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @one_dimension
// CHECK: %y = nn.reduce_l2 %x axes [1] : (tensor<2x3x4xf32>) -> tensor<2x1x4xf32>
func.func @one_dimension(%x: tensor<2x3x4xf32>) -> tensor<2x1x4xf32> {
  %y = nn.reduce_l2 %x axes [1] : (tensor<2x3x4xf32>) -> tensor<2x1x4xf32>
  func.return %y : tensor<2x1x4xf32>
}

// CHECK-LABEL: func.func @all_dimensions
// CHECK: %y = nn.reduce_l2 %x axes [0, 1] : (tensor<2x3xf32>) -> tensor<1x1xf32>
func.func @all_dimensions(%x: tensor<2x3xf32>) -> tensor<1x1xf32> {
  %y = nn.reduce_l2 %x axes [0, 1] : (tensor<2x3xf32>) -> tensor<1x1xf32>
  func.return %y : tensor<1x1xf32>
}

// CHECK-LABEL: func.func @quantized
// CHECK: %y = nn.reduce_l2 %x axes [1] : (tensor<2x3x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x1x!quant.uniform<i8:f32, 0.05:3>>
func.func @quantized(%x: tensor<2x3x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x1x!quant.uniform<i8:f32, 0.05:3>> {
  %y = nn.reduce_l2 %x axes [1] : (tensor<2x3x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x1x!quant.uniform<i8:f32, 0.05:3>>
  func.return %y : tensor<2x1x!quant.uniform<i8:f32, 0.05:3>>
}

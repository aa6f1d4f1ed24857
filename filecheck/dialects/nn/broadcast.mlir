// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @columns
// CHECK: %y = nn.broadcast %x : (tensor<2x1xf32>) -> tensor<2x3xf32>
func.func @columns(%x: tensor<2x1xf32>) -> tensor<2x3xf32> {
  %y = nn.broadcast %x : (tensor<2x1xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @new_dimension
// CHECK: %y = nn.broadcast %x : (tensor<3xi1>) -> tensor<2x3xi1>
func.func @new_dimension(%x: tensor<3xi1>) -> tensor<2x3xi1> {
  %y = nn.broadcast %x : (tensor<3xi1>) -> tensor<2x3xi1>
  func.return %y : tensor<2x3xi1>
}

// CHECK-LABEL: func.func @quantized
// CHECK: %y = nn.broadcast %x : (tensor<1x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>>
func.func @quantized(%x: tensor<1x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>> {
  %y = nn.broadcast %x : (tensor<1x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<4x!quant.uniform<i8:f32, 0.5>>
}

// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @float
// CHECK: %y = nn.reshape %x : (tensor<1x4x6xf32>) -> tensor<24xf32>
func.func @float(%x: tensor<1x4x6xf32>) -> tensor<24xf32> {
  %y = nn.reshape %x : (tensor<1x4x6xf32>) -> tensor<24xf32>
  func.return %y : tensor<24xf32>
}

// CHECK-LABEL: func.func @to_scalar
// CHECK: %y = nn.reshape %x : (tensor<1x1xf32>) -> tensor<f32>
func.func @to_scalar(%x: tensor<1x1xf32>) -> tensor<f32> {
  %y = nn.reshape %x : (tensor<1x1xf32>) -> tensor<f32>
  func.return %y : tensor<f32>
}

// CHECK-LABEL: func.func @integers
// CHECK: %y = nn.reshape %x : (tensor<4xi64>) -> tensor<2x2xi64>
func.func @integers(%x: tensor<4xi64>) -> tensor<2x2xi64> {
  %y = nn.reshape %x : (tensor<4xi64>) -> tensor<2x2xi64>
  func.return %y : tensor<2x2xi64>
}

// CHECK-LABEL: func.func @quantized
// CHECK: %y = nn.reshape %x : (tensor<1x4x6x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<24x!quant.uniform<i8:f32, 0.05:3>>
func.func @quantized(%x: tensor<1x4x6x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<24x!quant.uniform<i8:f32, 0.05:3>> {
  %y = nn.reshape %x : (tensor<1x4x6x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<24x!quant.uniform<i8:f32, 0.05:3>>
  func.return %y : tensor<24x!quant.uniform<i8:f32, 0.05:3>>
}

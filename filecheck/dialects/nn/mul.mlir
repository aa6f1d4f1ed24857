// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @float_with_clamp
// CHECK: %y = nn.mul %a, %b clamp <0.0, 1.0e-05> : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
func.func @float_with_clamp(%a: tensor<2x3xf32>, %b: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %y = nn.mul %a, %b clamp <0.0, 1.0e-05> : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @broadcast
// CHECK: %y = nn.mul %a, %b : (tensor<2x1x3xf32>, tensor<4x1xf32>) -> tensor<2x4x3xf32>
func.func @broadcast(%a: tensor<2x1x3xf32>, %b: tensor<4x1xf32>) -> tensor<2x4x3xf32> {
  %y = nn.mul %a, %b : (tensor<2x1x3xf32>, tensor<4x1xf32>) -> tensor<2x4x3xf32>
  func.return %y : tensor<2x4x3xf32>
}

// CHECK-LABEL: func.func @scalar
// CHECK: %y = nn.mul %a, %b : (tensor<f32>, tensor<5xf32>) -> tensor<5xf32>
func.func @scalar(%a: tensor<f32>, %b: tensor<5xf32>) -> tensor<5xf32> {
  %y = nn.mul %a, %b : (tensor<f32>, tensor<5xf32>) -> tensor<5xf32>
  func.return %y : tensor<5xf32>
}

// CHECK-LABEL: func.func @quantized
// CHECK: %y = nn.mul %a, %b clamp <-inf, 1.0e+20> : (tensor<2x3x!quant.uniform<i8:f32, 0.5>>, tensor<3x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<2x3x!quant.uniform<i8:f32, 0.5>>
func.func @quantized(%a: tensor<2x3x!quant.uniform<i8:f32, 0.5>>, %b: tensor<3x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<2x3x!quant.uniform<i8:f32, 0.5>> {
  %y = nn.mul %a, %b clamp <-inf, 1.0e+20> : (tensor<2x3x!quant.uniform<i8:f32, 0.5>>, tensor<3x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<2x3x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<2x3x!quant.uniform<i8:f32, 0.5>>
}

// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @float_with_clamp
// CHECK: %y = nn.minimum %a, %b clamp <0.0, 6.0> : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
func.func @float_with_clamp(%a: tensor<2x3xf32>, %b: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %y = nn.minimum %a, %b clamp <0.0, 6.0> : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @broadcast
// CHECK: %y = nn.minimum %a, %b : (tensor<2x1x3xf32>, tensor<4x1xf32>) -> tensor<2x4x3xf32>
func.func @broadcast(%a: tensor<2x1x3xf32>, %b: tensor<4x1xf32>) -> tensor<2x4x3xf32> {
  %y = nn.minimum %a, %b : (tensor<2x1x3xf32>, tensor<4x1xf32>) -> tensor<2x4x3xf32>
  func.return %y : tensor<2x4x3xf32>
}

// CHECK-LABEL: func.func @scalar
// CHECK: %y = nn.minimum %a, %b : (tensor<f32>, tensor<5xf32>) -> tensor<5xf32>
func.func @scalar(%a: tensor<f32>, %b: tensor<5xf32>) -> tensor<5xf32> {
  %y = nn.minimum %a, %b : (tensor<f32>, tensor<5xf32>) -> tensor<5xf32>
  func.return %y : tensor<5xf32>
}

// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @float
// CHECK: %y = nn.matmul %a, %b : (tensor<3x4xf32>, tensor<4x5xf32>) -> tensor<3x5xf32>
func.func @float(%a: tensor<3x4xf32>, %b: tensor<4x5xf32>) -> tensor<3x5xf32> {
  %y = nn.matmul %a, %b : (tensor<3x4xf32>, tensor<4x5xf32>) -> tensor<3x5xf32>
  func.return %y : tensor<3x5xf32>
}

// CHECK-LABEL: func.func @batched_with_clamp
// CHECK: %y = nn.matmul %a, %b clamp <0.0, 1.0> : (tensor<2x7x3x4xf32>, tensor<2x7x4x5xf32>) -> tensor<2x7x3x5xf32>
func.func @batched_with_clamp(%a: tensor<2x7x3x4xf32>, %b: tensor<2x7x4x5xf32>) -> tensor<2x7x3x5xf32> {
  %y = nn.matmul %a, %b clamp <0.0, 1.0> : (tensor<2x7x3x4xf32>, tensor<2x7x4x5xf32>) -> tensor<2x7x3x5xf32>
  func.return %y : tensor<2x7x3x5xf32>
}

// CHECK-LABEL: func.func @quantized
// CHECK: %y = nn.matmul %a, %b : (tensor<3x4x!quant.uniform<i8:f32, 0.5>>, tensor<4x5x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<3x5x!quant.uniform<i8:f32, 0.5>>
func.func @quantized(%a: tensor<3x4x!quant.uniform<i8:f32, 0.5>>, %b: tensor<4x5x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<3x5x!quant.uniform<i8:f32, 0.5>> {
  %y = nn.matmul %a, %b : (tensor<3x4x!quant.uniform<i8:f32, 0.5>>, tensor<4x5x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<3x5x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<3x5x!quant.uniform<i8:f32, 0.5>>
}

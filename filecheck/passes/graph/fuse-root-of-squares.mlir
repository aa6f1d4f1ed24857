// RUN: intaglio-opt %s -p fuse-root-of-squares,eliminate-dead-code | filecheck %s

// CHECK-LABEL: func.func @norm
// CHECK-NEXT: nn.reduce_l2 %x axes [1] : (tensor<2x3xf32>) -> tensor<2x1xf32> loc("norm")
// CHECK-NEXT: func.return
func.func @norm(%x: tensor<2x3xf32>) -> tensor<2x1xf32> {
  %s = nn.mul %x, %x : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %t = nn.reduce_sum %s axes [1] : (tensor<2x3xf32>) -> tensor<2x1xf32>
  %y = nn.sqrt %t : (tensor<2x1xf32>) -> tensor<2x1xf32> loc("norm")
  func.return %y : tensor<2x1xf32>
}

// CHECK-LABEL: func.func @magnitude
// CHECK-NEXT: [[a:%.*]] = nn.reshape %a : (tensor<4xf32>) -> tensor<1x4xf32>
// CHECK-NEXT: [[b:%.*]] = nn.reshape %b : (tensor<4xf32>) -> tensor<1x4xf32>
// CHECK-NEXT: [[c:%.*]] = nn.concat [[a]], [[b]] axis 0 : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<2x4xf32>
// CHECK-NEXT: [[l:%.*]] = nn.reduce_l2 [[c]] axes [0] : (tensor<2x4xf32>) -> tensor<1x4xf32>
// CHECK-NEXT: [[y:%.*]] = nn.reshape [[l]] : (tensor<1x4xf32>) -> tensor<4xf32>
// CHECK-NEXT: func.return [[y]]
func.func @magnitude(%a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> {
  %s = nn.mul %a, %a : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %t = nn.mul %b, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %u = nn.add %s, %t : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %y = nn.sqrt %u : (tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @negative_product
// CHECK: nn.sqrt
func.func @negative_product(%a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<1xf32> {
  %s = nn.mul %a, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %t = nn.reduce_sum %s axes [0] : (tensor<4xf32>) -> tensor<1xf32>
  %y = nn.sqrt %t : (tensor<1xf32>) -> tensor<1xf32>
  func.return %y : tensor<1xf32>
}

// Something is added below the root.
// CHECK-LABEL: func.func @negative_epsilon
// CHECK: nn.sqrt
func.func @negative_epsilon(%a: tensor<4xf32>) -> tensor<4xf32> {
  %e = nn.constant dense<1.0e-05> : tensor<4xf32>
  %s = nn.mul %a, %a : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %u = nn.add %s, %e : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %y = nn.sqrt %u : (tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @negative_broadcast
// CHECK: nn.sqrt
func.func @negative_broadcast(%a: tensor<4xf32>, %b: tensor<1xf32>) -> tensor<4xf32> {
  %s = nn.mul %a, %a : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %t = nn.mul %b, %b : (tensor<1xf32>, tensor<1xf32>) -> tensor<1xf32>
  %u = nn.add %s, %t : (tensor<4xf32>, tensor<1xf32>) -> tensor<4xf32>
  %y = nn.sqrt %u : (tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @negative_clamp
// CHECK: nn.sqrt
func.func @negative_clamp(%a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> {
  %s = nn.mul %a, %a : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %t = nn.mul %b, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %u = nn.add %s, %t clamp <0.0, 1.0> : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %y = nn.sqrt %u : (tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @negative_quantized
// CHECK: nn.sqrt
func.func @negative_quantized(%a: tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x!quant.uniform<i8:f32, 0.5>> {
  %s = nn.mul %a, %a : (tensor<4x!quant.uniform<i8:f32, 0.5>>, tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>>
  %t = nn.reduce_sum %s axes [0] : (tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x!quant.uniform<i8:f32, 0.5>>
  %y = nn.sqrt %t : (tensor<1x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x!quant.uniform<i8:f32, 0.5>>
}

// RUN: intaglio-opt %s -p fuse-silu,eliminate-dead-code | filecheck %s

// CHECK-LABEL: func.func @silu
// CHECK-NEXT: nn.silu %x : (tensor<4xf32>) -> tensor<4xf32> loc("gate")
// CHECK-NEXT: func.return
func.func @silu(%x: tensor<4xf32>) -> tensor<4xf32> {
  %s = nn.sigmoid %x : (tensor<4xf32>) -> tensor<4xf32>
  %y = nn.mul %s, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> loc("gate")
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @mish
// CHECK-NEXT: nn.mish %x
// CHECK-NEXT: func.return
func.func @mish(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = nn.softplus %x : (tensor<4xf32>) -> tensor<4xf32>
  %b = nn.tanh %a : (tensor<4xf32>) -> tensor<4xf32>
  %y = nn.mul %x, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @negative_other_gate
// CHECK: nn.sigmoid %z
// CHECK: nn.mul
func.func @negative_other_gate(%x: tensor<4xf32>, %z: tensor<4xf32>) -> tensor<4xf32> {
  %s = nn.sigmoid %z : (tensor<4xf32>) -> tensor<4xf32>
  %y = nn.mul %x, %s : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @negative_clamp
// CHECK: nn.sigmoid
// CHECK: nn.mul
func.func @negative_clamp(%x: tensor<4xf32>) -> tensor<4xf32> {
  %s = nn.sigmoid %x : (tensor<4xf32>) -> tensor<4xf32>
  %y = nn.mul %x, %s clamp <0.0, inf> : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @negative_quantized
// CHECK: nn.sigmoid
// CHECK: nn.mul
func.func @negative_quantized(%x: tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>> {
  %s = nn.sigmoid %x : (tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>>
  %y = nn.mul %x, %s : (tensor<4x!quant.uniform<i8:f32, 0.5>>, tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<4x!quant.uniform<i8:f32, 0.5>>
}

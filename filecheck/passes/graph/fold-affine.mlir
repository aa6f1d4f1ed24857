// RUN: intaglio-opt %s -p fold-affine,eliminate-dead-code | filecheck %s

// CHECK-LABEL: func.func @bias_of_a_product
// CHECK-NEXT: %w = nn.constant dense<1.000000e+00> : tensor<2x3xf32>
// CHECK-NEXT: %b = nn.constant dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>
// CHECK-NEXT: nn.dense %x, %w bias %b clamp <0.0, inf> : (tensor<4x3xf32>, tensor<2x3xf32>, tensor<2xf32>) -> tensor<4x2xf32> loc(fused["product", "sum"])
func.func @bias_of_a_product(%x: tensor<4x3xf32>) -> tensor<4x2xf32> {
  %w = nn.constant dense<1.0> : tensor<2x3xf32>
  %c = nn.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %d = nn.dense %x, %w : (tensor<4x3xf32>, tensor<2x3xf32>) -> tensor<4x2xf32> loc("product")
  %b = nn.add %c, %d clamp <0.0, inf> : (tensor<2xf32>, tensor<4x2xf32>) -> tensor<4x2xf32> loc("sum")
  func.return %b : tensor<4x2xf32>
}

// c - (w x + 3) = (-w) x + (c - 3), and a third of it.
// CHECK-LABEL: func.func @difference_and_quotient
// CHECK: dense<-0.333333343> : tensor<1x1x1x1xf32>
// CHECK: dense<-0.666666687> : tensor<1xf32>
// CHECK: nn.conv2d
// CHECK-NEXT: func.return
func.func @difference_and_quotient(%x: tensor<1x2x2x1xf32>) -> tensor<1x2x2x1xf32> {
  %w = nn.constant dense<1.0> : tensor<1x1x1x1xf32>
  %b = nn.constant dense<3.0> : tensor<1xf32>
  %c = nn.constant dense<1.0> : tensor<f32>
  %t = nn.constant dense<3.0> : tensor<1x1x1x1xf32>
  %d = nn.conv2d %x, %w bias %b strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x2x2x1xf32>, tensor<1x1x1x1xf32>, tensor<1xf32>) -> tensor<1x2x2x1xf32>
  %e = nn.sub %c, %d : (tensor<f32>, tensor<1x2x2x1xf32>) -> tensor<1x2x2x1xf32>
  %y = nn.div %e, %t : (tensor<1x2x2x1xf32>, tensor<1x1x1x1xf32>) -> tensor<1x2x2x1xf32>
  func.return %y : tensor<1x2x2x1xf32>
}

// The constant varies from row to row.
// CHECK-LABEL: func.func @negative_rows
// CHECK: nn.dense
// CHECK-NEXT: nn.add
func.func @negative_rows(%x: tensor<2x3xf32>) -> tensor<2x2xf32> {
  %w = nn.constant dense<1.0> : tensor<2x3xf32>
  %c = nn.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %d = nn.dense %x, %w : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x2xf32>
  %y = nn.add %d, %c : (tensor<2x2xf32>, tensor<2x1xf32>) -> tensor<2x2xf32>
  func.return %y : tensor<2x2xf32>
}

// CHECK-LABEL: func.func @negative_activation_between
// CHECK: nn.dense
// CHECK-NEXT: nn.add
func.func @negative_activation_between(%x: tensor<4x3xf32>) -> tensor<4x2xf32> {
  %w = nn.constant dense<1.0> : tensor<2x3xf32>
  %c = nn.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %d = nn.dense %x, %w clamp <0.0, inf> : (tensor<4x3xf32>, tensor<2x3xf32>) -> tensor<4x2xf32>
  %y = nn.add %d, %c : (tensor<4x2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  func.return %y : tensor<4x2xf32>
}

// CHECK-LABEL: func.func @negative_another_user
// CHECK: nn.dense
// CHECK-NEXT: nn.add
func.func @negative_another_user(%x: tensor<4x3xf32>) -> (tensor<4x2xf32>, tensor<4x2xf32>) {
  %w = nn.constant dense<1.0> : tensor<2x3xf32>
  %c = nn.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %d = nn.dense %x, %w : (tensor<4x3xf32>, tensor<2x3xf32>) -> tensor<4x2xf32>
  %y = nn.add %d, %c : (tensor<4x2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  func.return %d, %y : tensor<4x2xf32>, tensor<4x2xf32>
}

// A number over the layer's result is not a multiple of it.
// CHECK-LABEL: func.func @negative_divisor
// CHECK: nn.dense
// CHECK-NEXT: nn.div
func.func @negative_divisor(%x: tensor<4x3xf32>) -> tensor<4x2xf32> {
  %w = nn.constant dense<1.0> : tensor<2x3xf32>
  %c = nn.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %d = nn.dense %x, %w : (tensor<4x3xf32>, tensor<2x3xf32>) -> tensor<4x2xf32>
  %y = nn.div %c, %d : (tensor<2xf32>, tensor<4x2xf32>) -> tensor<4x2xf32>
  func.return %y : tensor<4x2xf32>
}

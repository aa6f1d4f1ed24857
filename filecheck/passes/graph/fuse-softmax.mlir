// RUN: intaglio-opt %s -p fuse-softmax,eliminate-dead-code | filecheck %s

// CHECK-LABEL: func.func @softmax
// CHECK-NEXT: nn.softmax %x axis 1 : (tensor<2x8xf32>) -> tensor<2x8xf32> loc("div")
// CHECK-NEXT: func.return
func.func @softmax(%x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %m = nn.reduce_max %x axes [1] : (tensor<2x8xf32>) -> tensor<2x1xf32>
  %d = nn.sub %x, %m : (tensor<2x8xf32>, tensor<2x1xf32>) -> tensor<2x8xf32>
  %e = nn.exp %d : (tensor<2x8xf32>) -> tensor<2x8xf32>
  %s = nn.reduce_sum %e axes [1] : (tensor<2x8xf32>) -> tensor<2x1xf32>
  %y = nn.div %e, %s : (tensor<2x8xf32>, tensor<2x1xf32>) -> tensor<2x8xf32> loc("div")
  func.return %y : tensor<2x8xf32>
}

// CHECK-LABEL: func.func @without_maximum
// CHECK-NEXT: nn.softmax %x axis 0
// CHECK-NEXT: func.return
func.func @without_maximum(%x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %e = nn.exp %x : (tensor<2x8xf32>) -> tensor<2x8xf32>
  %s = nn.reduce_sum %e axes [0] : (tensor<2x8xf32>) -> tensor<1x8xf32>
  %y = nn.div %e, %s : (tensor<2x8xf32>, tensor<1x8xf32>) -> tensor<2x8xf32>
  func.return %y : tensor<2x8xf32>
}

// Another value is subtracted: the function is the softmax of the difference.
// CHECK-LABEL: func.func @of_a_difference
// CHECK-NEXT: %d = nn.sub %x, %m
// CHECK-NEXT: nn.softmax %d axis 1
// CHECK-NEXT: func.return
func.func @of_a_difference(%x: tensor<2x8xf32>, %m: tensor<2x1xf32>) -> tensor<2x8xf32> {
  %d = nn.sub %x, %m : (tensor<2x8xf32>, tensor<2x1xf32>) -> tensor<2x8xf32>
  %e = nn.exp %d : (tensor<2x8xf32>) -> tensor<2x8xf32>
  %s = nn.reduce_sum %e axes [1] : (tensor<2x8xf32>) -> tensor<2x1xf32>
  %y = nn.div %e, %s : (tensor<2x8xf32>, tensor<2x1xf32>) -> tensor<2x8xf32>
  func.return %y : tensor<2x8xf32>
}

// The sum has dropped its dimension and broadcasts along the other one.
// CHECK-LABEL: func.func @negative_broadcast
// CHECK: nn.exp
// CHECK: nn.div
func.func @negative_broadcast(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %e = nn.exp %x : (tensor<4x4xf32>) -> tensor<4x4xf32>
  %s = nn.reduce_sum %e axes [1] : (tensor<4x4xf32>) -> tensor<4x1xf32>
  %r = nn.reshape %s : (tensor<4x1xf32>) -> tensor<4xf32>
  %y = nn.div %e, %r : (tensor<4x4xf32>, tensor<4xf32>) -> tensor<4x4xf32>
  func.return %y : tensor<4x4xf32>
}

// CHECK-LABEL: func.func @negative_sum_of_another
// CHECK: nn.exp
// CHECK: nn.div
func.func @negative_sum_of_another(%x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %e = nn.exp %x : (tensor<2x8xf32>) -> tensor<2x8xf32>
  %s = nn.reduce_sum %x axes [1] : (tensor<2x8xf32>) -> tensor<2x1xf32>
  %y = nn.div %e, %s : (tensor<2x8xf32>, tensor<2x1xf32>) -> tensor<2x8xf32>
  func.return %y : tensor<2x8xf32>
}

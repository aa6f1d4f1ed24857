// RUN: intaglio-opt %s -p fold-batch-norm | filecheck %s

// factor = scale / sqrt(variance + epsilon) = [2, 1.5], bias = (b - mean) * factor + offset.
// CHECK-LABEL: func.func @conv2d
// CHECK-NEXT: %w = nn.constant dense<{{\[\[\[\[2.000000e\+00\]\]\], \[\[\[3.000000e\+00\]\]\]\]}}> : tensor<2x1x1x1xf32> loc("weight")
// CHECK-NEXT: %b = nn.constant dense<[7.000000e+00, 5.000000e-01]> : tensor<2xf32> loc("bias")
// CHECK-NEXT: %y = nn.conv2d %x, %w bias %b strides [2, 2] pads [1, 0, 0, 1] dilations [1, 1] groups 1 : {{.*}} loc(fused["conv", "norm"])
// CHECK-NEXT: func.return %y
func.func @conv2d(%x: tensor<1x4x4x1xf32>) -> tensor<1x3x3x2xf32> {
  %w = nn.constant dense<[[[[1.0]]], [[[2.0]]]]> : tensor<2x1x1x1xf32> loc("weight")
  %b = nn.constant dense<[4.0, 1.0]> : tensor<2xf32> loc("bias")
  %s = nn.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %o = nn.constant dense<[1.0, -1.0]> : tensor<2xf32>
  %m = nn.constant dense<[1.0, 0.0]> : tensor<2xf32>
  %v = nn.constant dense<[0.75, 3.75]> : tensor<2xf32>
  %c = nn.conv2d %x, %w bias %b strides [2, 2] pads [1, 0, 0, 1] dilations [1, 1] groups 1 : (tensor<1x4x4x1xf32>, tensor<2x1x1x1xf32>, tensor<2xf32>) -> tensor<1x3x3x2xf32> loc("conv")
  %y = nn.batch_norm %c scale %s offset %o mean %m variance %v epsilon 0.25 : f64 : (tensor<1x3x3x2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x3x3x2xf32> loc("norm")
  func.return %y : tensor<1x3x3x2xf32>
}

// CHECK-LABEL: func.func @depthwise_without_bias
// CHECK-NOT: nn.batch_norm
// CHECK: nn.conv2d %x, %{{.*}} bias %{{.*}} strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 2 :
// CHECK-NEXT: func.return
func.func @depthwise_without_bias(%x: tensor<1x4x4x2xf32>) -> tensor<1x4x4x2xf32> {
  %w = nn.constant dense<[[[[1.0]]], [[[2.0]]]]> : tensor<2x1x1x1xf32>
  %p = nn.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %c = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 2 : (tensor<1x4x4x2xf32>, tensor<2x1x1x1xf32>) -> tensor<1x4x4x2xf32>
  %y = nn.batch_norm %c scale %p offset %p mean %p variance %p epsilon 0.25 : f64 : (tensor<1x4x4x2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x4x4x2xf32>
  func.return %y : tensor<1x4x4x2xf32>
}

// CHECK-LABEL: func.func @dense
// CHECK-NOT: nn.batch_norm
// CHECK: nn.dense %x, %{{.*}} bias %{{.*}} :
// CHECK-NEXT: func.return
func.func @dense(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
  %w = nn.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %p = nn.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %c = nn.dense %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
  %y = nn.batch_norm %c scale %p offset %p mean %p variance %p epsilon 0.25 : f64 : (tensor<1x2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2xf32>
  func.return %y : tensor<1x2xf32>
}

// Without a layer before it: factor [2, 1.5], summand offset - mean * factor.
// CHECK-LABEL: func.func @becomes_mul_and_add
// CHECK-NEXT: %[[F:.*]] = nn.constant dense<[2.000000e+00, 1.500000e+00]> : tensor<2xf32> loc("norm")
// CHECK-NEXT: %[[G:.*]] = nn.constant dense<[-1.000000e+00, -2.000000e+00]> : tensor<2xf32> loc("norm")
// CHECK-NEXT: %[[P:.*]] = nn.mul %x, %[[F]] : (tensor<1x2xf32>, tensor<2xf32>) -> tensor<1x2xf32> loc("norm")
// CHECK-NEXT: nn.add %[[P]], %[[G]] : (tensor<1x2xf32>, tensor<2xf32>) -> tensor<1x2xf32> loc("norm")
func.func @becomes_mul_and_add(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
  %s = nn.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %o = nn.constant dense<[1.0, -2.0]> : tensor<2xf32>
  %m = nn.constant dense<[1.0, 0.0]> : tensor<2xf32>
  %v = nn.constant dense<[0.75, 3.75]> : tensor<2xf32>
  %y = nn.batch_norm %x scale %s offset %o mean %m variance %v epsilon 0.25 : f64 : (tensor<1x2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2xf32> loc("norm")
  func.return %y : tensor<1x2xf32>
}

// The layer's own result is needed: it stays as it is.
// CHECK-LABEL: func.func @negative_two_users
// CHECK: %c = nn.dense %x, %w :
// CHECK-NEXT: nn.constant
// CHECK-NEXT: nn.constant
// CHECK-NEXT: nn.mul %c,
// CHECK-NEXT: nn.add
func.func @negative_two_users(%x: tensor<1x2xf32>) -> (tensor<1x2xf32>, tensor<1x2xf32>) {
  %w = nn.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %p = nn.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %c = nn.dense %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
  %y = nn.batch_norm %c scale %p offset %p mean %p variance %p epsilon 0.25 : f64 : (tensor<1x2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2xf32>
  func.return %c, %y : tensor<1x2xf32>, tensor<1x2xf32>
}

// CHECK-LABEL: func.func @negative_activation_between
// CHECK: nn.dense %x, %w clamp <0.0, inf>
// CHECK: nn.mul
func.func @negative_activation_between(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
  %w = nn.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %p = nn.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %c = nn.dense %x, %w clamp <0.0, inf> : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
  %y = nn.batch_norm %c scale %p offset %p mean %p variance %p epsilon 0.25 : f64 : (tensor<1x2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2xf32>
  func.return %y : tensor<1x2xf32>
}

// CHECK-LABEL: func.func @negative_unknown_weight
// CHECK: nn.dense %x, %w :
// CHECK: nn.mul
func.func @negative_unknown_weight(%x: tensor<1x2xf32>, %w: tensor<2x2xf32>) -> tensor<1x2xf32> {
  %p = nn.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %c = nn.dense %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
  %y = nn.batch_norm %c scale %p offset %p mean %p variance %p epsilon 0.25 : f64 : (tensor<1x2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2xf32>
  func.return %y : tensor<1x2xf32>
}

// CHECK-LABEL: func.func @negative_unknown_parameter
// CHECK: nn.batch_norm
func.func @negative_unknown_parameter(%x: tensor<1x2xf32>, %s: tensor<2xf32>) -> tensor<1x2xf32> {
  %p = nn.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %y = nn.batch_norm %x scale %s offset %p mean %p variance %p epsilon 0.25 : f64 : (tensor<1x2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2xf32>
  func.return %y : tensor<1x2xf32>
}

// A variance that is not positive has no factor.
// CHECK-LABEL: func.func @negative_bad_variance
// CHECK: nn.batch_norm
func.func @negative_bad_variance(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
  %p = nn.constant dense<[-2.0, 3.0]> : tensor<2xf32>
  %y = nn.batch_norm %x scale %p offset %p mean %p variance %p epsilon 0.25 : f64 : (tensor<1x2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2xf32>
  func.return %y : tensor<1x2xf32>
}

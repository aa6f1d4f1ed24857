// RUN: intaglio-opt %s -p 'split-tensors{limit=0.25}' | filecheck %s

!x = tensor<1x4xf32>
!w = tensor<4x4xf32>
!c = tensor<4xf32>

// The third channel meets a weight of 8, four times the usual 2: it is made twice, and read twice by half.
// CHECK-LABEL: func.func @outlier
// CHECK:         nn.constant dense<{{\[\[}}1.000000e+00, 0.000000e+00, 0.000000e+00, 0.000000e+00], {{.*}}, [0.000000e+00, 0.000000e+00, 3.000000e+00, 0.000000e+00]]> : tensor<5x4xf32>
// CHECK:         nn.constant dense<[1.000000e+00, 2.000000e+00, 3.000000e+00, 4.000000e+00, 3.000000e+00]>
// CHECK:         nn.dense {{.*}} -> tensor<1x5xf32>
// CHECK-NEXT:    nn.relu {{.*}} -> tensor<1x5xf32>
// CHECK-NEXT:    quant.observe {{.*}} : tensor<5xf32>{{.*}} : tensor<1x5xf32>
// CHECK:         nn.constant dense<{{\[\[}}2.000000e+00, 1.000000e+00, 4.000000e+00, 1.000000e+00, 4.000000e+00], [1.000000e+00, 2.000000e+00, 5.000000e-01, 2.000000e+00, 5.000000e-01]]> : tensor<2x5xf32>
func.func @outlier(%x: !x) -> tensor<1x2xf32> {
  %w = nn.constant dense<[[1.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 4.0]]> : !w
  %b = nn.constant dense<[1.0, 2.0, 3.0, 4.0]> : !c
  %v = nn.constant dense<[[2.0, 1.0, 8.0, 1.0], [1.0, 2.0, 1.0, 2.0]]> : tensor<2x4xf32>
  %0 = nn.dense %x, %w bias %b : (!x, !w, !c) -> !x
  %1 = nn.relu %0 : (!x) -> !x
  %2 = quant.observe %1 {method = "min_max", means = dense<1.0> : !c, mean_squares = dense<1.0> : !c, minima = dense<0.0> : !c, maxima = dense<[1.0, 2.0, 3.0, 4.0]> : !c} : !x
  %3 = nn.dense %2, %v : (!x, tensor<2x4xf32>) -> tensor<1x2xf32>
  func.return %3 : tensor<1x2xf32>
}

// CHECK-LABEL: func.func @negative_usual
// CHECK:         tensor<2x4xf32>
// CHECK-NOT:     tensor<2x5xf32>
// CHECK:         func.return
func.func @negative_usual(%x: !x) -> tensor<1x2xf32> {
  %w = nn.constant dense<1.0> : !w
  %v = nn.constant dense<[[2.0, 1.0, 4.0, 1.0], [1.0, 2.0, 1.0, 2.0]]> : tensor<2x4xf32>
  %0 = nn.dense %x, %w : (!x, !w) -> !x
  %1 = nn.dense %0, %v : (!x, tensor<2x4xf32>) -> tensor<1x2xf32>
  func.return %1 : tensor<1x2xf32>
}

// A depthwise layer in between would have to be widened as well, and so on.
// CHECK-LABEL: func.func @negative_depthwise
// CHECK-NOT:     x5xf32>
// CHECK:         func.return
func.func @negative_depthwise(%x: tensor<1x1x1x4xf32>) -> tensor<1x1x1x4xf32> {
  %w = nn.constant dense<1.0> : !w
  %d = nn.constant dense<[[[[1.0]]], [[[1.0]]], [[[8.0]]], [[[1.0]]]]> : tensor<4x1x1x1xf32>
  %0 = nn.dense %x, %w : (tensor<1x1x1x4xf32>, !w) -> tensor<1x1x1x4xf32>
  %1 = nn.conv2d %0, %d strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 4 : (tensor<1x1x1x4xf32>, tensor<4x1x1x1xf32>) -> tensor<1x1x1x4xf32>
  func.return %1 : tensor<1x1x1x4xf32>
}

// CHECK-LABEL: func.func @negative_result
// CHECK-NOT:     x5xf32>
// CHECK:         func.return
func.func @negative_result(%x: !x) -> (!x, tensor<1x2xf32>) {
  %w = nn.constant dense<1.0> : !w
  %v = nn.constant dense<[[2.0, 1.0, 8.0, 1.0], [1.0, 2.0, 1.0, 2.0]]> : tensor<2x4xf32>
  %0 = nn.dense %x, %w : (!x, !w) -> !x
  %1 = nn.dense %0, %v : (!x, tensor<2x4xf32>) -> tensor<1x2xf32>
  func.return %0, %1 : !x, tensor<1x2xf32>
}

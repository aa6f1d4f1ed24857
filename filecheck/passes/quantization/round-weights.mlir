// RUN: intaglio-opt %s -p 'round-weights{data="%S/Inputs/round-weights.npz" precision=a8w4}' | filecheck %s

!x = tensor<1x3xf32>
!w = tensor<1x3xf32>
!c = tensor<1xf32>

// The data is [1, 1, 10] and [1, 1, -10]: the first two inputs are equal. With steps of 1 (7 / 7), weights of 0.5 and
// 0.25 would both go to 0 and leave 0.75; the second makes up for the first, which leaves -0.25 for the bias.
// CHECK-LABEL: func.func @main
// CHECK:         nn.constant dense<{{\[\[}}0.000000e+00, 1.000000e+00, 7.000000e+00]]>
// CHECK-NEXT:    nn.constant dense<9.750000e+00>
func.func @main(%x: !x {onnx.name = "x"}) -> (tensor<1x1xf32> {onnx.name = "y"}) {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -10.0, 10.0>} : !x
  %w = nn.constant dense<[[0.5, 0.25, 7.0]]> : !w
  %b = nn.constant dense<10.0> : !c
  %1 = nn.dense %0, %w bias %b : (!x, !w, !c) -> tensor<1x1xf32>
  %2 = quant.observe %1 {method = "min_max", range = array<f64: -70.0, 90.0>} : tensor<1x1xf32>
  func.return %2 : tensor<1x1xf32>
}

// Data is only for @main.
// CHECK-LABEL: func.func @negative_other_function
// CHECK:         nn.constant dense<{{\[\[}}5.000000e-01, 2.500000e-01, 7.000000e+00]]>
func.func @negative_other_function(%x: !x) -> tensor<1x1xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -10.0, 10.0>} : !x
  %w = nn.constant dense<[[0.5, 0.25, 7.0]]> : !w
  %1 = nn.dense %0, %w : (!x, !w) -> tensor<1x1xf32>
  %2 = quant.observe %1 {method = "min_max", range = array<f64: -70.0, 90.0>} : tensor<1x1xf32>
  func.return %2 : tensor<1x1xf32>
}

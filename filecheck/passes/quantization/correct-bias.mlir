// RUN: intaglio-opt %s -p correct-bias | filecheck %s
// RUN: intaglio-opt %s -p 'correct-bias{weight_per_tensor=true}' | filecheck %s --check-prefix=TENSOR
// RUN: intaglio-opt %s -p 'correct-bias{iterative=true data="%S/Inputs/correct-bias.npz"}' | filecheck %s --check-prefix=ITERATIVE

!x = tensor<1x2xf32>
!w = tensor<2x2xf32>
!c = tensor<2xf32>

// Steps are 1 (127 / 127) and 0.5 (63.5 / 127). 0.25 becomes 0 (halves go to even): the results lack 0.25 * 4 = 1. With
// one step of 1, the second row has 64 instead of 63.5, which makes up for it.
// CHECK-LABEL: func.func @main
// CHECK:         nn.constant dense<[1.100000e+01, 2.100000e+01]> : tensor<2xf32>
// TENSOR-LABEL: func.func @main
// TENSOR:        nn.constant dense<[1.100000e+01, 2.000000e+01]> : tensor<2xf32>
// The data's only sample is [2.0, 4.0]: the same means, and inputs that are exact in the quantized network.
// ITERATIVE-LABEL: func.func @main
// ITERATIVE:       nn.constant dense<[1.100000e+01, 2.100000e+01]> : tensor<2xf32>
func.func @main(%x: !x {onnx.name = "x"}) -> (!x {onnx.name = "y"}) {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -8.0, 247.0>, means = dense<[2.0, 4.0]> : !c, mean_squares = dense<[4.0, 16.0]> : !c, minima = dense<[2.0, 4.0]> : !c, maxima = dense<[2.0, 4.0]> : !c} : !x
  %w = nn.constant dense<[[127.0, 0.25], [63.5, 0.25]]> : !w
  %b = nn.constant dense<[10.0, 20.0]> : !c
  %1 = nn.dense %0, %w bias %b : (!x, !w, !c) -> !x
  %2 = quant.observe %1 {method = "min_max", range = array<f64: -1.0, 300.0>} : !x
  func.return %2 : !x
}

// A layer without bias gets one.
// CHECK-LABEL: func.func @no_bias
// CHECK:         [[b:%.*]] = nn.constant dense<1.000000e+00> : tensor<2xf32>
// CHECK-NEXT:    nn.dense {{.*}} bias [[b]]
func.func @no_bias(%x: !x) -> !x {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -8.0, 247.0>, means = dense<[2.0, 4.0]> : !c, mean_squares = dense<[4.0, 16.0]> : !c, minima = dense<[2.0, 4.0]> : !c, maxima = dense<[2.0, 4.0]> : !c} : !x
  %w = nn.constant dense<[[127.0, 0.25], [127.0, 0.25]]> : !w
  %1 = nn.dense %0, %w : (!x, !w) -> !x
  %2 = quant.observe %1 {method = "min_max", range = array<f64: -1.0, 300.0>} : !x
  func.return %2 : !x
}

// CHECK-LABEL: func.func @negative_not_observed
// CHECK:         nn.constant dense<[1.000000e+01, 2.000000e+01]>
func.func @negative_not_observed(%x: !x) -> !x {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -8.0, 247.0>} : !x
  %w = nn.constant dense<[[127.0, 0.25], [63.5, 0.25]]> : !w
  %b = nn.constant dense<[10.0, 20.0]> : !c
  %1 = nn.dense %0, %w bias %b : (!x, !w, !c) -> !x
  %2 = quant.observe %1 {method = "min_max", range = array<f64: -1.0, 300.0>} : !x
  func.return %2 : !x
}

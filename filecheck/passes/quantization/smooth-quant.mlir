// RUN: intaglio-opt %s -p 'smooth-quant{alpha=0.5}' | filecheck %s
// RUN: intaglio-opt %s -p smooth-quant | filecheck %s --check-prefix=SEARCHED

!x = tensor<1x3x2xf32>
!w = tensor<2x2xf32>
!c = tensor<2xf32>

// Channels with magnitudes of 64 and 1 are read by weights of 1 and 1: half of it, factors of sqrt(8) and its inverse,
// brings them to 8 * sqrt(8) and sqrt(8), and the weights to sqrt(8) and its inverse.
// CHECK-LABEL: func.func @outlier
// CHECK:         nn.constant dense<[22.6274166, 2.82842708]>
// CHECK:         nn.constant dense<[0.353553385, 2.82842708]>
// CHECK:         nn.layer_norm
// CHECK-NEXT:    quant.observe {{.*}} {method = "min_max", means = {{.*}}, maxima = dense<[22.6274166, 2.82842708]> : tensor<2xf32>}
// CHECK:         nn.constant dense<{{\[\[}}2.82842708, 0.353553385], [2.82842708, 0.353553385]]>
// CHECK:         nn.dense
// SEARCHED-LABEL: func.func @outlier
// SEARCHED-NOT:   nn.constant dense<[6.400000e+01, 1.000000e+00]>
// SEARCHED:       nn.layer_norm
func.func @outlier(%x: !x) -> !x {
  %s = nn.constant dense<[64.0, 1.0]> : !c
  %o = nn.constant dense<[1.0, 1.0]> : !c
  %w = nn.constant dense<[[1.0, 1.0], [1.0, 1.0]]> : !w
  %0 = nn.layer_norm %x scale %s offset %o axis 2 epsilon 1.0e-05 : f64 : (!x, !c, !c) -> !x
  %1 = quant.observe %0 {method = "min_max", range = array<f64: -64.0, 64.0>, means = dense<[0.0, 0.0]> : !c, mean_squares = dense<[4096.0, 1.0]> : !c, minima = dense<[-64.0, -1.0]> : !c, maxima = dense<[64.0, 1.0]> : !c} : !x
  %2 = nn.dense %1, %w : (!x, !w) -> !x
  func.return %2 : !x
}

// Without statistics nothing is known of outliers.
// CHECK-LABEL: func.func @negative_not_observed
// CHECK-NEXT:    nn.constant dense<[6.400000e+01, 1.000000e+00]>
func.func @negative_not_observed(%x: !x) -> !x {
  %s = nn.constant dense<[64.0, 1.0]> : !c
  %w = nn.constant dense<[[1.0, 1.0], [1.0, 1.0]]> : !w
  %0 = nn.rms_norm %x scale %s axis 2 epsilon 1.0e-05 : f64 : (!x, !c) -> !x
  %1 = nn.dense %0, %w : (!x, !w) -> !x
  func.return %1 : !x
}

// The residual connection reads the channels in their unit.
// CHECK-LABEL: func.func @negative_other_reader
// CHECK-NEXT:    nn.constant dense<[6.400000e+01, 1.000000e+00]>
func.func @negative_other_reader(%x: !x) -> !x {
  %s = nn.constant dense<[64.0, 1.0]> : !c
  %w = nn.constant dense<[[1.0, 1.0], [1.0, 1.0]]> : !w
  %0 = nn.rms_norm %x scale %s axis 2 epsilon 1.0e-05 : f64 : (!x, !c) -> !x
  %1 = quant.observe %0 {method = "min_max", means = dense<[0.0, 0.0]> : !c, mean_squares = dense<[4096.0, 1.0]> : !c, minima = dense<[-64.0, -1.0]> : !c, maxima = dense<[64.0, 1.0]> : !c} : !x
  %2 = nn.dense %1, %w : (!x, !w) -> !x
  %3 = nn.add %1, %x : (!x, !x) -> !x
  %4 = nn.add %3, %2 : (!x, !x) -> !x
  func.return %4 : !x
}

// Channels that are alike already: the search leaves them.
// SEARCHED-LABEL: func.func @negative_alike
// SEARCHED-NEXT:  nn.constant dense<1.000000e+00>
// SEARCHED-NEXT:  nn.constant dense<1.000000e+00>
func.func @negative_alike(%x: !x) -> !x {
  %s = nn.constant dense<1.0> : !c
  %w = nn.constant dense<1.0> : !w
  %0 = nn.rms_norm %x scale %s axis 2 epsilon 1.0e-05 : f64 : (!x, !c) -> !x
  %1 = quant.observe %0 {method = "min_max", means = dense<[0.0, 0.0]> : !c, mean_squares = dense<[1.0, 1.0]> : !c, minima = dense<[-2.0, -2.0]> : !c, maxima = dense<[2.0, 2.0]> : !c} : !x
  %2 = nn.dense %1, %w : (!x, !w) -> !x
  func.return %2 : !x
}

// RUN: intaglio-opt %s -p equalize-channels | filecheck %s

!x = tensor<1x1x1x2xf32>
!w = tensor<2x1x1x2xf32>
!c = tensor<2xf32>

// The first layer's channels have ranges of 8 and 2, and are read by weights of 2 and 8: factors of 2 and 1/2 make all
// of them alike.
// CHECK-LABEL: func.func @two_layers
// CHECK:         nn.constant dense<{{\[\[\[\[}}4.000000e+00, 2.000000e+00]]], {{\[\[\[}}2.000000e+00, 4.000000e+00]]]]>
// CHECK-NEXT:    nn.constant dense<[1.500000e+00, 1.200000e+01]>
// CHECK-NEXT:    nn.conv2d {{.*}} clamp <0.0, inf>
// CHECK-NEXT:    nn.constant dense<{{\[\[\[\[}}4.000000e+00, 5.000000e-01]]], {{\[\[\[}}2.000000e+00, 4.000000e+00]]]]>
// CHECK-NEXT:    nn.conv2d
func.func @two_layers(%x: !x) -> !x {
  %w = nn.constant dense<[[[[8.0, 4.0]]], [[[1.0, 2.0]]]]> : !w
  %b = nn.constant dense<[3.0, 6.0]> : !c
  %v = nn.constant dense<[[[[2.0, 1.0]]], [[[1.0, 8.0]]]]> : !w
  %0 = nn.conv2d %x, %w bias %b strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 clamp <0.0, inf> : (!x, !w, !c) -> !x
  %1 = nn.conv2d %0, %v strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (!x, !w) -> !x
  func.return %1 : !x
}

// A depthwise layer lies between two groups of channels.
// CHECK-LABEL: func.func @depthwise
// CHECK-COUNT-3: nn.conv2d
// CHECK-NOT:     nn.minimum
func.func @depthwise(%x: !x) -> !x {
  %w = nn.constant dense<[[[[8.0, 4.0]]], [[[1.0, 2.0]]]]> : !w
  %d = nn.constant dense<[[[[2.0]]], [[[4.0]]]]> : tensor<2x1x1x1xf32>
  %0 = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (!x, !w) -> !x
  %1 = nn.conv2d %0, %d strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 2 : (!x, tensor<2x1x1x1xf32>) -> !x
  %2 = nn.conv2d %1, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (!x, !w) -> !x
  func.return %2 : !x
}

// What calibration knows of the channels counts as much as the weights (factors of 4 and 1/4), and follows the factors;
// ranges have to be observed again.
// CHECK-LABEL: func.func @observed
// CHECK:         quant.observe {{.*}} {method = "min_max", means = dense<[2.500000e-01, 4.000000e+00]> : tensor<2xf32>, {{.*}}, maxima = dense<[1.600000e+01, 4.000000e+00]> : tensor<2xf32>}
func.func @observed(%x: !x) -> !x {
  %w = nn.constant dense<[[[[1.0, 1.0]]], [[[1.0, 1.0]]]]> : !w
  %v = nn.constant dense<[[[[1.0, 1.0]]], [[[1.0, 64.0]]]]> : !w
  %0 = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 clamp <0.0, inf> : (!x, !w) -> !x
  %o = quant.observe %0 {method = "min_max", range = array<f64: 0.0, 64.0>, means = dense<1.0> : !c, mean_squares = dense<1.0> : !c, minima = dense<0.0> : !c, maxima = dense<[64.0, 1.0]> : !c} : !x
  %1 = nn.conv2d %o, %v strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (!x, !w) -> !x
  func.return %1 : !x
}

// Nothing is known of the values: the bound becomes one for each channel.
// CHECK-LABEL: func.func @bounded
// CHECK:         [[y:%.*]] = nn.conv2d {{.*}} clamp <0.0, inf>
// CHECK-NEXT:    [[b:%.*]] = nn.constant dense<[3.000000e+00, 1.200000e+01]>
// CHECK-NEXT:    [[m:%.*]] = nn.minimum [[y]], [[b]]
// CHECK:         nn.conv2d [[m]]
func.func @bounded(%x: !x) -> !x {
  %w = nn.constant dense<[[[[8.0, 4.0]]], [[[1.0, 2.0]]]]> : !w
  %v = nn.constant dense<[[[[2.0, 1.0]]], [[[1.0, 8.0]]]]> : !w
  %0 = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 clamp <0.0, 6.0> : (!x, !w) -> !x
  %1 = nn.conv2d %0, %v strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (!x, !w) -> !x
  func.return %1 : !x
}

// The first channel reached the bound and keeps its unit; twice the second one's largest value, 3 in its new unit, is
// that bound, and its own is far beyond.
// CHECK-LABEL: func.func @observed_bound
// CHECK:         nn.constant dense<{{\[\[\[\[}}1.000000e+00, 1.000000e+00]]], {{\[\[\[}}2.000000e+00, 2.000000e+00]]]]>
// CHECK-NEXT:    [[y:%.*]] = nn.conv2d {{.*}} clamp <0.0, inf>
// CHECK-NEXT:    [[b:%.*]] = nn.constant dense<[6.000000e+00, 1.920000e+02]>
// CHECK-NEXT:    [[m:%.*]] = nn.minimum [[y]], [[b]]
// CHECK-NEXT:    quant.observe [[m]]
func.func @observed_bound(%x: !x) -> !x {
  %w = nn.constant dense<[[[[1.0, 1.0]]], [[[0.0625, 0.0625]]]]> : !w
  %v = nn.constant dense<[[[[1.0, 64.0]]], [[[1.0, 64.0]]]]> : !w
  %0 = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 clamp <0.0, 6.0> : (!x, !w) -> !x
  %o = quant.observe %0 {method = "min_max", means = dense<1.0> : !c, mean_squares = dense<1.0> : !c, minima = dense<0.0> : !c, maxima = dense<[6.0, 0.09375]> : !c} : !x
  %1 = nn.conv2d %o, %v strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (!x, !w) -> !x
  func.return %1 : !x
}

// A sigmoid knows the unit of what it reads, a result of the function has the user's, and a value below zero that a
// clamp lets through is not as much below in another unit.
// CHECK-LABEL: func.func @negative_sigmoid
// CHECK:         nn.constant dense<{{\[\[\[\[}}8.000000e+00, 4.000000e+00]]]
func.func @negative_sigmoid(%x: !x) -> !x {
  %w = nn.constant dense<[[[[8.0, 4.0]]], [[[1.0, 2.0]]]]> : !w
  %0 = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (!x, !w) -> !x
  %s = nn.sigmoid %0 : (!x) -> !x
  %1 = nn.conv2d %s, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (!x, !w) -> !x
  func.return %1 : !x
}

// CHECK-LABEL: func.func @negative_result
// CHECK:         nn.constant dense<{{\[\[\[\[}}8.000000e+00, 4.000000e+00]]]
// CHECK:         nn.conv2d
// CHECK-NEXT:    nn.conv2d
func.func @negative_result(%x: !x) -> (!x, !x) {
  %w = nn.constant dense<[[[[8.0, 4.0]]], [[[1.0, 2.0]]]]> : !w
  %0 = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (!x, !w) -> !x
  %1 = nn.conv2d %0, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (!x, !w) -> !x
  func.return %0, %1 : !x, !x
}

// CHECK-LABEL: func.func @negative_lower_bound
// CHECK:         nn.constant dense<{{\[\[\[\[}}8.000000e+00, 4.000000e+00]]]
// CHECK:         clamp <-1.0, inf>
func.func @negative_lower_bound(%x: !x) -> !x {
  %w = nn.constant dense<[[[[8.0, 4.0]]], [[[1.0, 2.0]]]]> : !w
  %0 = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 clamp <-1.0, inf> : (!x, !w) -> !x
  %1 = nn.conv2d %0, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (!x, !w) -> !x
  func.return %1 : !x
}

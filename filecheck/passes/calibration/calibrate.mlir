// RUN: intaglio-opt %s -p 'calibrate{data="%S/Inputs/calibrate.npz"}' | filecheck %s
// RUN: intaglio-opt %s -p 'calibrate{data="%S/Inputs/calibrate.npz" channels=true}' | filecheck %s --check-prefix=CHANNELS

// RUN: intaglio-opt %s -p 'calibrate{data="%S/Inputs/calibrate.npz" method=percentile{percentile_value=50}}' | filecheck %s --check-prefix=EXTREMA

// Three samples: [-1, 2], [0.5, 6] and [3, -0.25]. An earlier range is replaced.

// CHANNELS-LABEL: func.func @main
// CHANNELS-NEXT:  quant.observe %x {{.*}}, means = dense<[0.833333313, 2.58333325]> : tensor<2xf32>, mean_squares = dense<[3.41666675, 13.354167]> : tensor<2xf32>, minima = dense<[-1.000000e+00, -2.500000e-01]> : tensor<2xf32>, maxima = dense<[3.000000e+00, 6.000000e+00]> : tensor<2xf32>} : tensor<2xf32>

// EXTREMA-LABEL: func.func @main
// EXTREMA-NEXT:  quant.observe %x {method = "percentile{percentile_value=50.0}", range = array<f64: {{.*}}>, extrema = array<f64: -1.000000e+00, 6.000000e+00>}

// CHECK-LABEL: func.func @main
// CHECK-NEXT:  quant.observe %x {method = "min_max", range = array<f64: -1.000000e+00, 6.000000e+00>}
// CHECK:       nn.add
// CHECK-NEXT:  quant.observe {{.*}} {method = "min_max", range = array<f64: 0.000000e+00, 4.000000e+00>}
func.func @main(%x: tensor<2xf32> {onnx.name = "x"}) -> (tensor<2xf32> {onnx.name = "y"}) {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -100.0, 100.0>} : tensor<2xf32>
  %1 = nn.constant dense<1.0> : tensor<2xf32>
  %2 = nn.add %0, %1 clamp <0.0, 4.0> : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %3 = quant.observe %2 {method = "min_max"} : tensor<2xf32>
  func.return %3 : tensor<2xf32>
}

// Only @main runs on the data.
// CHECK-LABEL: func.func @negative_other_function
// CHECK-NEXT:  quant.observe %x {method = "min_max"} :
func.func @negative_other_function(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = quant.observe %x {method = "min_max"} : tensor<2xf32>
  func.return %0 : tensor<2xf32>
}

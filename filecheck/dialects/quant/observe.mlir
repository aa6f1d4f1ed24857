// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @observe
// CHECK: %y = quant.observe %x {method = "min_max"} : tensor<4xf32>
// CHECK-NEXT: %z = quant.observe %y {method = "percentile", range = array<f64: -1.500000e+00, 3.000000e-01>} : tensor<4xf32>
// CHECK-NEXT: %w = quant.observe %z {method = "min_max", range = array<f64: 0xC19D6F3454000000, 0x419D6F3454000000>} : tensor<4xf32>
// CHECK-NEXT: %v = quant.observe %w {method = "min_max", range = array<f64: 2.000000e+00, 2.000000e+00>} : tensor<4xf32>
// CHECK-NEXT: quant.observe %v {method = "mse", range = array<f64: -1.000000e+00, 2.000000e+00>, extrema = array<f64: -1.500000e+00, 8.000000e+00>} : tensor<4xf32>
func.func @observe(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = quant.observe %x {method = "min_max"} : tensor<4xf32>
  %z = quant.observe %y {method = "percentile", range = array<f64: -1.5, 0.3>} : tensor<4xf32>
  %w = quant.observe %z {method = "min_max", range = array<f64: -123456789.0, 123456789.0>} : tensor<4xf32>
  %v = quant.observe %w {method = "min_max", range = array<f64: 2.0, 2.0>} : tensor<4xf32>
  %u = quant.observe %v {method = "mse", range = array<f64: -1.0, 2.0>, extrema = array<f64: -1.5, 8.0>} : tensor<4xf32>
  func.return %u : tensor<4xf32>
}

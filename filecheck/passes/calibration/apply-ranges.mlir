// RUN: intaglio-opt %s -p 'apply-ranges{file="%S/Inputs/ranges.json"}' | filecheck %s

// A range from the file replaces an earlier one; a method in it replaces the observer's.

// CHECK-LABEL: func.func @main
// CHECK-NEXT:  quant.observe %x {method = "mse", range = array<f64: -1.500000e+00, 6.000000e+00>}
// CHECK:       nn.add
// CHECK-NEXT:  quant.observe {{.*}} {method = "average", range = array<f64: 0.000000e+00, 4.000000e+00>}
func.func @main(%x: tensor<2xf32> {onnx.name = "x"}) -> (tensor<2xf32> {onnx.name = "y"}) {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -100.0, 100.0>} : tensor<2xf32>
  %1 = nn.constant dense<1.0> : tensor<2xf32>
  %2 = nn.add %0, %1 : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32> loc("sum")
  %3 = quant.observe %2 {method = "average"} : tensor<2xf32> loc("sum")
  func.return %3 : tensor<2xf32>
}

// Ranges are those of @main.
// CHECK-LABEL: func.func @negative_other_function
// CHECK-NEXT:  quant.observe %x {method = "min_max"} :
func.func @negative_other_function(%x: tensor<2xf32> {onnx.name = "x"}) -> tensor<2xf32> {
  %0 = quant.observe %x {method = "min_max"} : tensor<2xf32>
  func.return %0 : tensor<2xf32>
}

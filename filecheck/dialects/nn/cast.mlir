// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @truth_to_float
// CHECK: %y = nn.cast %x : (tensor<2xi1>) -> tensor<2xf32>
func.func @truth_to_float(%x: tensor<2xi1>) -> tensor<2xf32> {
  %y = nn.cast %x : (tensor<2xi1>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// CHECK-LABEL: func.func @float_to_integer
// CHECK: %y = nn.cast %x : (tensor<2x3xf32>) -> tensor<2x3xi64>
func.func @float_to_integer(%x: tensor<2x3xf32>) -> tensor<2x3xi64> {
  %y = nn.cast %x : (tensor<2x3xf32>) -> tensor<2x3xi64>
  func.return %y : tensor<2x3xi64>
}

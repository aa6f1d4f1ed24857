// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @float
// CHECK: %y = nn.local_response_norm %x size 5 alpha 1.000000e-04 : f64 beta 7.500000e-01 : f64 bias 1.000000e+00 : f64 : (tensor<1x2x2x8xf32>) -> tensor<1x2x2x8xf32>
func.func @float(%x: tensor<1x2x2x8xf32>) -> tensor<1x2x2x8xf32> {
  %y = nn.local_response_norm %x size 5 alpha 1.000000e-04 : f64 beta 7.500000e-01 : f64 bias 1.000000e+00 : f64 : (tensor<1x2x2x8xf32>) -> tensor<1x2x2x8xf32>
  func.return %y : tensor<1x2x2x8xf32>
}

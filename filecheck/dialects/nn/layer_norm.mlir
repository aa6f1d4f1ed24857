// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @last
// CHECK: %y = nn.layer_norm %x scale %s offset %o axis 2 epsilon 1.000000e-05 : f64 : (tensor<1x4x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<1x4x8xf32>
func.func @last(%x: tensor<1x4x8xf32>, %s: tensor<8xf32>, %o: tensor<8xf32>) -> tensor<1x4x8xf32> {
  %y = nn.layer_norm %x scale %s offset %o axis 2 epsilon 1.000000e-05 : f64 : (tensor<1x4x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<1x4x8xf32>
  func.return %y : tensor<1x4x8xf32>
}

// CHECK-LABEL: func.func @middle
// CHECK: %y = nn.layer_norm %x scale %s offset %o axis 1 epsilon 1.000000e-05 : f64 : (tensor<1x4x8xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8xf32>
func.func @middle(%x: tensor<1x4x8xf32>, %s: tensor<4xf32>, %o: tensor<4xf32>) -> tensor<1x4x8xf32> {
  %y = nn.layer_norm %x scale %s offset %o axis 1 epsilon 1.000000e-05 : f64 : (tensor<1x4x8xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8xf32>
  func.return %y : tensor<1x4x8xf32>
}

// RUN: intaglio-opt %s -p fuse-layer-norm,eliminate-dead-code | filecheck %s

// As PyTorch's exporter writes it, with scale and offset.
// CHECK-LABEL: func.func @mean_of_squared_distances
// CHECK: nn.constant dense<[1.000000e+00, 2.000000e+00, 3.000000e+00]> : tensor<3xf32>
// CHECK-NEXT: nn.constant dense<[4.000000e+00, 5.000000e+00, 6.000000e+00]> : tensor<3xf32>
// CHECK-NEXT: nn.layer_norm %x scale {{.*}} axis 1 epsilon {{.*}} : f64 : (tensor<2x3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
// CHECK-NEXT: func.return
func.func @mean_of_squared_distances(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %epsilon = nn.constant dense<1.0e-05> : tensor<f32>
  %scale = nn.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
  %offset = nn.constant dense<[4.0, 5.0, 6.0]> : tensor<3xf32>
  %m = nn.reduce_mean %x axes [1] : (tensor<2x3xf32>) -> tensor<2x1xf32>
  %d = nn.sub %x, %m : (tensor<2x3xf32>, tensor<2x1xf32>) -> tensor<2x3xf32>
  %q = nn.mul %d, %d : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %v = nn.reduce_mean %q axes [1] : (tensor<2x3xf32>) -> tensor<2x1xf32>
  %e = nn.add %v, %epsilon : (tensor<2x1xf32>, tensor<f32>) -> tensor<2x1xf32>
  %s = nn.sqrt %e : (tensor<2x1xf32>) -> tensor<2x1xf32>
  %n = nn.div %d, %s : (tensor<2x3xf32>, tensor<2x1xf32>) -> tensor<2x3xf32>
  %f = nn.mul %n, %scale : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %y = nn.add %f, %offset : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

// As TensorFlow's converter writes it: sums, the mean square less the squared mean, a reciprocal that takes the scale.
// CHECK-LABEL: func.func @mean_square_less_squared_mean
// CHECK: nn.layer_norm %x {{.*}} axis 1
// CHECK-NEXT: func.return
func.func @mean_square_less_squared_mean(%x: tensor<2x4x3xf32>) -> tensor<2x4x3xf32> {
  %epsilon = nn.constant dense<1.0e-05> : tensor<f32>
  %quarter = nn.constant dense<0.25> : tensor<f32>
  %scale = nn.constant dense<[[1.0], [2.0], [3.0], [4.0]]> : tensor<4x1xf32>
  %t = nn.reduce_sum %x axes [1] : (tensor<2x4x3xf32>) -> tensor<2x1x3xf32>
  %r = nn.reshape %t : (tensor<2x1x3xf32>) -> tensor<2x3xf32>
  %m = nn.mul %r, %quarter : (tensor<2x3xf32>, tensor<f32>) -> tensor<2x3xf32>
  %q = nn.mul %x, %x : (tensor<2x4x3xf32>, tensor<2x4x3xf32>) -> tensor<2x4x3xf32>
  %u = nn.reduce_sum %q axes [1] : (tensor<2x4x3xf32>) -> tensor<2x1x3xf32>
  %w = nn.reshape %u : (tensor<2x1x3xf32>) -> tensor<2x3xf32>
  %p = nn.mul %w, %quarter : (tensor<2x3xf32>, tensor<f32>) -> tensor<2x3xf32>
  %mm = nn.mul %m, %m : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %v = nn.sub %p, %mm : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %c = nn.clip %v to <0.0, inf> : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %k = nn.reshape %c : (tensor<2x3xf32>) -> tensor<2x1x3xf32>
  %e = nn.add %k, %epsilon : (tensor<2x1x3xf32>, tensor<f32>) -> tensor<2x1x3xf32>
  %s = nn.sqrt %e : (tensor<2x1x3xf32>) -> tensor<2x1x3xf32>
  %i = nn.reciprocal %s : (tensor<2x1x3xf32>) -> tensor<2x1x3xf32>
  %f = nn.mul %i, %scale : (tensor<2x1x3xf32>, tensor<4x1xf32>) -> tensor<2x4x3xf32>
  %mk = nn.reshape %m : (tensor<2x3xf32>) -> tensor<2x1x3xf32>
  %d = nn.sub %x, %mk : (tensor<2x4x3xf32>, tensor<2x1x3xf32>) -> tensor<2x4x3xf32>
  %y = nn.mul %d, %f : (tensor<2x4x3xf32>, tensor<2x4x3xf32>) -> tensor<2x4x3xf32>
  func.return %y : tensor<2x4x3xf32>
}

// The variance is along another dimension than the mean.
// CHECK-LABEL: func.func @negative_two_dimensions
// CHECK-NOT: nn.layer_norm
// CHECK: func.return
func.func @negative_two_dimensions(%x: tensor<3x3xf32>) -> tensor<3x3xf32> {
  %epsilon = nn.constant dense<1.0e-05> : tensor<f32>
  %m = nn.reduce_mean %x axes [1] : (tensor<3x3xf32>) -> tensor<3x1xf32>
  %d = nn.sub %x, %m : (tensor<3x3xf32>, tensor<3x1xf32>) -> tensor<3x3xf32>
  %q = nn.mul %d, %d : (tensor<3x3xf32>, tensor<3x3xf32>) -> tensor<3x3xf32>
  %v = nn.reduce_mean %q axes [0] : (tensor<3x3xf32>) -> tensor<1x3xf32>
  %e = nn.add %v, %epsilon : (tensor<1x3xf32>, tensor<f32>) -> tensor<1x3xf32>
  %s = nn.sqrt %e : (tensor<1x3xf32>) -> tensor<1x3xf32>
  %y = nn.div %d, %s : (tensor<3x3xf32>, tensor<1x3xf32>) -> tensor<3x3xf32>
  func.return %y : tensor<3x3xf32>
}

// The mean has dropped its dimension and broadcasts along the other one.
// CHECK-LABEL: func.func @negative_broadcast
// CHECK-NOT: nn.layer_norm
// CHECK: func.return
func.func @negative_broadcast(%x: tensor<3x3xf32>) -> tensor<3x3xf32> {
  %epsilon = nn.constant dense<1.0e-05> : tensor<f32>
  %m = nn.reduce_mean %x axes [1] : (tensor<3x3xf32>) -> tensor<3x1xf32>
  %r = nn.reshape %m : (tensor<3x1xf32>) -> tensor<3xf32>
  %d = nn.sub %x, %r : (tensor<3x3xf32>, tensor<3xf32>) -> tensor<3x3xf32>
  %q = nn.mul %d, %d : (tensor<3x3xf32>, tensor<3x3xf32>) -> tensor<3x3xf32>
  %v = nn.reduce_mean %q axes [1] : (tensor<3x3xf32>) -> tensor<3x1xf32>
  %e = nn.add %v, %epsilon : (tensor<3x1xf32>, tensor<f32>) -> tensor<3x1xf32>
  %s = nn.sqrt %e : (tensor<3x1xf32>) -> tensor<3x1xf32>
  %y = nn.div %d, %s : (tensor<3x3xf32>, tensor<3x1xf32>) -> tensor<3x3xf32>
  func.return %y : tensor<3x3xf32>
}

// An offset that varies along another dimension stays.
// CHECK-LABEL: func.func @negative_offset
// CHECK: nn.layer_norm
// CHECK-NEXT: nn.add
func.func @negative_offset(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
  %p = nn.constant dense<1.0> : tensor<4xf32>
  %c = nn.constant dense<[[1.0], [2.0], [3.0]]> : tensor<3x1xf32>
  %n = nn.layer_norm %x scale %p offset %p axis 1 epsilon 1.0e-05 : f64 : (tensor<3x4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<3x4xf32>
  %y = nn.add %n, %c : (tensor<3x4xf32>, tensor<3x1xf32>) -> tensor<3x4xf32>
  func.return %y : tensor<3x4xf32>
}

// RUN: intaglio-opt %s -p onnx-to-nn | filecheck %s

builtin.module attributes {onnx.opset_import = {"" = 17 : i64}} {
  // Weights become OHWI, padding explicit; the transposes carry the node's location.
  // CHECK-LABEL: func.func @conv
  // CHECK-NEXT: %0 = nn.transpose %x permutation [0, 2, 3, 1] : (tensor<1x2x4x5xf32>) -> tensor<1x4x5x2xf32> loc("stem/Conv")
  // CHECK-NEXT: %w = nn.constant dense<{{\[\[\[\[1.000000e\+00, 3.000000e\+00\], \[2.000000e\+00, 4.000000e\+00\]\]\]\]}}> : tensor<1x1x2x2xf32> loc("weight")
  // CHECK-NEXT: %1 = nn.conv2d %0, %w strides [2, 2] pads [0, 0, 0, 1] dilations [1, 1] groups 1 : (tensor<1x4x5x2xf32>, tensor<1x1x2x2xf32>) -> tensor<1x2x3x1xf32> loc("stem/Conv")
  // CHECK-NEXT: %y = nn.transpose %1 permutation [0, 3, 1, 2] : (tensor<1x2x3x1xf32>) -> tensor<1x1x2x3xf32> loc("stem/Conv")
  // CHECK-NEXT: func.return %y
  func.func @conv(%x: tensor<1x2x4x5xf32>) -> tensor<1x1x2x3xf32> {
    %w = onnx.initializer "weight" = dense<[[[[1.0, 2.0]], [[3.0, 4.0]]]]> : tensor<1x2x1x2xf32>
    %y = onnx.Conv(%x, %w) as "y" {auto_pad = "SAME_UPPER", strides = [2, 2]} : (tensor<1x2x4x5xf32>, tensor<1x2x1x2xf32>) -> tensor<1x1x2x3xf32> loc("stem/Conv")
    func.return %y : tensor<1x1x2x3xf32>
  }

  // CHECK-LABEL: func.func @conv_of_one_dimension
  // CHECK: nn.transpose %x permutation [0, 2, 1] : (tensor<1x2x7xf32>) -> tensor<1x7x2xf32>
  // CHECK: nn.reshape {{.*}} -> tensor<1x1x7x2xf32>
  // CHECK: nn.conv2d {{.*}} strides [1, 2] pads [0, 1, 0, 2] dilations [1, 1] groups 2 : (tensor<1x1x7x2xf32>, tensor<2x1x3x1xf32>) -> tensor<1x1x4x2xf32>
  // CHECK: nn.reshape {{.*}} -> tensor<1x4x2xf32>
  // CHECK: nn.transpose {{.*}} permutation [0, 2, 1] : (tensor<1x4x2xf32>) -> tensor<1x2x4xf32>
  func.func @conv_of_one_dimension(%x: tensor<1x2x7xf32>) -> tensor<1x2x4xf32> {
    %w = onnx.initializer "weight" = dense<1.0> : tensor<2x1x3xf32>
    %y = onnx.Conv(%x, %w) {group = 2, pads = [1, 2], strides = [2]} : (tensor<1x2x7xf32>, tensor<2x1x3xf32>) -> tensor<1x2x4xf32>
    func.return %y : tensor<1x2x4xf32>
  }

  // CHECK-LABEL: func.func @gemm
  // CHECK-NEXT: %c = nn.constant dense<1.500000e+00> : tensor<2xf32>
  // CHECK-NEXT: %w = nn.constant dense<{{\[\[2.000000e\+00, 6.000000e\+00\], \[4.000000e\+00, 8.000000e\+00\]\]}}> : tensor<2x2xf32>
  // CHECK-NEXT: nn.dense %x, %w bias %c : (tensor<1x2xf32>, tensor<2x2xf32>, tensor<2xf32>) -> tensor<1x2xf32> loc("y")
  func.func @gemm(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
    %w = onnx.initializer "w" = dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
    %c = onnx.initializer "c" = dense<0.5> : tensor<1x1xf32>
    %y = onnx.Gemm(%x, %w, %c) as "y" {alpha = 2.0, beta = 3.0} : (tensor<1x2xf32>, tensor<2x2xf32>, tensor<1x1xf32>) -> tensor<1x2xf32>
    func.return %y : tensor<1x2xf32>
  }

  // The window that only ceil_mode allows is padding at the end, which is not counted.
  // CHECK-LABEL: func.func @pool_with_ceil_mode
  // CHECK: nn.max_pool2d {{.*}} kernel [2, 2] strides [2, 2] pads [0, 0, 1, 1] dilations [1, 1] : (tensor<1x5x5x1xf32>) -> tensor<1x3x3x1xf32>
  // CHECK: nn.avg_pool2d {{.*}} kernel [2, 2] strides [2, 2] pads [0, 0, 1, 1] count_include_pad false : (tensor<1x3x3x1xf32>) -> tensor<1x2x2x1xf32>
  func.func @pool_with_ceil_mode(%x: tensor<1x1x5x5xf32>) -> tensor<1x1x2x2xf32> {
    %a = onnx.MaxPool(%x) {ceil_mode = 1, kernel_shape = [2, 2], strides = [2, 2]} : (tensor<1x1x5x5xf32>) -> tensor<1x1x3x3xf32>
    %b = onnx.AveragePool(%a) {ceil_mode = 1, count_include_pad = 1, kernel_shape = [2, 2], strides = [2, 2]} : (tensor<1x1x3x3xf32>) -> tensor<1x1x2x2xf32>
    func.return %b : tensor<1x1x2x2xf32>
  }

  // CHECK-LABEL: func.func @global_pool_and_reshape
  // CHECK: nn.avg_pool2d {{.*}} kernel [4, 6] strides [1, 1] pads [0, 0, 0, 0] count_include_pad false : (tensor<1x4x6x3xf32>) -> tensor<1x1x1x3xf32>
  // CHECK: nn.reshape {{.*}} : (tensor<1x3x1x1xf32>) -> tensor<1x3xf32>
  func.func @global_pool_and_reshape(%x: tensor<1x3x4x6xf32>) -> tensor<1x3xf32> {
    %p = onnx.GlobalAveragePool(%x) : (tensor<1x3x4x6xf32>) -> tensor<1x3x1x1xf32>
    %y = onnx.Flatten(%p) : (tensor<1x3x1x1xf32>) -> tensor<1x3xf32>
    func.return %y : tensor<1x3xf32>
  }

  // Bounds are constants from nodes here; the largest float is no bound. Unused constants go.
  // CHECK-LABEL: func.func @clip
  // CHECK-NEXT: nn.clip %x to <0.0, 6.0> :
  // CHECK-NEXT: nn.clip {{.*}} to <-inf, 3.0> :
  // CHECK-NEXT: func.return
  func.func @clip(%x: tensor<4xf32>) -> tensor<4xf32> {
    %l = onnx.Constant() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %h = onnx.Constant() {value_float = 6.0} : () -> tensor<f32>
    %m = onnx.Constant() {value = dense<-3.4028234663852886e+38> : tensor<f32>} : () -> tensor<f32>
    %t = onnx.Constant() {value = dense<3.0> : tensor<f32>} : () -> tensor<f32>
    %a = onnx.Clip(%x, %l, %h) : (tensor<4xf32>, tensor<f32>, tensor<f32>) -> tensor<4xf32>
    %y = onnx.Clip(%a, %m, %t) : (tensor<4xf32>, tensor<f32>, tensor<f32>) -> tensor<4xf32>
    func.return %y : tensor<4xf32>
  }

  // CHECK-LABEL: func.func @batch_normalization
  // CHECK: nn.transpose %x permutation [0, 2, 1]
  // CHECK: nn.batch_norm {{.*}} scale %p offset %p mean %p variance %p epsilon 2.500000e-01 : f64 : (tensor<1x4x2xf32>
  // CHECK: nn.transpose {{.*}} permutation [0, 2, 1]
  func.func @batch_normalization(%x: tensor<1x2x4xf32>, %p: tensor<2xf32>) -> tensor<1x2x4xf32> {
    %y = onnx.BatchNormalization(%x, %p, %p, %p, %p) {epsilon = 0.25} : (tensor<1x2x4xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2x4xf32>
    func.return %y : tensor<1x2x4xf32>
  }

  // CHECK-LABEL: func.func @softmax
  // CHECK-NEXT: nn.softmax %x axis 1 : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  func.func @softmax(%x: tensor<2x3x4xf32>) -> tensor<2x3x4xf32> {
    %y = onnx.Softmax(%x) {axis = -2} : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
    func.return %y : tensor<2x3x4xf32>
  }

  // CHECK-LABEL: func.func @negative_indices_of_the_maximum
  // CHECK-NEXT: onnx.MaxPool
  func.func @negative_indices_of_the_maximum(%x: tensor<1x1x4x4xf32>) -> tensor<1x1x2x2xi64> {
    %y, %i = onnx.MaxPool(%x) {kernel_shape = [2, 2], strides = [2, 2]} : (tensor<1x1x4x4xf32>) -> (tensor<1x1x2x2xf32>, tensor<1x1x2x2xi64>)
    func.return %i : tensor<1x1x2x2xi64>
  }

  // CHECK-LABEL: func.func @negative_three_dimensions
  // CHECK-NEXT: onnx.Conv
  func.func @negative_three_dimensions(%x: tensor<1x1x4x4x4xf32>, %w: tensor<1x1x1x1x1xf32>) -> tensor<1x1x4x4x4xf32> {
    %y = onnx.Conv(%x, %w) : (tensor<1x1x4x4x4xf32>, tensor<1x1x1x1x1xf32>) -> tensor<1x1x4x4x4xf32>
    func.return %y : tensor<1x1x4x4x4xf32>
  }

  // CHECK-LABEL: func.func @negative_dynamic_shape
  // CHECK-NEXT: onnx.Relu
  func.func @negative_dynamic_shape(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
    %y = onnx.Relu(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    func.return %y : tensor<?x4xf32>
  }

  // CHECK-LABEL: func.func @negative_integers
  // CHECK-NEXT: onnx.Add
  func.func @negative_integers(%x: tensor<4xi64>) -> tensor<4xi64> {
    %y = onnx.Add(%x, %x) : (tensor<4xi64>, tensor<4xi64>) -> tensor<4xi64>
    func.return %y : tensor<4xi64>
  }

  // CHECK-LABEL: func.func @negative_bound_known_at_run_time
  // CHECK-NEXT: onnx.Clip
  func.func @negative_bound_known_at_run_time(%x: tensor<4xf32>, %m: tensor<f32>) -> tensor<4xf32> {
    %y = onnx.Clip(%x, %m) : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
    func.return %y : tensor<4xf32>
  }

  // CHECK-LABEL: func.func @negative_training
  // CHECK-NEXT: onnx.BatchNormalization
  func.func @negative_training(%x: tensor<1x2x4xf32>, %p: tensor<2xf32>) -> tensor<1x2x4xf32> {
    %y = onnx.BatchNormalization(%x, %p, %p, %p, %p) {training_mode = 1} : (tensor<1x2x4xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2x4xf32>
    func.return %y : tensor<1x2x4xf32>
  }

  // Reflection goes back and forth more than once.
  // CHECK-LABEL: func.func @negative_reflection
  // CHECK: onnx.Pad
  func.func @negative_reflection(%x: tensor<4xf32>) -> tensor<14xf32> {
    %p = onnx.initializer "p" = dense<5> : tensor<2xi64>
    %y = onnx.Pad(%x, %p) {mode = "reflect"} : (tensor<4xf32>, tensor<2xi64>) -> tensor<14xf32>
    func.return %y : tensor<14xf32>
  }

  // CHECK-LABEL: func.func @negative_no_rule
  // CHECK-NEXT: onnx.Sin
  // CHECK-NEXT: nn.relu
  func.func @negative_no_rule(%x: tensor<4xf32>) -> tensor<4xf32> {
    %a = onnx.Sin(%x) : (tensor<4xf32>) -> tensor<4xf32>
    %y = onnx.Relu(%a) : (tensor<4xf32>) -> tensor<4xf32>
    func.return %y : tensor<4xf32>
  }
}

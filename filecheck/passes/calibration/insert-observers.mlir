// RUN: intaglio-opt %s -p insert-observers | filecheck %s
// RUN: intaglio-opt %s -p 'insert-observers{channels=true}' | filecheck %s --check-prefix=CHANNELS

// CHECK-LABEL: func.func @input_after_change_of_layout
// CHECK-NEXT:    [[t:%.*]] = nn.transpose
// CHECK-NEXT:    [[x:%.*]] = quant.observe [[t]] {method = "mse"} : tensor<1x8x8x3xf32>
// CHECK-NEXT:    nn.constant
// CHECK-NEXT:    [[y:%.*]] = nn.conv2d [[x]],
// CHECK-NEXT:    [[o:%.*]] = quant.observe [[y]] {method = "mse"} : tensor<1x8x8x1xf32> loc("conv")
// CHECK-NEXT:    func.return [[o]]
func.func @input_after_change_of_layout(%x: tensor<1x3x8x8xf32>) -> tensor<1x8x8x1xf32> {
  %t = nn.transpose %x permutation [0, 2, 3, 1] : (tensor<1x3x8x8xf32>) -> tensor<1x8x8x3xf32>
  %w = nn.constant dense<1.0> : tensor<1x1x1x3xf32>
  %y = nn.conv2d %t, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x8x8x3xf32>, tensor<1x1x1x3xf32>) -> tensor<1x8x8x1xf32> loc("conv")
  func.return %y : tensor<1x8x8x1xf32>
}

// One observer for all uses of a value, at its definition.
// CHECK-LABEL: func.func @all_uses
// CHECK-NEXT:    [[x:%.*]] = quant.observe %{{.*}} {method = "mse"} : tensor<4xf32>
// CHECK-NEXT:    [[y:%.*]] = nn.sigmoid [[x]]
// CHECK-NEXT:    [[o:%.*]] = quant.observe [[y]]
// CHECK-NEXT:    [[z:%.*]] = nn.mul [[x]], [[o]]
// CHECK-NEXT:    [[p:%.*]] = quant.observe [[z]]
// CHECK-NEXT:    func.return [[o]], [[p]]
func.func @all_uses(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %y = nn.sigmoid %x : (tensor<4xf32>) -> tensor<4xf32>
  %z = nn.mul %x, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %y, %z : tensor<4xf32>, tensor<4xf32>
}

// The float input of a concat of quantized values is observed; what shares parameters is not.
// CHECK-LABEL: func.func @shared_parameters
// CHECK-NEXT:    quant.observe
// CHECK-NEXT:    quant.observe
// CHECK-NEXT:    nn.relu
// CHECK-NEXT:    quant.observe
// CHECK-NEXT:    nn.concat
// CHECK-NEXT:    nn.reshape
// CHECK-NEXT:    func.return
func.func @shared_parameters(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<2x4xf32> {
  %0 = nn.relu %x : (tensor<4xf32>) -> tensor<4xf32>
  %1 = nn.concat %0, %y axis 0 : (tensor<4xf32>, tensor<4xf32>) -> tensor<8xf32>
  %2 = nn.reshape %1 : (tensor<8xf32>) -> tensor<2x4xf32>
  func.return %2 : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @pool_of_an_input
// CHECK-NEXT:    quant.observe
// CHECK-NEXT:    nn.max_pool2d
// CHECK-NEXT:    func.return
func.func @pool_of_an_input(%x: tensor<1x2x2x1xf32>) -> tensor<1x1x1x1xf32> {
  %y = nn.max_pool2d %x kernel [2, 2] strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x2x2x1xf32>) -> tensor<1x1x1x1xf32>
  func.return %y : tensor<1x1x1x1xf32>
}

// What runs in floats needs no range, and neither do elements that only move between floats.
// CHECK-LABEL: func.func @negative_float_only
// CHECK-NOT:     quant.observe
// CHECK:         func.return
func.func @negative_float_only(%x: tensor<1x4xf32>, %w: tensor<4x4xf32>) -> tensor<2x2xf32> {
  %0 = nn.pow %x, %x : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32>
  %1 = nn.pow %0, %x : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32>
  %2 = nn.dense %1, %w : (tensor<1x4xf32>, tensor<4x4xf32>) -> tensor<1x4xf32>
  %3 = nn.reshape %2 : (tensor<1x4xf32>) -> tensor<2x2xf32>
  func.return %3 : tensor<2x2xf32>
}

// CHECK-LABEL: func.func @negative_other_types
// CHECK-NOT:     quant.observe
// CHECK:         func.return
func.func @negative_other_types(%x: tensor<4xf64>) -> tensor<4xf64> {
  %y = nn.relu %x : (tensor<4xf64>) -> tensor<4xf64>
  func.return %y : tensor<4xf64>
}

// Observers that are there already stay alone.
// CHECK-LABEL: func.func @negative_observed
// CHECK-NEXT:    quant.observe %{{.*}} {method = "min_max", range = array<f64: -1.000000e+00, 1.000000e+00>}
// CHECK-NEXT:    nn.tanh
// CHECK-NEXT:    quant.observe
// CHECK-NEXT:    func.return
func.func @negative_observed(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -1.0, 1.0>} : tensor<4xf32>
  %1 = nn.tanh %0 : (tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.observe %1 {method = "min_max"} : tensor<4xf32>
  func.return %2 : tensor<4xf32>
}

// A pool shares its input's parameters; its channels are looked at because a layer reads them.
// CHECK-LABEL: func.func @layer_behind_pool
// CHECK-NEXT:    quant.observe %{{.*}}
// CHECK:         nn.max_pool2d
// CHECK-NOT:     quant.observe {{.*}}tensor<1x1x1x2xf32>
// CHECK:         nn.dense
// CHANNELS-LABEL: func.func @layer_behind_pool
// CHANNELS-NEXT:    quant.observe %{{.*}}
// CHANNELS:         [[p:%.*]] = nn.max_pool2d
// CHANNELS-NEXT:    quant.observe [[p]] {method = "mse"} : tensor<1x1x1x2xf32>
func.func @layer_behind_pool(%x: tensor<1x2x2x2xf32>) -> tensor<1x1x1x3xf32> {
  %w = nn.constant dense<1.0> : tensor<3x2xf32>
  %p = nn.max_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x2x2x2xf32>) -> tensor<1x1x1x2xf32>
  %y = nn.dense %p, %w : (tensor<1x1x1x2xf32>, tensor<3x2xf32>) -> tensor<1x1x1x3xf32>
  func.return %y : tensor<1x1x1x3xf32>
}

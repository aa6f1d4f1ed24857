// RUN: intaglio-opt %s -p fold-transposes | filecheck %s

// CHECK-LABEL: func.func @inverse_transposes
// CHECK-NEXT: func.return %x
func.func @inverse_transposes(%x: tensor<1x8x4x3xf32>) -> tensor<1x8x4x3xf32> {
  %a = nn.transpose %x permutation [0, 3, 1, 2] : (tensor<1x8x4x3xf32>) -> tensor<1x3x8x4xf32>
  %y = nn.transpose %a permutation [0, 2, 3, 1] : (tensor<1x3x8x4xf32>) -> tensor<1x8x4x3xf32>
  func.return %y : tensor<1x8x4x3xf32>
}

// CHECK-LABEL: func.func @two_become_one
// CHECK-NEXT: %y = nn.transpose %x permutation [0, 1, 3, 2] {{.*}} loc("second")
// CHECK-NEXT: func.return %y
func.func @two_become_one(%x: tensor<2x8x4x3xf32>) -> tensor<2x8x3x4xf32> {
  %a = nn.transpose %x permutation [0, 3, 1, 2] : (tensor<2x8x4x3xf32>) -> tensor<2x3x8x4xf32> loc("first")
  %y = nn.transpose %a permutation [0, 2, 1, 3] : (tensor<2x3x8x4xf32>) -> tensor<2x8x3x4xf32> loc("second")
  func.return %y : tensor<2x8x3x4xf32>
}

// CHECK-LABEL: func.func @below_activation
// CHECK-NEXT: %{{.*}} = nn.clip %x to <0.0, 6.0> : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("clip")
// CHECK-NEXT: nn.transpose %{{.*}} permutation [1, 0]
// CHECK-NEXT: func.return
func.func @below_activation(%x: tensor<2x3xf32>) -> tensor<3x2xf32> {
  %a = nn.transpose %x permutation [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %y = nn.clip %a to <0.0, 6.0> : (tensor<3x2xf32>) -> tensor<3x2xf32> loc("clip")
  func.return %y : tensor<3x2xf32>
}

// CHECK-LABEL: func.func @below_sum_of_transposes
// CHECK-NEXT: nn.add %a, %b clamp <0.0, inf> : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
// CHECK-NEXT: nn.transpose
// CHECK-NEXT: func.return
func.func @below_sum_of_transposes(%a: tensor<2x3xf32>, %b: tensor<2x3xf32>) -> tensor<3x2xf32> {
  %c = nn.transpose %a permutation [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %d = nn.transpose %b permutation [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %y = nn.add %c, %d clamp <0.0, inf> : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x2xf32>
  func.return %y : tensor<3x2xf32>
}

// A constant per channel, of lower rank in NCHW, becomes one of NHWC.
// CHECK-LABEL: func.func @constant_per_channel
// CHECK-NEXT: %b = nn.constant dense<{{.*}}> : tensor<1x1x1x3xf32> loc("offsets")
// CHECK-NEXT: nn.add %x, %b : (tensor<1x8x4x3xf32>, tensor<1x1x1x3xf32>) -> tensor<1x8x4x3xf32>
// CHECK-NEXT: nn.transpose
// CHECK-NEXT: func.return
func.func @constant_per_channel(%x: tensor<1x8x4x3xf32>) -> tensor<1x3x8x4xf32> {
  %a = nn.transpose %x permutation [0, 3, 1, 2] : (tensor<1x8x4x3xf32>) -> tensor<1x3x8x4xf32>
  %b = nn.constant dense<[[[1.0]], [[2.0]], [[3.0]]]> : tensor<3x1x1xf32> loc("offsets")
  %y = nn.add %a, %b : (tensor<1x3x8x4xf32>, tensor<3x1x1xf32>) -> tensor<1x3x8x4xf32>
  func.return %y : tensor<1x3x8x4xf32>
}

// CHECK-LABEL: func.func @number
// CHECK-NEXT: %b = nn.constant dense<3.000000e+00> : tensor<f32>
// CHECK-NEXT: nn.mul %b, %x : (tensor<f32>, tensor<2x3xf32>) -> tensor<2x3xf32>
// CHECK-NEXT: nn.transpose
func.func @number(%x: tensor<2x3xf32>) -> tensor<3x2xf32> {
  %a = nn.transpose %x permutation [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %b = nn.constant dense<3.0> : tensor<f32>
  %y = nn.mul %b, %a : (tensor<f32>, tensor<3x2xf32>) -> tensor<3x2xf32>
  func.return %y : tensor<3x2xf32>
}

// The gate of a squeeze-excite block: one spatial position, so a reshape aligns it.
// CHECK-LABEL: func.func @gate_of_one_position
// CHECK-NEXT: %[[G:.*]] = nn.reshape %g : (tensor<1x3xf32>) -> tensor<1x1x1x3xf32>
// CHECK-NEXT: nn.mul %x, %[[G]] : (tensor<1x8x4x3xf32>, tensor<1x1x1x3xf32>) -> tensor<1x8x4x3xf32>
// CHECK-NEXT: nn.transpose
func.func @gate_of_one_position(%x: tensor<1x8x4x3xf32>, %g: tensor<1x3xf32>) -> tensor<1x3x8x4xf32> {
  %a = nn.transpose %x permutation [0, 3, 1, 2] : (tensor<1x8x4x3xf32>) -> tensor<1x3x8x4xf32>
  %b = nn.reshape %g : (tensor<1x3xf32>) -> tensor<1x3x1x1xf32>
  %y = nn.mul %a, %b : (tensor<1x3x8x4xf32>, tensor<1x3x1x1xf32>) -> tensor<1x3x8x4xf32>
  func.return %y : tensor<1x3x8x4xf32>
}

// CHECK-LABEL: func.func @below_concat
// CHECK-NEXT: nn.concat %a, %b axis 3 : (tensor<1x8x4x3xf32>, tensor<1x8x4x5xf32>) -> tensor<1x8x4x8xf32>
// CHECK-NEXT: nn.transpose %{{.*}} permutation [0, 3, 1, 2]
// CHECK-NEXT: func.return
func.func @below_concat(%a: tensor<1x8x4x3xf32>, %b: tensor<1x8x4x5xf32>) -> tensor<1x8x8x4xf32> {
  %c = nn.transpose %a permutation [0, 3, 1, 2] : (tensor<1x8x4x3xf32>) -> tensor<1x3x8x4xf32>
  %d = nn.transpose %b permutation [0, 3, 1, 2] : (tensor<1x8x4x5xf32>) -> tensor<1x5x8x4xf32>
  %y = nn.concat %c, %d axis 1 : (tensor<1x3x8x4xf32>, tensor<1x5x8x4xf32>) -> tensor<1x8x8x4xf32>
  func.return %y : tensor<1x8x8x4xf32>
}

// CHECK-LABEL: func.func @below_pad
// CHECK-NEXT: nn.pad %x low [0, 1, 2, 0] high [0, 3, 4, 5] value 1.000000e+00 : f64 : (tensor<1x8x4x3xf32>) -> tensor<1x12x10x8xf32>
// CHECK-NEXT: nn.transpose %{{.*}} permutation [0, 3, 1, 2]
// CHECK-NEXT: func.return
func.func @below_pad(%x: tensor<1x8x4x3xf32>) -> tensor<1x8x12x10xf32> {
  %a = nn.transpose %x permutation [0, 3, 1, 2] : (tensor<1x8x4x3xf32>) -> tensor<1x3x8x4xf32>
  %y = nn.pad %a low [0, 0, 1, 2] high [0, 5, 3, 4] value 1.0 : f64 : (tensor<1x3x8x4xf32>) -> tensor<1x8x12x10xf32>
  func.return %y : tensor<1x8x12x10xf32>
}

// CHECK-LABEL: func.func @below_softmax
// CHECK-NEXT: nn.softmax %x axis 3
// CHECK-NEXT: nn.transpose
func.func @below_softmax(%x: tensor<1x8x4x3xf32>) -> tensor<1x3x8x4xf32> {
  %a = nn.transpose %x permutation [0, 3, 1, 2] : (tensor<1x8x4x3xf32>) -> tensor<1x3x8x4xf32>
  %y = nn.softmax %a axis 1 : (tensor<1x3x8x4xf32>) -> tensor<1x3x8x4xf32>
  func.return %y : tensor<1x3x8x4xf32>
}

// CHECK-LABEL: func.func @constant_operand
// CHECK-NEXT: nn.constant dense<{{.*}}> : tensor<3x2xf32>
// CHECK-NEXT: func.return
func.func @constant_operand() -> tensor<3x2xf32> {
  %a = nn.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %y = nn.transpose %a permutation [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  func.return %y : tensor<3x2xf32>
}

// CHECK-LABEL: func.func @one_channel
// CHECK-NEXT: nn.reshape %x : (tensor<1x1x8x4xf32>) -> tensor<1x8x4x1xf32>
// CHECK-NEXT: func.return
func.func @one_channel(%x: tensor<1x1x8x4xf32>) -> tensor<1x8x4x1xf32> {
  %y = nn.transpose %x permutation [0, 2, 3, 1] : (tensor<1x1x8x4xf32>) -> tensor<1x8x4x1xf32>
  func.return %y : tensor<1x8x4x1xf32>
}

// CHECK-LABEL: func.func @flatten_of_one_position
// CHECK-NEXT: nn.reshape %x : (tensor<1x1x1x6xf32>) -> tensor<1x6xf32>
// CHECK-NEXT: func.return
func.func @flatten_of_one_position(%x: tensor<1x1x1x6xf32>) -> tensor<1x6xf32> {
  %a = nn.transpose %x permutation [0, 3, 1, 2] : (tensor<1x1x1x6xf32>) -> tensor<1x6x1x1xf32>
  %y = nn.reshape %a : (tensor<1x6x1x1xf32>) -> tensor<1x6xf32>
  func.return %y : tensor<1x6xf32>
}

// CHECK-LABEL: func.func @identities
// CHECK-NEXT: func.return %x
func.func @identities(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %a = nn.transpose %x permutation [0, 1] : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %b = nn.reshape %a : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %c = nn.reshape %b : (tensor<2x3xf32>) -> tensor<6xf32>
  %y = nn.reshape %c : (tensor<6xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

// The other operand would need a transpose of its own.
// CHECK-LABEL: func.func @negative_other_operand_in_another_layout
// CHECK-NEXT: nn.transpose %a
// CHECK-NEXT: nn.add %{{.*}}, %b
func.func @negative_other_operand_in_another_layout(%a: tensor<2x3xf32>, %b: tensor<3x2xf32>) -> tensor<3x2xf32> {
  %c = nn.transpose %a permutation [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %y = nn.add %c, %b : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x2xf32>
  func.return %y : tensor<3x2xf32>
}

// Channels are shuffled where they are; the transposes around it meet and cancel.
// CHECK-LABEL: func.func @channel_shuffle
// CHECK-NEXT: nn.reshape %x : (tensor<1x4x5x6xf32>) -> tensor<1x4x5x2x3xf32>
// CHECK-NEXT: nn.transpose %{{.*}} permutation [0, 1, 2, 4, 3] : (tensor<1x4x5x2x3xf32>) -> tensor<1x4x5x3x2xf32>
// CHECK-NEXT: nn.reshape %{{.*}} : (tensor<1x4x5x3x2xf32>) -> tensor<1x4x5x6xf32>
// CHECK-NEXT: func.return
func.func @channel_shuffle(%x: tensor<1x4x5x6xf32>) -> tensor<1x4x5x6xf32> {
  %t = nn.transpose %x permutation [0, 3, 1, 2] : (tensor<1x4x5x6xf32>) -> tensor<1x6x4x5xf32>
  %a = nn.reshape %t : (tensor<1x6x4x5xf32>) -> tensor<1x2x3x4x5xf32>
  %b = nn.transpose %a permutation [0, 2, 1, 3, 4] : (tensor<1x2x3x4x5xf32>) -> tensor<1x3x2x4x5xf32>
  %c = nn.reshape %b : (tensor<1x3x2x4x5xf32>) -> tensor<1x6x4x5xf32>
  %y = nn.transpose %c permutation [0, 2, 3, 1] : (tensor<1x6x4x5xf32>) -> tensor<1x4x5x6xf32>
  func.return %y : tensor<1x4x5x6xf32>
}

// Rows take part in it: that is no shuffle of one dimension.
// CHECK-LABEL: func.func @negative_shuffle_of_two_dimensions
// CHECK-NEXT: nn.transpose %x permutation [0, 3, 1, 2]
// CHECK-NEXT: nn.reshape
// CHECK-NEXT: nn.transpose %{{.*}} permutation [0, 3, 1, 2, 4]
// CHECK-NEXT: nn.reshape
func.func @negative_shuffle_of_two_dimensions(%x: tensor<1x4x5x6xf32>) -> tensor<1x6x4x5xf32> {
  %t = nn.transpose %x permutation [0, 3, 1, 2] : (tensor<1x4x5x6xf32>) -> tensor<1x6x4x5xf32>
  %a = nn.reshape %t : (tensor<1x6x4x5xf32>) -> tensor<1x2x3x4x5xf32>
  %b = nn.transpose %a permutation [0, 3, 1, 2, 4] : (tensor<1x2x3x4x5xf32>) -> tensor<1x4x2x3x5xf32>
  %c = nn.reshape %b : (tensor<1x4x2x3x5xf32>) -> tensor<1x6x4x5xf32>
  func.return %c : tensor<1x6x4x5xf32>
}

// CHECK-LABEL: func.func @negative_operation_with_a_layout
// CHECK-NEXT: nn.transpose
// CHECK-NEXT: nn.max_pool2d
func.func @negative_operation_with_a_layout(%x: tensor<1x3x8x4xf32>) -> tensor<1x4x2x3xf32> {
  %a = nn.transpose %x permutation [0, 2, 3, 1] : (tensor<1x3x8x4xf32>) -> tensor<1x8x4x3xf32>
  %y = nn.max_pool2d %a kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x8x4x3xf32>) -> tensor<1x4x2x3xf32>
  func.return %y : tensor<1x4x2x3xf32>
}

// CHECK-LABEL: func.func @negative_reshape_of_moved_elements
// CHECK-NEXT: nn.transpose
// CHECK-NEXT: nn.reshape
func.func @negative_reshape_of_moved_elements(%x: tensor<2x3xf32>) -> tensor<6xf32> {
  %a = nn.transpose %x permutation [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %y = nn.reshape %a : (tensor<3x2xf32>) -> tensor<6xf32>
  func.return %y : tensor<6xf32>
}

// The transpose is of lower rank than the result: no permutation of the result would undo it.
// CHECK-LABEL: func.func @negative_broadcast_transpose
// CHECK-NEXT: nn.transpose %a
// CHECK-NEXT: nn.add %{{.*}}, %b
func.func @negative_broadcast_transpose(%a: tensor<2x3xf32>, %b: tensor<4x3x2xf32>) -> tensor<4x3x2xf32> {
  %c = nn.transpose %a permutation [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %y = nn.add %c, %b : (tensor<3x2xf32>, tensor<4x3x2xf32>) -> tensor<4x3x2xf32>
  func.return %y : tensor<4x3x2xf32>
}

// CHECK-LABEL: func.func @negative_channels_of_a_normalization_stay_last
// CHECK-NEXT: %s = nn.constant
// CHECK-NEXT: %t = nn.transpose %x permutation [1, 0]
// CHECK-NEXT: %y = nn.rms_norm %t scale %s axis 1
// CHECK-NEXT: func.return %y
func.func @negative_channels_of_a_normalization_stay_last(%x: tensor<3x2xf32>) -> tensor<2x3xf32> {
  %s = nn.constant dense<[0.5, 1.0, 2.0]> : tensor<3xf32>
  %t = nn.transpose %x permutation [1, 0] : (tensor<3x2xf32>) -> tensor<2x3xf32>
  %y = nn.rms_norm %t scale %s axis 1 epsilon 1.0e-05 : f64 : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

// RUN: intaglio-opt %s -p fuse-activation | filecheck %s

// CHECK-LABEL: func.func @conv2d_relu
// CHECK-NEXT: %y = nn.conv2d %x, %w bias %b strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 clamp <0.0, inf> {{.*}} loc(fused["conv", "relu"])
// CHECK-NEXT: func.return %y
func.func @conv2d_relu(%x: tensor<1x4x4x3xf32>, %w: tensor<2x1x1x3xf32>, %b: tensor<2xf32>) -> tensor<1x4x4x2xf32> {
  %c = nn.conv2d %x, %w bias %b strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x4x4x3xf32>, tensor<2x1x1x3xf32>, tensor<2xf32>) -> tensor<1x4x4x2xf32> loc("conv")
  %y = nn.relu %c : (tensor<1x4x4x2xf32>) -> tensor<1x4x4x2xf32> loc("relu")
  func.return %y : tensor<1x4x4x2xf32>
}

// CHECK-LABEL: func.func @chain_of_limits
// CHECK-NEXT: %y = nn.dense %x, %w clamp <0.0, 6.0>
// CHECK-NEXT: func.return %y
func.func @chain_of_limits(%x: tensor<1x3xf32>, %w: tensor<2x3xf32>) -> tensor<1x2xf32> {
  %c = nn.dense %x, %w clamp <-1.0, 8.0> : (tensor<1x3xf32>, tensor<2x3xf32>) -> tensor<1x2xf32>
  %d = nn.clip %c to <-2.0, 6.0> : (tensor<1x2xf32>) -> tensor<1x2xf32>
  %y = nn.relu %d : (tensor<1x2xf32>) -> tensor<1x2xf32>
  func.return %y : tensor<1x2xf32>
}

// Limits that do not meet leave one value.
// CHECK-LABEL: func.func @disjoint_limits
// CHECK-NEXT: %y = nn.add %x, %x clamp <5.0, 5.0>
func.func @disjoint_limits(%x: tensor<2xf32>) -> tensor<2xf32> {
  %c = nn.add %x, %x clamp <0.0, 1.0> : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %y = nn.clip %c to <5.0, 6.0> : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// CHECK-LABEL: func.func @other_producers
// CHECK: nn.sub %x, %x clamp <0.0, inf>
// CHECK: nn.mul {{.*}} clamp <0.0, inf>
// CHECK: nn.matmul {{.*}} clamp <0.0, inf>
// CHECK-NOT: nn.relu
func.func @other_producers(%x: tensor<2x2xf32>) -> tensor<2x2xf32> {
  %a = nn.sub %x, %x : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  %b = nn.relu %a : (tensor<2x2xf32>) -> tensor<2x2xf32>
  %c = nn.mul %b, %b : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  %d = nn.relu %c : (tensor<2x2xf32>) -> tensor<2x2xf32>
  %e = nn.matmul %d, %d : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  %y = nn.relu %e : (tensor<2x2xf32>) -> tensor<2x2xf32>
  func.return %y : tensor<2x2xf32>
}

// CHECK-LABEL: func.func @avg_pool2d
// CHECK-NEXT: nn.avg_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] count_include_pad false clamp <-inf, 1.0>
// CHECK-NEXT: func.return
func.func @avg_pool2d(%x: tensor<1x4x4x3xf32>) -> tensor<1x2x2x3xf32> {
  %a = nn.avg_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] count_include_pad false : (tensor<1x4x4x3xf32>) -> tensor<1x2x2x3xf32>
  %y = nn.clip %a to <-inf, 1.0> : (tensor<1x2x2x3xf32>) -> tensor<1x2x2x3xf32>
  func.return %y : tensor<1x2x2x3xf32>
}

// CHECK-LABEL: func.func @quantized_of_one_type
// CHECK-NEXT: nn.add %x, %x clamp <0.0, inf>
// CHECK-NEXT: func.return
func.func @quantized_of_one_type(%x: tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x!quant.uniform<i8:f32, 0.25>> {
  %a = nn.add %x, %x : (tensor<2x!quant.uniform<i8:f32, 0.5>>, tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x!quant.uniform<i8:f32, 0.25>>
  %y = nn.relu %a : (tensor<2x!quant.uniform<i8:f32, 0.25>>) -> tensor<2x!quant.uniform<i8:f32, 0.25>>
  func.return %y : tensor<2x!quant.uniform<i8:f32, 0.25>>
}

// CHECK-LABEL: func.func @clip_of_relu
// CHECK-NEXT: %y = nn.clip %x to <0.0, 6.0> {{.*}} loc(fused["relu", "clip"])
// CHECK-NEXT: func.return %y
func.func @clip_of_relu(%x: tensor<2xf32>) -> tensor<2xf32> {
  %a = nn.relu %x : (tensor<2xf32>) -> tensor<2xf32> loc("relu")
  %y = nn.clip %a to <-1.0, 6.0> : (tensor<2xf32>) -> tensor<2xf32> loc("clip")
  func.return %y : tensor<2xf32>
}

// CHECK-LABEL: func.func @negative_two_users
// CHECK: nn.add %x, %x : (
// CHECK-NEXT: nn.relu
func.func @negative_two_users(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %a = nn.add %x, %x : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %y = nn.relu %a : (tensor<2xf32>) -> tensor<2xf32>
  func.return %a, %y : tensor<2xf32>, tensor<2xf32>
}

// CHECK-LABEL: func.func @negative_table_activation
// CHECK: nn.add %x, %x : (
// CHECK-NEXT: nn.hard_swish
func.func @negative_table_activation(%x: tensor<2xf32>) -> tensor<2xf32> {
  %a = nn.add %x, %x : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %y = nn.hard_swish %a : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// CHECK-LABEL: func.func @negative_producer_without_clamp
// CHECK: nn.max_pool2d
// CHECK-NEXT: nn.relu
func.func @negative_producer_without_clamp(%x: tensor<1x4x4x3xf32>) -> tensor<1x2x2x3xf32> {
  %a = nn.max_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x4x4x3xf32>) -> tensor<1x2x2x3xf32>
  %y = nn.relu %a : (tensor<1x2x2x3xf32>) -> tensor<1x2x2x3xf32>
  func.return %y : tensor<1x2x2x3xf32>
}

// CHECK-LABEL: func.func @negative_parameters_change
// CHECK: nn.add %x, %x : (
// CHECK-NEXT: nn.relu
func.func @negative_parameters_change(%x: tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x!quant.uniform<i8:f32, 0.25>> {
  %a = nn.add %x, %x : (tensor<2x!quant.uniform<i8:f32, 0.5>>, tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x!quant.uniform<i8:f32, 0.5>>
  %y = nn.relu %a : (tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x!quant.uniform<i8:f32, 0.25>>
  func.return %y : tensor<2x!quant.uniform<i8:f32, 0.25>>
}

// CHECK-LABEL: func.func @negative_clip_of_shared_relu
// CHECK: nn.relu
// CHECK-NEXT: nn.clip
func.func @negative_clip_of_shared_relu(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %a = nn.relu %x : (tensor<2xf32>) -> tensor<2xf32>
  %y = nn.clip %a to <-1.0, 6.0> : (tensor<2xf32>) -> tensor<2xf32>
  func.return %a, %y : tensor<2xf32>, tensor<2xf32>
}

// RUN: intaglio-opt %s -p quantize-from-casts --split-input-file | filecheck %s

// CHECK-LABEL: func.func @activation
// CHECK-NEXT: %[[Y:.*]] = nn.hard_swish %x : (tensor<4x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<4x!quant.uniform<i8:f32, 0.25>> loc("act")
// CHECK-NEXT: func.return %[[Y]]
func.func @activation(%x: tensor<4x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<4x!quant.uniform<i8:f32, 0.25>> {
  %d = quant.dcast %x : tensor<4x!quant.uniform<i8:f32, 0.5:3>> to tensor<4xf32>
  %y = nn.hard_swish %d : (tensor<4xf32>) -> tensor<4xf32> loc("act")
  %q = quant.qcast %y : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, 0.25>>
  func.return %q : tensor<4x!quant.uniform<i8:f32, 0.25>>
}

// -----

// Zero points of weights are subtracted. The bias, stored in units of the products, is taken as it is; the other one
// is 0.75 / (0.5 * 0.25) = 6. A weight that does not fit 8 bits (255 - 2) is stored in 16.

// CHECK-LABEL: func.func @layers
// CHECK-NEXT: %[[W:.*]] = nn.constant dense<{{\[\[}}-3, 4]]> : tensor<1x2xi8> as tensor<1x2x!quant.uniform<i8:f32, 0.25>> loc("w")
// CHECK-NEXT: %[[B:.*]] = nn.constant dense<7> : tensor<1xi32> as tensor<1x!quant.uniform<i32:f32, 0.125>>
// CHECK-NEXT: %[[H:.*]] = nn.dense %x, %[[W]] bias %[[B]] clamp <0.0, inf> : {{.*}} -> tensor<1x1x!quant.uniform<i8:f32, 0.5>> loc("fc")
// CHECK-NEXT: %[[V:.*]] = nn.constant dense<{{\[\[}}253], [-1]]> : tensor<2x1xi16> as tensor<2x1x!quant.uniform<i16:f32:0, {0.25,0.5}>>
// CHECK-NEXT: %[[C:.*]] = nn.constant dense<6> : tensor<2xi32> as tensor<2x!quant.uniform<i32:f32:0, {0.125,0.25}>>
// CHECK-NEXT: %[[Y:.*]] = nn.dense %[[H]], %[[V]] bias %[[C]] : {{.*}} -> tensor<1x2x!quant.uniform<i8:f32, 1.0>>
// CHECK-NEXT: func.return %[[Y]]
func.func @layers(%x: tensor<1x2x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x2x!quant.uniform<i8:f32, 1.0>> {
  %d = quant.dcast %x : tensor<1x2x!quant.uniform<i8:f32, 0.5:3>> to tensor<1x2xf32>
  %ws = nn.constant dense<[[-1, 6]]> : tensor<1x2xi8> as tensor<1x2x!quant.uniform<i8:f32, 0.25:2>> loc("w")
  %w = quant.dcast %ws : tensor<1x2x!quant.uniform<i8:f32, 0.25:2>> to tensor<1x2xf32>
  %bs = nn.constant dense<[7]> : tensor<1xi32> as tensor<1x!quant.uniform<i32:f32, 0.125>>
  %b = quant.dcast %bs : tensor<1x!quant.uniform<i32:f32, 0.125>> to tensor<1xf32>
  %y = nn.dense %d, %w bias %b clamp <0.0, inf> : (tensor<1x2xf32>, tensor<1x2xf32>, tensor<1xf32>) -> tensor<1x1xf32> loc("fc")
  %q = quant.qcast %y : tensor<1x1xf32> to tensor<1x1x!quant.uniform<i8:f32, 0.5>>
  %e = quant.dcast %q : tensor<1x1x!quant.uniform<i8:f32, 0.5>> to tensor<1x1xf32>
  %vs = nn.constant dense<[[255], [1]]> : tensor<2x1xui8> as tensor<2x1x!quant.uniform<u8:f32:0, {0.25:2,0.5:2}>>
  %v = quant.dcast %vs : tensor<2x1x!quant.uniform<u8:f32:0, {0.25:2,0.5:2}>> to tensor<2x1xf32>
  %c = nn.constant dense<[0.75, 1.5]> : tensor<2xf32>
  %z = nn.dense %e, %v bias %c : (tensor<1x1xf32>, tensor<2x1xf32>, tensor<2xf32>) -> tensor<1x2xf32>
  %r = quant.qcast %z : tensor<1x2xf32> to tensor<1x2x!quant.uniform<i8:f32, 1.0>>
  func.return %r : tensor<1x2x!quant.uniform<i8:f32, 1.0>>
}

// -----

// Movement ends up on quantized tensors; what a concat joins, and what is only cast, is requantized.

// CHECK-LABEL: func.func @movement
// CHECK-NEXT: %[[T:.*]] = nn.transpose %a permutation [1, 0] : (tensor<2x3x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<3x2x!quant.uniform<i8:f32, 0.5:3>>
// CHECK-NEXT: %[[R:.*]] = nn.clip %[[T]] to <-inf, inf> : {{.*}} -> tensor<3x2x!quant.uniform<i8:f32, 0.25>>
// CHECK-NEXT: %[[C:.*]] = nn.concat %[[R]], %b axis 1 : {{.*}} -> tensor<3x4x!quant.uniform<i8:f32, 0.25>>
// CHECK-NEXT: func.return %[[C]]
func.func @movement(%a: tensor<2x3x!quant.uniform<i8:f32, 0.5:3>>, %b: tensor<3x2x!quant.uniform<i8:f32, 0.25>>) -> tensor<3x4x!quant.uniform<i8:f32, 0.25>> {
  %d = quant.dcast %a : tensor<2x3x!quant.uniform<i8:f32, 0.5:3>> to tensor<2x3xf32>
  %t = nn.transpose %d permutation [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %e = quant.dcast %b : tensor<3x2x!quant.uniform<i8:f32, 0.25>> to tensor<3x2xf32>
  %c = nn.concat %t, %e axis 1 : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x4xf32>
  %q = quant.qcast %c : tensor<3x4xf32> to tensor<3x4x!quant.uniform<i8:f32, 0.25>>
  func.return %q : tensor<3x4x!quant.uniform<i8:f32, 0.25>>
}

// -----

// CHECK-LABEL: func.func @requantized
// CHECK-NEXT: %[[Y:.*]] = nn.clip %x to <-inf, inf> : (tensor<4x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<4x!quant.uniform<i8:f32, 0.25>>
// CHECK-NEXT: func.return %x, %[[Y]]
func.func @requantized(%x: tensor<4x!quant.uniform<i8:f32, 0.5:3>>) -> (tensor<4x!quant.uniform<i8:f32, 0.5:3>>, tensor<4x!quant.uniform<i8:f32, 0.25>>) {
  %d = quant.dcast %x : tensor<4x!quant.uniform<i8:f32, 0.5:3>> to tensor<4xf32>
  %p = quant.qcast %d : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, 0.5:3>>
  %q = quant.qcast %d : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, 0.25>>
  func.return %p, %q : tensor<4x!quant.uniform<i8:f32, 0.5:3>>, tensor<4x!quant.uniform<i8:f32, 0.25>>
}

// -----

// CHECK-LABEL: func.func @weights_only
// CHECK-NEXT: %[[W:.*]] = nn.constant dense<{{.*}}> : tensor<2xf32> loc("w")
// CHECK-NEXT: nn.mul %x, %[[W]]
func.func @weights_only(%x: tensor<2xf32>) -> tensor<2xf32> {
  %s = nn.constant dense<[1, -2]> : tensor<2xi8> as tensor<2x!quant.uniform<i8:f32, 0.5>> loc("w")
  %w = quant.dcast %s : tensor<2x!quant.uniform<i8:f32, 0.5>> to tensor<2xf32>
  %y = nn.mul %x, %w : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

// The float result is needed too.

// CHECK-LABEL: func.func @negative_float_user
// CHECK-NEXT: quant.dcast
// CHECK-NEXT: nn.tanh %{{.*}} : (tensor<4xf32>) -> tensor<4xf32>
func.func @negative_float_user(%x: tensor<4x!quant.uniform<i8:f32, 0.5:3>>) -> (tensor<4xf32>, tensor<4x!quant.uniform<i8:f32, 0.25>>) {
  %d = quant.dcast %x : tensor<4x!quant.uniform<i8:f32, 0.5:3>> to tensor<4xf32>
  %y = nn.tanh %d : (tensor<4xf32>) -> tensor<4xf32>
  %q = quant.qcast %y : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, 0.25>>
  func.return %y, %q : tensor<4xf32>, tensor<4x!quant.uniform<i8:f32, 0.25>>
}

// -----

// Normalizations have integers of their own for parameters, 16-bit activations are not taken, and neither is a sum that could overflow.

// CHECK-LABEL: func.func @negative_no_integer_form
// CHECK: nn.layer_norm %{{.*}} : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
// CHECK: nn.tanh %{{.*}} : (tensor<4xf32>) -> tensor<4xf32>
// CHECK: nn.dense %{{.*}}, %{{.*}} bias %{{.*}} : (tensor<4xf32>, tensor<1x4xf32>, tensor<1xf32>) -> tensor<1xf32>
func.func @negative_no_integer_form(%x: tensor<4x!quant.uniform<i8:f32, 0.5>>) -> (tensor<4x!quant.uniform<i8:f32, 0.25>>, tensor<4x!quant.uniform<i16:f32, 0.25>>, tensor<1x!quant.uniform<i8:f32, 0.25>>) {
  %d = quant.dcast %x : tensor<4x!quant.uniform<i8:f32, 0.5>> to tensor<4xf32>
  %y = nn.layer_norm %d scale %d offset %d axis 0 epsilon 1.0e-05 : f64 : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %q = quant.qcast %y : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, 0.25>>
  %z = nn.tanh %d : (tensor<4xf32>) -> tensor<4xf32>
  %r = quant.qcast %z : tensor<4xf32> to tensor<4x!quant.uniform<i16:f32, 0.25>>
  %ws = nn.constant dense<[[127, 127, 127, 127]]> : tensor<1x4xi8> as tensor<1x4x!quant.uniform<i8:f32, 1.0>>
  %w = quant.dcast %ws : tensor<1x4x!quant.uniform<i8:f32, 1.0>> to tensor<1x4xf32>
  %bs = nn.constant dense<[2147483647]> : tensor<1xi32> as tensor<1x!quant.uniform<i32:f32, 0.5>>
  %b = quant.dcast %bs : tensor<1x!quant.uniform<i32:f32, 0.5>> to tensor<1xf32>
  %u = nn.dense %d, %w bias %b : (tensor<4xf32>, tensor<1x4xf32>, tensor<1xf32>) -> tensor<1xf32>
  %s = quant.qcast %u : tensor<1xf32> to tensor<1x!quant.uniform<i8:f32, 0.25>>
  func.return %q, %r, %s : tensor<4x!quant.uniform<i8:f32, 0.25>>, tensor<4x!quant.uniform<i16:f32, 0.25>>, tensor<1x!quant.uniform<i8:f32, 0.25>>
}

// -----

// Only one operand is quantized.

// CHECK-LABEL: func.func @negative_float_operand
// CHECK: nn.add %{{.*}}, %f : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
func.func @negative_float_operand(%x: tensor<4x!quant.uniform<i8:f32, 0.5>>, %f: tensor<4xf32>) -> tensor<4x!quant.uniform<i8:f32, 0.25>> {
  %d = quant.dcast %x : tensor<4x!quant.uniform<i8:f32, 0.5>> to tensor<4xf32>
  %y = nn.add %d, %f : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %q = quant.qcast %y : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, 0.25>>
  func.return %q : tensor<4x!quant.uniform<i8:f32, 0.25>>
}

// RUN: intaglio-opt %s -p assign-devices | filecheck %s

!q = !quant.uniform<i8:f32, 0.5>
!u = !quant.uniform<u8:f32, 0.5>

// CHECK: builtin.module attributes {intaglio.target = "gen1"}

// CHECK-LABEL: func.func @both
// CHECK-NEXT:  quant.qcast %x {intaglio.device = "host", intaglio.host_reason = "Operations are of the kinds that the accelerator executes, got quant.qcast"}
// CHECK-NEXT:  nn.relu {{.*}} {intaglio.device = "accelerator"}
// CHECK-NEXT:  quant.dcast {{.*}} {intaglio.device = "host"
// CHECK-NEXT:  nn.relu {{.*}} {intaglio.device = "host", intaglio.host_reason = "Activations are tensors of int8, or of int16 with the zero point 0, quantized per tensor, got f32"}
// CHECK-NEXT:  func.return
func.func @both(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = quant.qcast %x : tensor<4xf32> to tensor<4x!q>
  %1 = nn.relu %0 : (tensor<4x!q>) -> tensor<4x!q>
  %2 = quant.dcast %1 : tensor<4x!q> to tensor<4xf32>
  %3 = nn.relu %2 : (tensor<4xf32>) -> tensor<4xf32>
  func.return %3 : tensor<4xf32>
}

// Of two violations both are told.
// CHECK-LABEL: func.func @two_reasons
// CHECK:       nn.max_pool2d {{.*}} {intaglio.device = "host", intaglio.host_reason = "Kernels have at most 65535 elements, got kernel [257, 256]; Strides and dilations are at most 255, got strides [256, 1] and dilations [1, 1]"}
func.func @two_reasons(%x: tensor<1x257x256x1x!q>) -> tensor<1x1x1x1x!q> {
  %0 = nn.max_pool2d %x kernel [257, 256] strides [256, 1] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x257x256x1x!q>) -> tensor<1x1x1x1x!q>
  func.return %0 : tensor<1x1x1x1x!q>
}

// A reshape goes with its neighbour.
// CHECK-LABEL: func.func @reshape_of_a_result
// CHECK-NEXT:  nn.tanh {{.*}} {intaglio.device = "accelerator"}
// CHECK-NEXT:  nn.reshape {{.*}} {intaglio.device = "accelerator"}
func.func @reshape_of_a_result(%x: tensor<4x!q>) -> tensor<2x2x!q> {
  %0 = nn.tanh %x : (tensor<4x!q>) -> tensor<4x!q>
  %1 = nn.reshape %0 : (tensor<4x!q>) -> tensor<2x2x!q>
  func.return %1 : tensor<2x2x!q>
}

// CHECK-LABEL: func.func @negative_reshapes_alone
// CHECK-NEXT:  nn.reshape {{.*}} {intaglio.device = "host", intaglio.host_reason = "A region does more than move elements, got nn.reshape alone"}
// CHECK-NEXT:  nn.reshape {{.*}} {intaglio.device = "host"
func.func @negative_reshapes_alone(%x: tensor<4x!q>) -> tensor<1x4x!q> {
  %0 = nn.reshape %x : (tensor<4x!q>) -> tensor<2x2x!q>
  %1 = nn.reshape %0 : (tensor<2x2x!q>) -> tensor<1x4x!q>
  func.return %1 : tensor<1x4x!q>
}

// CHECK-LABEL: func.func @negative_unsigned
// CHECK-NEXT:  nn.relu {{.*}} {intaglio.device = "host", intaglio.host_reason = "Activations are tensors of int8, or of int16 with the zero point 0, quantized per tensor, got !quant.uniform<u8:f32, 0.5>"}
func.func @negative_unsigned(%x: tensor<4x!u>) -> tensor<4x!u> {
  %0 = nn.relu %x : (tensor<4x!u>) -> tensor<4x!u>
  func.return %0 : tensor<4x!u>
}

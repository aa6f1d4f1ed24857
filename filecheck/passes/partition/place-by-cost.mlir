// RUN: intaglio-opt %s -p place-by-cost --split-input-file | filecheck %s

// An activation between two operations of the host is cheaper there than a launch. The convolution at the end takes the
// host far longer and stays.

!t = tensor<1x16x16x16x!quant.uniform<i8:f32, 0.5>>
!w = tensor<64x5x5x16x!quant.uniform<i8:f32, 0.01>>
!y = tensor<1x12x12x64x!quant.uniform<i8:f32, 0.5>>

// CHECK-LABEL: func.func @an_activation_alone
// CHECK-NEXT:  nn.sub {{.*}} {intaglio.device = "host"}
// CHECK-NEXT:  nn.tanh {{.*}} {intaglio.device = "host", intaglio.host_reason = "What the accelerator saves is more than its boundaries cost, got 136 cycles there and 6,564 for boundaries against 5,096 on the host"}
// CHECK-NEXT:  nn.sub
// CHECK:       nn.conv2d {{.*}} {intaglio.device = "accelerator"}
builtin.module attributes {intaglio.target = "gen1"} {
  func.func @an_activation_alone(%x: !t, %w: !w) -> !y {
    %0 = nn.sub %x, %x {intaglio.device = "host"} : (!t, !t) -> !t
    %1 = nn.tanh %0 {intaglio.device = "accelerator"} : (!t) -> !t
    %2 = nn.sub %1, %0 {intaglio.device = "host"} : (!t, !t) -> !t
    %3 = nn.conv2d %2, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 {intaglio.device = "accelerator"} : (!t, !w) -> !y
    func.return %3 : !y
  }
}

// -----

// A requantization at the edge of a region stands where it costs less: the accelerator is done sooner, although the
// wider tensor crosses then.

!a = tensor<1x64x64x32x!quant.uniform<i8:f32, 0.5>>
!b = tensor<1x64x64x32x!quant.uniform<i16:f32, 0.01>>

// CHECK-LABEL: func.func @negative_requantization
// CHECK-NEXT:  nn.tanh {{.*}} {intaglio.device = "accelerator"}
// CHECK-NEXT:  nn.tanh {{.*}} {intaglio.device = "accelerator"}
// CHECK-NEXT:  quant.requantize {{.*}} {intaglio.device = "accelerator"}
// CHECK-NEXT:  nn.softmax
builtin.module attributes {intaglio.target = "gen1"} {
  func.func @negative_requantization(%x: !a) -> !b {
    %0 = nn.tanh %x {intaglio.device = "accelerator"} : (!a) -> !a
    %1 = nn.tanh %0 {intaglio.device = "accelerator"} : (!a) -> !a
    %2 = quant.requantize %1 {intaglio.device = "accelerator"} : !a to !b
    %3 = nn.softmax %2 axis 3 {intaglio.device = "host"} : (!b) -> !b
    func.return %3 : !b
  }
}

// -----

// The last region stays however little it does, and what the user chose the accelerator for stays too.

!t = tensor<4x!quant.uniform<i8:f32, 0.5>>

// CHECK-LABEL: func.func @negative_last_region
// CHECK-NEXT:  nn.relu {{.*}} {intaglio.device = "accelerator"}
// CHECK-LABEL: func.func @negative_chosen
// CHECK-NEXT:  nn.relu {{.*}} {intaglio.backend = "accelerator", intaglio.device = "accelerator"}
// CHECK-NEXT:  nn.softmax
// CHECK-NEXT:  nn.tanh {{.*}} {intaglio.device = "host"
builtin.module attributes {intaglio.target = "gen1"} {
  func.func @negative_last_region(%x: !t) -> !t {
    %0 = nn.relu %x {intaglio.device = "accelerator"} : (!t) -> !t
    func.return %0 : !t
  }
  func.func @negative_chosen(%x: !t) -> !t {
    %0 = nn.relu %x {intaglio.backend = "accelerator", intaglio.device = "accelerator"} : (!t) -> !t
    %1 = nn.softmax %0 axis 0 {intaglio.device = "host"} : (!t) -> !t
    %2 = nn.tanh %1 {intaglio.device = "accelerator"} : (!t) -> !t
    func.return %2 : !t
  }
}

// -----

// Without an accelerator there is nothing to move.

!t = tensor<4x!quant.uniform<i8:f32, 0.5>>

// CHECK-LABEL: func.func @negative_host
// CHECK-NEXT:  nn.relu {{.*}} {intaglio.device = "host", intaglio.host_reason = "The target is the host"}
builtin.module attributes {intaglio.target = "host"} {
  func.func @negative_host(%x: !t) -> !t {
    %0 = nn.relu %x {intaglio.device = "host", intaglio.host_reason = "The target is the host"} : (!t) -> !t
    func.return %0 : !t
  }
}

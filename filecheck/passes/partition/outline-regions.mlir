// RUN: intaglio-opt %s -p outline-regions --split-input-file | filecheck %s

// The second region waits for the host's softmax. What only it needs is computed there, so that nothing but an input
// that the host has anyway crosses the boundary.

!q = !quant.uniform<i8:f32, 0.5>
!t = tensor<4x!q>

// CHECK-LABEL: func.func @main
// CHECK-NEXT:  [[x:%.*]] = quant.qcast %x
// CHECK-NEXT:  [[a:%.*]] = npu.launch @region_0([[x]]) : ({{.*}}) -> {{.*}} loc("region_0")
// CHECK-NEXT:  [[f:%.*]] = quant.dcast [[a]]
// CHECK-NEXT:  [[s:%.*]] = nn.softmax [[f]]
// CHECK-NEXT:  [[q:%.*]] = quant.qcast [[s]]
// CHECK-NEXT:  [[y:%.*]] = npu.launch @region_1([[x]], [[q]])
// CHECK-NEXT:  [[r:%.*]] = quant.dcast [[y]]
// CHECK-NEXT:  func.return [[r]]
// CHECK-LABEL: func.func @region_0(%0: {{.*}}) -> {{.*}} attributes {intaglio.device = "accelerator"} {
// CHECK-NEXT:    [[c:%.*]] = nn.constant dense<2>
// CHECK-NEXT:    [[m:%.*]] = nn.mul %0, [[c]] {{.*}} loc("mul")
// CHECK-NEXT:    func.return [[m]]
// CHECK-LABEL: func.func @region_1(%0: {{.*}}, %1: {{.*}}) -> {{.*}} attributes {intaglio.device = "accelerator"} {
// CHECK-NEXT:    [[d:%.*]] = nn.constant dense<2>
// CHECK-NEXT:    [[t:%.*]] = nn.tanh %0 {{.*}} loc("tanh")
// CHECK-NEXT:    [[n:%.*]] = nn.add %1, [[t]]
// CHECK-NEXT:    [[o:%.*]] = nn.mul [[n]], [[d]]
// CHECK-NEXT:    func.return [[o]]
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = quant.qcast %x {intaglio.device = "host"} : tensor<4xf32> to !t
  %c = nn.constant dense<2> : tensor<4xi8> as !t
  %1 = nn.mul %0, %c {intaglio.device = "accelerator"} : (!t, !t) -> !t loc("mul")
  %2 = quant.dcast %1 {intaglio.device = "host"} : !t to tensor<4xf32>
  %3 = nn.softmax %2 axis 0 {intaglio.device = "host"} : (tensor<4xf32>) -> tensor<4xf32>
  %4 = quant.qcast %3 {intaglio.device = "host"} : tensor<4xf32> to !t
  %5 = nn.tanh %0 {intaglio.device = "accelerator"} : (!t) -> !t loc("tanh")
  %6 = nn.add %4, %5 {intaglio.device = "accelerator"} : (!t, !t) -> !t
  %7 = nn.mul %6, %c {intaglio.device = "accelerator"} : (!t, !t) -> !t
  %8 = quant.dcast %7 {intaglio.device = "host"} : !t to tensor<4xf32>
  func.return %8 : tensor<4xf32>
}

// -----

// Two branches of one level are one region; a branch that makes its tensor smaller stays where that is at hand.

!t = tensor<1x8x8x4x!quant.uniform<i8:f32, 0.5>>
!s = tensor<1x1x1x4x!quant.uniform<i8:f32, 0.5>>

// CHECK-LABEL: func.func @two_branches
// CHECK-NEXT:  {{%.*}}, {{%.*}} = npu.launch @region_0(%x)
// CHECK-NEXT:  nn.sub
// CHECK-NEXT:  npu.launch @region_1
// CHECK-LABEL: func.func @region_0
// CHECK-NEXT:  nn.tanh
// CHECK-NEXT:  nn.tanh
// CHECK-NEXT:  nn.max_pool2d
// CHECK-NEXT:  func.return
func.func @two_branches(%x: !t) -> !t {
  %0 = nn.tanh %x {intaglio.device = "accelerator"} : (!t) -> !t
  %1 = nn.tanh %x {intaglio.device = "accelerator"} : (!t) -> !t
  %2 = nn.max_pool2d %1 kernel [8, 8] strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] {intaglio.device = "accelerator"} : (!t) -> !s
  %3 = nn.sub %0, %0 {intaglio.device = "host"} : (!t, !t) -> !t
  %4 = nn.mul %3, %2 {intaglio.device = "accelerator"} : (!t, !s) -> !t
  func.return %4 : !t
}

// -----

// An existing symbol's name is not taken again, and its function, on the accelerator already, is left alone.

!t = tensor<4x!quant.uniform<i8:f32, 0.5>>

// CHECK-LABEL: func.func @region_0
// CHECK-NEXT:  nn.relu
// CHECK-LABEL: func.func @main
// CHECK-NEXT:  npu.launch @region_0
// CHECK-NEXT:  npu.launch @region_1
// CHECK-NEXT:  func.return
// CHECK-LABEL: func.func @region_1
func.func @region_0(%x: !t) -> !t attributes {intaglio.device = "accelerator"} {
  %0 = nn.relu %x : (!t) -> !t
  func.return %0 : !t
}
func.func @main(%x: !t) -> !t {
  %0 = npu.launch @region_0(%x) : (!t) -> !t
  %1 = nn.tanh %0 {intaglio.device = "accelerator"} : (!t) -> !t
  func.return %1 : !t
}

// -----

// Without operations of the accelerator nothing moves.

// CHECK-LABEL: func.func @negative_host_only
// CHECK-NEXT:  nn.softmax
// CHECK-NEXT:  nn.constant
// CHECK-NEXT:  nn.div
// CHECK-NEXT:  func.return
// CHECK-NOT:   func.func @region
func.func @negative_host_only(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = nn.softmax %x axis 0 {intaglio.device = "host"} : (tensor<4xf32>) -> tensor<4xf32>
  %c = nn.constant dense<2.0> : tensor<4xf32>
  %1 = nn.div %0, %c {intaglio.device = "host"} : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %1 : tensor<4xf32>
}

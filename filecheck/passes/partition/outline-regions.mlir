// RUN: intaglio-opt %s -p outline-regions --split-input-file | filecheck %s

// Two branches of one level are one region; the second region waits for the host's softmax.

!q = !quant.uniform<i8:f32, 0.5>
!t = tensor<4x!q>

// CHECK-LABEL: func.func @main
// CHECK-NEXT:  [[x:%.*]] = quant.qcast %x
// CHECK-NEXT:  [[a:%.*]], [[b:%.*]] = npu.launch @region_0([[x]]) : ({{.*}}) -> ({{.*}}, {{.*}}) loc("region_0")
// CHECK-NEXT:  [[f:%.*]] = quant.dcast [[a]]
// CHECK-NEXT:  [[s:%.*]] = nn.softmax [[f]]
// CHECK-NEXT:  [[q:%.*]] = quant.qcast [[s]]
// CHECK-NEXT:  [[y:%.*]] = npu.launch @region_1([[q]], [[b]])
// CHECK-NEXT:  [[r:%.*]] = quant.dcast [[y]]
// CHECK-NEXT:  func.return [[r]]
// CHECK-LABEL: func.func @region_0(%0: {{.*}}) -> ({{.*}}) attributes {intaglio.device = "accelerator"} {
// CHECK-NEXT:    [[c:%.*]] = nn.constant dense<2>
// CHECK-NEXT:    [[m:%.*]] = nn.mul %0, [[c]] {{.*}} loc("mul")
// CHECK-NEXT:    [[t:%.*]] = nn.tanh %0 {{.*}} loc("tanh")
// CHECK-NEXT:    func.return [[m]], [[t]]
// CHECK-LABEL: func.func @region_1(%0: {{.*}}, %1: {{.*}}) -> {{.*}} attributes {intaglio.device = "accelerator"} {
// CHECK-NEXT:    [[d:%.*]] = nn.constant dense<2>
// CHECK-NEXT:    [[n:%.*]] = nn.add %0, %1
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

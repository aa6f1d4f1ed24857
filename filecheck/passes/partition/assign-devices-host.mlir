// RUN: intaglio-opt %s -p 'assign-devices{target=host}' | filecheck %s

// CHECK: builtin.module attributes {intaglio.target = "host"}
// CHECK: nn.relu {{.*}} {intaglio.device = "host", intaglio.host_reason = "The target is the host"}
func.func @negative_no_accelerator(%x: tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>> {
  %0 = nn.relu %x : (tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>>
  func.return %0 : tensor<4x!quant.uniform<i8:f32, 0.5>>
}

// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK: npu.program @buffers : (tensor<2x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<8xi8> target "gen1" {
// CHECK-NEXT: ^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
npu.program @buffers : (tensor<2x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<8xi8> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  // CHECK-NEXT: %w = npu.constant dense<[1, 2]> : tensor<2xi8>
  // CHECK-NEXT: %v = npu.constant dense<[3, 4]> : tensor<2xi8> address 64 loc("b/weights")
  // CHECK-NEXT: %x = npu.allocate : !npu.buffer<scratchpad, 8>
  // CHECK-NEXT: %y = npu.allocate address 128 : !npu.buffer<arena, 8>
  %w = npu.constant dense<[1, 2]> : tensor<2xi8>
  %v = npu.constant dense<[3, 4]> : tensor<2xi8> address 64 loc("b/weights")
  %x = npu.allocate : !npu.buffer<scratchpad, 8>
  %y = npu.allocate address 128 : !npu.buffer<arena, 8>
}

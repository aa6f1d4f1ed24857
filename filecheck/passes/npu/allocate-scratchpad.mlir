// RUN: intaglio-opt %s -p allocate-scratchpad | filecheck %s

// %b may lie where %a was, since no task works on both; the constant without task is erased.
// CHECK-LABEL: npu.program @reuse
// CHECK: %t = npu.constant dense<1> : tensor<70xi8> address 0
// CHECK-NEXT: %u = npu.constant dense<2> : tensor<8xi8> address 128
// CHECK-NEXT: %r = npu.allocate address 0 : !npu.buffer<arena, 100>
// CHECK-NEXT: %a = npu.allocate address 0 : !npu.buffer<scratchpad, 100>
// CHECK-NEXT: %b = npu.allocate address 0 : !npu.buffer<scratchpad, 100>
// CHECK-NEXT: %w = npu.allocate address 128 : !npu.buffer<scratchpad, 70>
// CHECK-NEXT: %v = npu.allocate address 256 : !npu.buffer<scratchpad, 8>
// CHECK-NEXT: %0 = npu.load %in to %a <source_offset 0, target_offset 0, run 100> : !npu.buffer<dram, 100> to !npu.buffer<scratchpad, 100>
// CHECK-NEXT: %1 = npu.load %t to %w <source_offset 0, target_offset 0, run 70> : !npu.buffer<constants, 70> to !npu.buffer<scratchpad, 70>
// CHECK-NEXT: %2 = npu.store %a to %r <source_offset 0, target_offset 0, run 100> : !npu.buffer<scratchpad, 100> to !npu.buffer<arena, 100>
// CHECK-NEXT: %3 = npu.load %r to %b <source_offset 0, target_offset 0, run 100> : !npu.buffer<arena, 100> to !npu.buffer<scratchpad, 100>
// CHECK-NEXT: %4 = npu.load %u to %v <source_offset 0, target_offset 0, run 8> : !npu.buffer<constants, 8> to !npu.buffer<scratchpad, 8>
// CHECK-NEXT: %5 = npu.store %w to %out <source_offset 0, target_offset 0, run 70> : !npu.buffer<scratchpad, 70> to !npu.buffer<dram, 100>
// CHECK-NEXT: %6 = npu.store %b to %out <source_offset 0, target_offset 0, run 100> : !npu.buffer<scratchpad, 100> to !npu.buffer<dram, 100>
npu.program @reuse : (tensor<100xi8>) -> tensor<100xi8> target "gen1" {
^bb0(%in: !npu.buffer<dram, 100>, %out: !npu.buffer<dram, 100>):
  %unused = npu.constant dense<0> : tensor<70xi8>
  %t = npu.constant dense<1> : tensor<70xi8>
  %u = npu.constant dense<2> : tensor<8xi8>
  %r = npu.allocate : !npu.buffer<arena, 100>
  %a = npu.allocate : !npu.buffer<scratchpad, 100>
  %b = npu.allocate : !npu.buffer<scratchpad, 100>
  %w = npu.allocate : !npu.buffer<scratchpad, 70>
  %v = npu.allocate : !npu.buffer<scratchpad, 8>
  %0 = npu.load %in to %a <source_offset 0, target_offset 0, run 100> : !npu.buffer<dram, 100> to !npu.buffer<scratchpad, 100>
  %1 = npu.load %t to %w <source_offset 0, target_offset 0, run 70> : !npu.buffer<constants, 70> to !npu.buffer<scratchpad, 70>
  %2 = npu.store %a to %r <source_offset 0, target_offset 0, run 100> : !npu.buffer<scratchpad, 100> to !npu.buffer<arena, 100>
  %3 = npu.load %r to %b <source_offset 0, target_offset 0, run 100> : !npu.buffer<arena, 100> to !npu.buffer<scratchpad, 100>
  %4 = npu.load %u to %v <source_offset 0, target_offset 0, run 8> : !npu.buffer<constants, 8> to !npu.buffer<scratchpad, 8>
  %5 = npu.store %w to %out <source_offset 0, target_offset 0, run 70> : !npu.buffer<scratchpad, 70> to !npu.buffer<dram, 100>
  %6 = npu.store %b to %out <source_offset 0, target_offset 0, run 100> : !npu.buffer<scratchpad, 100> to !npu.buffer<dram, 100>
}

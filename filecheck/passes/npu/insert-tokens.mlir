// RUN: intaglio-opt %s -p insert-tokens | filecheck %s

npu.program @chain : (tensor<8xi8>) -> tensor<8xi8> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %a = npu.allocate address 0 : !npu.buffer<scratchpad, 8>
  %b = npu.allocate address 64 : !npu.buffer<scratchpad, 8>
  %c = npu.allocate address 0 : !npu.buffer<scratchpad, 8>
  // CHECK: %[[LOAD0:.*]] = npu.load %in to %a <{{.*}}> :
  %0 = npu.load %in to %a <source_offset 0, target_offset 0, run 4> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
  // CHECK-NEXT: %[[LOAD1:.*]] = npu.load %in to %a <{{.*}}> :
  %1 = npu.load %in to %a <source_offset 4, target_offset 4, run 4> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
  // The second load implies the first.
  // CHECK-NEXT: %[[CONVERT:.*]] = npu.convert %a {{.*}} after(%[[LOAD1]]) :
  %2 = npu.convert %a map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0> to %b <offset 0, row_stride 8, column_stride 8> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 8 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>
  // The next load overwrites what the conversion reads.
  // CHECK-NEXT: %[[LOAD2:.*]] = npu.load %in to %c {{.*}} after(%[[CONVERT]]) :
  %3 = npu.load %in to %c <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
  // The load implies the conversion, which is not waited for.
  // CHECK-NEXT: %[[ADD:.*]] = npu.store %c {{.*}} after(%[[LOAD2]]) :
  %4 = npu.store %c to %out <source_offset 0, target_offset 0, run 4> : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
  // CHECK-NEXT: npu.store %b to %out <{{[^>]*}}> :
  %5 = npu.store %b to %out <source_offset 4, target_offset 4, run 4> : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
}

// Other bytes of one buffer are no conflict, and tokens that are there are replaced.
// CHECK-LABEL: npu.program @negative_apart
npu.program @negative_apart : (tensor<8xi8>) -> tensor<8xi8> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %a = npu.allocate address 0 : !npu.buffer<scratchpad, 16>
  %0 = npu.load %in to %a <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 16>
  %1 = npu.load %in to %a <source_offset 0, target_offset 8, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 16>
  // CHECK: npu.store %a to %out {{.*}} after(%0) :
  %2 = npu.store %a to %out <source_offset 0, target_offset 0, run 8> after(%1) : !npu.buffer<scratchpad, 16> to !npu.buffer<dram, 8>
}

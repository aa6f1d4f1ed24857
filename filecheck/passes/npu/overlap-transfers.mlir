// RUN: intaglio-opt %s -p overlap-transfers | filecheck %s

// The second load does not wait for the first conversion, nor the second conversion for the first store.
// CHECK-LABEL: npu.program @streams
// CHECK: npu.load {{.*}} loc("load 0")
// CHECK-NEXT: npu.load {{.*}} loc("load 1")
// CHECK-NEXT: npu.convert {{.*}} loc("convert 0")
// CHECK-NEXT: npu.convert {{.*}} loc("convert 1")
// CHECK-NEXT: npu.store {{.*}} loc("store 0")
// CHECK-NEXT: npu.store {{.*}} loc("store 1")
npu.program @streams : (tensor<8xi8>) -> tensor<8xi8> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %a = npu.allocate : !npu.buffer<scratchpad, 4>
  %b = npu.allocate : !npu.buffer<scratchpad, 4>
  %c = npu.allocate : !npu.buffer<scratchpad, 4>
  %d = npu.allocate : !npu.buffer<scratchpad, 4>
  %0 = npu.load %in to %a <source_offset 0, target_offset 0, run 4> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 4> loc("load 0")
  %1 = npu.convert %a map <offset 0, rows 1, row_bytes 4, row_stride 4, pad 0> to %b <offset 0, row_stride 4, column_stride 4> window <rows 1, columns 1, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 4>, !npu.buffer<scratchpad, 4> loc("convert 0")
  %2 = npu.store %b to %out <source_offset 0, target_offset 0, run 4> : !npu.buffer<scratchpad, 4> to !npu.buffer<dram, 8> loc("store 0")
  %3 = npu.load %in to %c <source_offset 4, target_offset 0, run 4> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 4> loc("load 1")
  %4 = npu.convert %c map <offset 0, rows 1, row_bytes 4, row_stride 4, pad 0> to %d <offset 0, row_stride 4, column_stride 4> window <rows 1, columns 1, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 4>, !npu.buffer<scratchpad, 4> loc("convert 1")
  %5 = npu.store %d to %out <source_offset 0, target_offset 4, run 4> : !npu.buffer<scratchpad, 4> to !npu.buffer<dram, 8> loc("store 1")
}

// A load cannot pass the store that writes its source, nor the task that reads what it overwrites.
// CHECK-LABEL: npu.program @negative_dependent
// CHECK: npu.load {{.*}} loc("load input")
// CHECK-NEXT: npu.convert {{.*}} loc("convert")
// CHECK-NEXT: npu.store {{.*}} loc("spill")
// CHECK-NEXT: npu.load {{.*}} loc("reload")
// CHECK-NEXT: npu.store {{.*}} loc("store")
npu.program @negative_dependent : (tensor<8xi8>) -> tensor<8xi8> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %r = npu.allocate : !npu.buffer<arena, 8>
  %a = npu.allocate : !npu.buffer<scratchpad, 8>
  %b = npu.allocate : !npu.buffer<scratchpad, 8>
  %0 = npu.load %in to %a <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8> loc("load input")
  %1 = npu.convert %a map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0> to %b <offset 0, row_stride 8, column_stride 8> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 8 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8> loc("convert")
  %2 = npu.store %b to %r <source_offset 0, target_offset 0, run 8> : !npu.buffer<scratchpad, 8> to !npu.buffer<arena, 8> loc("spill")
  %3 = npu.load %r to %a <source_offset 0, target_offset 0, run 8> : !npu.buffer<arena, 8> to !npu.buffer<scratchpad, 8> loc("reload")
  %4 = npu.store %a to %out <source_offset 0, target_offset 0, run 8> : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8> loc("store")
}

// Two buffers of this size do not fit at once, so the second load stays behind the first store.
// CHECK-LABEL: npu.program @negative_no_room
// CHECK: npu.load {{.*}} loc("load 0")
// CHECK-NEXT: npu.store {{.*}} loc("store 0")
// CHECK-NEXT: npu.load {{.*}} loc("load 1")
// CHECK-NEXT: npu.store {{.*}} loc("store 1")
npu.program @negative_no_room : (tensor<1200000xi8>) -> tensor<1200000xi8> target "gen1" {
^bb0(%in: !npu.buffer<dram, 1200000>, %out: !npu.buffer<dram, 1200000>):
  %a = npu.allocate : !npu.buffer<scratchpad, 600000>
  %b = npu.allocate : !npu.buffer<scratchpad, 600000>
  %0 = npu.load %in to %a <source_offset 0, target_offset 0, run 600000> : !npu.buffer<dram, 1200000> to !npu.buffer<scratchpad, 600000> loc("load 0")
  %1 = npu.store %a to %out <source_offset 0, target_offset 0, run 600000> : !npu.buffer<scratchpad, 600000> to !npu.buffer<dram, 1200000> loc("store 0")
  %2 = npu.load %in to %b <source_offset 600000, target_offset 0, run 600000> : !npu.buffer<dram, 1200000> to !npu.buffer<scratchpad, 600000> loc("load 1")
  %3 = npu.store %b to %out <source_offset 0, target_offset 600000, run 600000> : !npu.buffer<scratchpad, 600000> to !npu.buffer<dram, 1200000> loc("store 1")
}

// RUN: intaglio-opt %s -p npu-to-isa | filecheck %s

// State that is as the task needs it is not set again; a wait that an earlier one implies is left out.
// CHECK-LABEL: isa.program @tasks : (tensor<8xi8>) -> tensor<8xi8> constants dense<[{{(0, )+}}1, 2]> : tensor<66xi8> arena 136 target "gen1" {
// CHECK: isa.load_shape level 0 count 4 dram_stride 2 scratchpad_stride 2 loc("load")
// CHECK-NEXT: isa.load_shape level 1 count 1 dram_stride 0 scratchpad_stride 0 loc("load")
// CHECK-NEXT: isa.load_shape level 2 count 1 dram_stride 0 scratchpad_stride 0 loc("load")
// CHECK-NEXT: isa.load_run region 2 dram_offset 0 scratchpad 0 bytes 2 signal [2] loc("load")
// CHECK-NEXT: isa.vector_input base 0 row_stride 8 row_bytes 8 rows 1 pad -3 loc("convert")
// CHECK-NEXT: isa.vector_window columns 1 rows 1 step_x 4 step_y 1 loc("convert")
// CHECK-NEXT: isa.vector_output base 68 row_stride 4 column_stride 4 loc("convert")
// CHECK-NEXT: isa.vector_clamp low -128 high 127 double_round 0 loc("convert")
// CHECK-NEXT: isa.vector_scale operand 0 multiplier 1073741824 shift 30 zero_point 5 loc("convert")
// CHECK-NEXT: isa.vector_scale operand 1 multiplier 0 shift 2 zero_point 2 loc("convert")
// CHECK-NEXT: isa.vector_convert channels 4 x0 0 y0 0 wait [2] loc("convert")
// CHECK-NEXT: isa.vector_output base 64 row_stride 4 column_stride 4 loc("convert")
// CHECK-NEXT: isa.vector_convert channels 4 x0 4 y0 0 signal [9, 10] loc("convert")
// CHECK-NEXT: isa.store_shape level 0 count 1 dram_stride 0 scratchpad_stride 0 loc("spill")
// CHECK-NEXT: isa.store_shape level 1 count 1 dram_stride 0 scratchpad_stride 0 loc("spill")
// CHECK-NEXT: isa.store_shape level 2 count 1 dram_stride 0 scratchpad_stride 0 loc("spill")
// CHECK-NEXT: isa.store_run region 1 dram_offset 128 scratchpad 64 bytes 8 wait [10] signal [3] loc("spill")
// CHECK-NEXT: isa.load_shape level 0 count 1 dram_stride 0 scratchpad_stride 0 loc("weights")
// CHECK-NEXT: isa.load_run region 0 dram_offset 64 scratchpad 6 bytes 2 wait [9] loc("weights")
// CHECK-NEXT: isa.load_run region 1 dram_offset 128 scratchpad 64 bytes 8 wait [3] signal [0] loc("reload")
// CHECK-NEXT: isa.store_run region 3 dram_offset 0 scratchpad 64 bytes 8 wait [0] loc("store")
// CHECK-NEXT: isa.end
npu.program @tasks : (tensor<8xi8>) -> tensor<8xi8> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %w = npu.constant dense<[1, 2]> : tensor<2xi8> address 64
  %r = npu.allocate address 128 : !npu.buffer<arena, 8>
  %a = npu.allocate address 0 : !npu.buffer<scratchpad, 8>
  %b = npu.allocate address 64 : !npu.buffer<scratchpad, 8>
  %0 = npu.load %in to %a <source_offset 0, target_offset 0, run 2, count0 4, source_stride0 2, target_stride0 2> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8> loc("load")
  %1 = npu.convert %a map <offset 0, rows 1, row_bytes 8, row_stride 8, pad -3> to %b <offset 4, row_stride 4, column_stride 4> window <rows 1, columns 1, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 30, zero_point 5> input_zero_point 2 bounds <low -128, high 127> after(%0) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8> loc("convert")
  %2 = npu.convert %a map <offset 0, rows 1, row_bytes 8, row_stride 8, pad -3> to %b <offset 0, row_stride 4, column_stride 4> window <rows 1, columns 1, step_y 1, step_x 4> origin <y0 0, x0 4> channels 4 result_scale <multiplier 1073741824, shift 30, zero_point 5> input_zero_point 2 bounds <low -128, high 127> after(%0) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8> loc("convert")
  %3 = npu.store %b to %r <source_offset 0, target_offset 0, run 8> after(%1, %2) : !npu.buffer<scratchpad, 8> to !npu.buffer<arena, 8> loc("spill")
  %4 = npu.load %w to %a <source_offset 0, target_offset 6, run 2> after(%2) : !npu.buffer<constants, 2> to !npu.buffer<scratchpad, 8> loc("weights")
  %5 = npu.load %r to %b <source_offset 0, target_offset 0, run 8> after(%3) : !npu.buffer<arena, 8> to !npu.buffer<scratchpad, 8> loc("reload")
  %6 = npu.store %b to %out <source_offset 0, target_offset 0, run 8> after(%5) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8> loc("store")
}

// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

npu.program @p : (tensor<2x4x!quant.uniform<i8:f32, 0.5>>, tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x4x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%a: !npu.buffer<dram, 8>, %b: !npu.buffer<dram, 4>, %out: !npu.buffer<dram, 8>):
  %s = npu.allocate : !npu.buffer<scratchpad, 8>
  %t = npu.allocate : !npu.buffer<scratchpad, 4>
  %y = npu.allocate : !npu.buffer<scratchpad, 8>
  %0 = npu.load %a to %s <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
  %1 = npu.load %b to %t <source_offset 0, target_offset 0, run 4> : !npu.buffer<dram, 4> to !npu.buffer<scratchpad, 4>
  // CHECK: %2 = npu.multiply %s map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0>, %t <offset 0, row_stride 0, column_stride 0, channel_stride 1> to %y <offset 0, row_stride 8, column_stride 4> window <rows 1, columns 2, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 31, zero_point 0> a_zero_point 0 b_zero_point 0 bounds <low -128, high 127> after(%1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 4>, !npu.buffer<scratchpad, 8> loc("layer/multiply")
  %2 = npu.multiply %s map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0>, %t <offset 0, row_stride 0, column_stride 0, channel_stride 1> to %y <offset 0, row_stride 8, column_stride 4> window <rows 1, columns 2, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 31, zero_point 0> a_zero_point 0 b_zero_point 0 bounds <low -128, high 127> after(%1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 4>, !npu.buffer<scratchpad, 8> loc("layer/multiply")
  %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%2) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
}

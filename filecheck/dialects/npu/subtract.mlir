// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

npu.program @p : (tensor<8x!quant.uniform<i8:f32, 0.5>>, tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%a: !npu.buffer<dram, 8>, %b: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %s = npu.allocate : !npu.buffer<scratchpad, 8>
  %t = npu.allocate : !npu.buffer<scratchpad, 8>
  %y = npu.allocate : !npu.buffer<scratchpad, 8>
  %0 = npu.load %a to %s <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
  %1 = npu.load %b to %t <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
  // CHECK: %2 = npu.subtract %s map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0>, %t <offset 0, row_stride 8, column_stride 8, channel_stride 1> to %y <offset 0, row_stride 8, column_stride 8> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 8 result_scale <multiplier 1073741824, shift 49, zero_point 0> a_scale <multiplier 1073741824, shift 11, zero_point 0> b_scale <multiplier 1073741824, shift 11, zero_point 0> bounds <low -128, high 127> after(%1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8> loc("layer/subtract")
  %2 = npu.subtract %s map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0>, %t <offset 0, row_stride 8, column_stride 8, channel_stride 1> to %y <offset 0, row_stride 8, column_stride 8> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 8 result_scale <multiplier 1073741824, shift 49, zero_point 0> a_scale <multiplier 1073741824, shift 11, zero_point 0> b_scale <multiplier 1073741824, shift 11, zero_point 0> bounds <low -128, high 127> after(%1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8> loc("layer/subtract")
  %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%2) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
}

// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

npu.program @c1 : (tensor<2x4x!quant.uniform<i8:f32, 0.5>>, tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x4x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%a: !npu.buffer<dram, 8>, %b: !npu.buffer<dram, 4>, %out: !npu.buffer<dram, 8>):
  %s = npu.allocate : !npu.buffer<scratchpad, 8>
  %t = npu.allocate : !npu.buffer<scratchpad, 4>
  %y = npu.allocate : !npu.buffer<scratchpad, 8>
  // C1 of npu.divide
  // expected-error @+1 {{works on buffers in the scratchpad, got !npu.buffer<dram, 8>}}
  %2 = npu.divide %a map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0>, %t <offset 0, row_stride 0, column_stride 0, channel_stride 1> to %y <offset 0, row_stride 8, column_stride 4> window <rows 1, columns 2, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 52, zero_point 0> a_zero_point 0 b_zero_point 0 bounds <low -128, high 127> : !npu.buffer<dram, 8>, !npu.buffer<scratchpad, 4>, !npu.buffer<scratchpad, 8>
}

// -----

npu.program @c2 : (tensor<2x4x!quant.uniform<i8:f32, 0.5>>, tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x4x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%a: !npu.buffer<dram, 8>, %b: !npu.buffer<dram, 4>, %out: !npu.buffer<dram, 8>):
  %s = npu.allocate : !npu.buffer<scratchpad, 8>
  %t = npu.allocate : !npu.buffer<scratchpad, 4>
  %y = npu.allocate : !npu.buffer<scratchpad, 8>
  // C2 of npu.divide
  // expected-error @+1 {{writes bytes 1 to 8 of a buffer of 8 bytes}}
  %2 = npu.divide %s map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0>, %t <offset 0, row_stride 0, column_stride 0, channel_stride 1> to %y <offset 1, row_stride 8, column_stride 4> window <rows 1, columns 2, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 52, zero_point 0> a_zero_point 0 b_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 4>, !npu.buffer<scratchpad, 8>
}

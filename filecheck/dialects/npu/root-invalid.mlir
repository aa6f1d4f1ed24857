// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

npu.program @c1 : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x1x1x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 2>):
  %x = npu.allocate : !npu.buffer<scratchpad, 32>
  %y = npu.allocate : !npu.buffer<scratchpad, 2>
  // C1 of npu.root
  // expected-error @+1 {{works on buffers in the scratchpad, got !npu.buffer<dram, 32>}}
  %1 = npu.root %in map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 0> to %y <offset 0, row_stride 2, column_stride 2> window <rows 1, columns 1, step_y 1, step_x 2> taps <rows 4, columns 4, step_y 1, step_x 2> origin <y0 0, x0 0> channels 2 result_scale <multiplier 1073741824, shift 34, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<dram, 32>, !npu.buffer<scratchpad, 2>
}

// -----

npu.program @c2 : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x1x1x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 2>):
  %x = npu.allocate : !npu.buffer<scratchpad, 32>
  %y = npu.allocate : !npu.buffer<scratchpad, 2>
  // C2 of npu.root
  // expected-error @+1 {{writes bytes 1 to 2 of a buffer of 2 bytes}}
  %1 = npu.root %x map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 0> to %y <offset 1, row_stride 2, column_stride 2> window <rows 1, columns 1, step_y 1, step_x 2> taps <rows 4, columns 4, step_y 1, step_x 2> origin <y0 0, x0 0> channels 2 result_scale <multiplier 1073741824, shift 34, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 2>
}

// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

npu.program @c1 : (tensor<4x!quant.uniform<i16:f32, 1.0>>) -> tensor<4x!quant.uniform<i16:f32, 0.0009765625>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %x = npu.allocate : !npu.buffer<scratchpad, 8>
  %y = npu.allocate : !npu.buffer<scratchpad, 8>
  // C1 of npu.logarithm
  // expected-error @+1 {{works on buffers in the scratchpad, got !npu.buffer<dram, 8>}}
  %1 = npu.logarithm %in map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0, element_bytes 2> offset 0 to %y <offset 0, row_stride 8, column_stride 8, element_bytes 2> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 43, zero_point 0> bounds <low -32768, high 32767> : !npu.buffer<dram, 8>, !npu.buffer<scratchpad, 8>
}

// -----

npu.program @c2 : (tensor<4x!quant.uniform<i16:f32, 1.0>>) -> tensor<4x!quant.uniform<i16:f32, 0.0009765625>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %x = npu.allocate : !npu.buffer<scratchpad, 8>
  %y = npu.allocate : !npu.buffer<scratchpad, 8>
  // C2 of npu.logarithm
  // expected-error @+1 {{writes bytes 2 to 9 of a buffer of 8 bytes}}
  %1 = npu.logarithm %x map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0, element_bytes 2> offset 0 to %y <offset 2, row_stride 8, column_stride 8, element_bytes 2> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 43, zero_point 0> bounds <low -32768, high 32767> : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>
}

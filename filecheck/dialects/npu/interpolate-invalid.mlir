// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

npu.program @c1 : (tensor<4x!quant.uniform<i16:f32, 0.5>>) -> tensor<4x!quant.uniform<i16:f32, 0.25>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %c = npu.constant dense<7> : tensor<1026xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 8>
  %t = npu.allocate : !npu.buffer<scratchpad, 1026>
  %y = npu.allocate : !npu.buffer<scratchpad, 8>
  // C1 of npu.interpolate
  // expected-error @+1 {{works on buffers in the scratchpad, got !npu.buffer<constants, 1026>}}
  %2 = npu.interpolate %c map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0, element_bytes 2> table %t 0 to %y <offset 0, row_stride 8, column_stride 8, element_bytes 2> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 37, zero_point 0> bounds <low -32768, high 32767> : !npu.buffer<constants, 1026>, !npu.buffer<scratchpad, 1026>, !npu.buffer<scratchpad, 8>
}

// -----

npu.program @c2 : (tensor<4x!quant.uniform<i16:f32, 0.5>>) -> tensor<4x!quant.uniform<i16:f32, 0.25>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %c = npu.constant dense<7> : tensor<1026xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 8>
  %t = npu.allocate : !npu.buffer<scratchpad, 1026>
  %y = npu.allocate : !npu.buffer<scratchpad, 8>
  // C2 of npu.interpolate
  // expected-error @+1 {{writes bytes 2 to 9 of a buffer of 8 bytes}}
  %2 = npu.interpolate %x map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0, element_bytes 2> table %t 0 to %y <offset 2, row_stride 8, column_stride 8, element_bytes 2> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 37, zero_point 0> bounds <low -32768, high 32767> : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 1026>, !npu.buffer<scratchpad, 8>
}

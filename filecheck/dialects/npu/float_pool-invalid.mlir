// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

npu.program @c1 : (tensor<1x2x2x1xbf16>) -> tensor<1x1x1x1xbf16> target "gen2" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 2>):
  %x = npu.allocate : !npu.buffer<scratchpad, 8>
  %y = npu.allocate : !npu.buffer<scratchpad, 2>
  // C1 of npu.float_pool
  // expected-error @+1 {{works on buffers in the scratchpad, got !npu.buffer<dram, 8>}}
  %1 = npu.float_pool "sum" %in map <offset 0, rows 2, row_bytes 4, row_stride 4, pad 0, element_bytes 2> to %y <offset 0, row_stride 2, column_stride 2, element_bytes 2> window <rows 1, columns 1, step_y 1, step_x 2> taps <rows 2, columns 2, step_y 1, step_x 2> origin <y0 0, x0 0> channels 1 divisor 4 bounds <low -32640, high 32640> : !npu.buffer<dram, 8>, !npu.buffer<scratchpad, 2>
}

// -----

npu.program @c2 : (tensor<1x2x2x1xbf16>) -> tensor<1x1x1x1xbf16> target "gen2" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 2>):
  %x = npu.allocate : !npu.buffer<scratchpad, 8>
  %y = npu.allocate : !npu.buffer<scratchpad, 2>
  // C2 of npu.float_pool
  // expected-error @+1 {{writes bytes 2 to 3 of a buffer of 2 bytes}}
  %1 = npu.float_pool "sum" %x map <offset 0, rows 2, row_bytes 4, row_stride 4, pad 0, element_bytes 2> to %y <offset 2, row_stride 2, column_stride 2, element_bytes 2> window <rows 1, columns 1, step_y 1, step_x 2> taps <rows 2, columns 2, step_y 1, step_x 2> origin <y0 0, x0 0> channels 1 divisor 4 bounds <low -32640, high 32640> : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 2>
}

// -----

npu.program @c3 : (tensor<1x2x2x1xbf16>) -> tensor<1x1x1x1xbf16> target "gen2" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 2>):
  %x = npu.allocate : !npu.buffer<scratchpad, 8>
  %y = npu.allocate : !npu.buffer<scratchpad, 2>
  // C3 of npu.float_pool
  // expected-error @+1 {{needs one of the functions}}
  %1 = npu.float_pool "xor" %x map <offset 0, rows 2, row_bytes 4, row_stride 4, pad 0, element_bytes 2> to %y <offset 0, row_stride 2, column_stride 2, element_bytes 2> window <rows 1, columns 1, step_y 1, step_x 2> taps <rows 2, columns 2, step_y 1, step_x 2> origin <y0 0, x0 0> channels 1 divisor 4 bounds <low -32640, high 32640> : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 2>
}

// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

npu.program @c1 : (tensor<2x4xbf16>) -> tensor<2x4xbf16> target "gen2" {
^bb0(%in: !npu.buffer<dram, 16>, %out: !npu.buffer<dram, 16>):
  %x = npu.allocate : !npu.buffer<scratchpad, 16>
  %y = npu.allocate : !npu.buffer<scratchpad, 16>
  // C1 of npu.float_softmax
  // expected-error @+1 {{works on buffers in the scratchpad, got !npu.buffer<dram, 16>}}
  %1 = npu.float_softmax %in map <offset 0, rows 1, row_bytes 16, row_stride 16, pad 0, element_bytes 2> to %y <offset 0, row_stride 16, column_stride 8, element_bytes 2> window <rows 1, columns 2, step_y 1, step_x 8> origin <y0 0, x0 0> channels 4 bounds <low -32640, high 32640> : !npu.buffer<dram, 16>, !npu.buffer<scratchpad, 16>
}

// -----

npu.program @c2 : (tensor<2x4xbf16>) -> tensor<2x4xbf16> target "gen2" {
^bb0(%in: !npu.buffer<dram, 16>, %out: !npu.buffer<dram, 16>):
  %x = npu.allocate : !npu.buffer<scratchpad, 16>
  %y = npu.allocate : !npu.buffer<scratchpad, 16>
  // C2 of npu.float_softmax
  // expected-error @+1 {{writes bytes 2 to 17 of a buffer of 16 bytes}}
  %1 = npu.float_softmax %x map <offset 0, rows 1, row_bytes 16, row_stride 16, pad 0, element_bytes 2> to %y <offset 2, row_stride 16, column_stride 8, element_bytes 2> window <rows 1, columns 2, step_y 1, step_x 8> origin <y0 0, x0 0> channels 4 bounds <low -32640, high 32640> : !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 16>
}

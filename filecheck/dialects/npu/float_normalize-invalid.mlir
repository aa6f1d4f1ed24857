// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

npu.program @c1 : (tensor<2x2xbf16>) -> tensor<2x2xbf16> target "gen2" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %c = npu.constant dense<[0, 0, -128, 63, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, -128, 63]> : tensor<16xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 8>
  %f = npu.allocate : !npu.buffer<scratchpad, 16>
  %y = npu.allocate : !npu.buffer<scratchpad, 8>
  // C1 of npu.float_normalize
  // expected-error @+1 {{works on buffers in the scratchpad, got !npu.buffer<dram, 8>}}
  %2 = npu.float_normalize %in map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0, element_bytes 2> factors %f 0 epsilon 1.0 around_mean to %y <offset 0, row_stride 8, column_stride 4, element_bytes 2> window <rows 1, columns 2, step_y 1, step_x 4> origin <y0 0, x0 0> channels 2 bounds <low -32640, high 32640> : !npu.buffer<dram, 8>, !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 8>
}

// -----

npu.program @c2 : (tensor<2x2xbf16>) -> tensor<2x2xbf16> target "gen2" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %c = npu.constant dense<[0, 0, -128, 63, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, -128, 63]> : tensor<16xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 8>
  %f = npu.allocate : !npu.buffer<scratchpad, 16>
  %y = npu.allocate : !npu.buffer<scratchpad, 8>
  // C2 of npu.float_normalize
  // expected-error @+1 {{writes bytes 2 to 9 of a buffer of 8 bytes}}
  %2 = npu.float_normalize %x map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0, element_bytes 2> factors %f 0 epsilon 1.0 around_mean to %y <offset 2, row_stride 8, column_stride 4, element_bytes 2> window <rows 1, columns 2, step_y 1, step_x 4> origin <y0 0, x0 0> channels 2 bounds <low -32640, high 32640> : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 8>
}

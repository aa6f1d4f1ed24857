// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

npu.program @c1 : (tensor<2xbf16>) -> tensor<1xbf16> target "gen2" {
^bb0(%in: !npu.buffer<dram, 4>, %out: !npu.buffer<dram, 2>):
  %c = npu.constant dense<[0, 0, 0, 0, -128, 63, 0, 64]> : tensor<8xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 4>
  %v = npu.allocate : !npu.buffer<scratchpad, 8>
  %y = npu.allocate : !npu.buffer<scratchpad, 2>
  // C1 of npu.float_sums
  // expected-error @+1 {{works on buffers in the scratchpad, got !npu.buffer<dram, 2>}}
  %3 = npu.float_sums biases %v 0 to %out <offset 0, row_stride 2, column_stride 2, element_bytes 2> window <rows 1, columns 1, step_y 1, step_x 1> channels 1 accumulator 0 bounds <low -32640, high 32640> : !npu.buffer<scratchpad, 8>, !npu.buffer<dram, 2>
}

// -----

npu.program @c2 : (tensor<2xbf16>) -> tensor<1xbf16> target "gen2" {
^bb0(%in: !npu.buffer<dram, 4>, %out: !npu.buffer<dram, 2>):
  %c = npu.constant dense<[0, 0, 0, 0, -128, 63, 0, 64]> : tensor<8xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 4>
  %v = npu.allocate : !npu.buffer<scratchpad, 8>
  %y = npu.allocate : !npu.buffer<scratchpad, 2>
  // C2 of npu.float_sums
  // expected-error @+1 {{writes bytes 2 to 3 of a buffer of 2 bytes}}
  %3 = npu.float_sums biases %v 0 to %y <offset 2, row_stride 2, column_stride 2, element_bytes 2> window <rows 1, columns 1, step_y 1, step_x 1> channels 1 accumulator 0 bounds <low -32640, high 32640> : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 2>
}

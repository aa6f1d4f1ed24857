// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

npu.program @c1 : (tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 2>, %out: !npu.buffer<dram, 1>):
  %c = npu.constant dense<[0, 0, 0, 0, 0, 0, 0, 64, 30, 0, 0, 0, 3, -2]> : tensor<14xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 2>
  %v = npu.allocate : !npu.buffer<scratchpad, 14>
  %y = npu.allocate : !npu.buffer<scratchpad, 1>
  // C1 of npu.requantize
  // expected-error @+1 {{works on buffers in the scratchpad, got !npu.buffer<constants, 14>}}
  %3 = npu.requantize parameters %c 0 to %y <offset 0, row_stride 1, column_stride 1> window <rows 1, columns 1, step_y 1, step_x 1> channels 1 accumulator 0 zero_point 0 bounds <low -128, high 127> : !npu.buffer<constants, 14>, !npu.buffer<scratchpad, 1>
}

// -----

npu.program @c2 : (tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 2>, %out: !npu.buffer<dram, 1>):
  %c = npu.constant dense<[0, 0, 0, 0, 0, 0, 0, 64, 30, 0, 0, 0, 3, -2]> : tensor<14xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 2>
  %v = npu.allocate : !npu.buffer<scratchpad, 14>
  %y = npu.allocate : !npu.buffer<scratchpad, 1>
  // C2 of npu.requantize
  // expected-error @+1 {{writes bytes 1 to 1 of a buffer of 1 bytes}}
  %3 = npu.requantize parameters %v 0 to %y <offset 1, row_stride 1, column_stride 1> window <rows 1, columns 1, step_y 1, step_x 1> channels 1 accumulator 0 zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 14>, !npu.buffer<scratchpad, 1>
}

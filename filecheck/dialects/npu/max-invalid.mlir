// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

npu.program @c1 : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x2x2x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 8>):
  %x = npu.allocate : !npu.buffer<scratchpad, 32>
  %y = npu.allocate : !npu.buffer<scratchpad, 8>
  // C1 of npu.max
  // expected-error @+1 {{works on buffers in the scratchpad, got !npu.buffer<dram, 32>}}
  %1 = npu.max %in map <offset 0, rows 4, row_bytes 8, row_stride 8, pad -128> to %y <offset 0, row_stride 4, column_stride 2> window <rows 2, columns 2, step_y 2, step_x 4> taps <rows 2, columns 2, step_y 1, step_x 2> origin <y0 0, x0 0> channels 2 bounds <low -128, high 127> : !npu.buffer<dram, 32>, !npu.buffer<scratchpad, 8>
}

// -----

npu.program @c2 : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x2x2x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 8>):
  %x = npu.allocate : !npu.buffer<scratchpad, 32>
  %y = npu.allocate : !npu.buffer<scratchpad, 8>
  // C2 of npu.max
  // expected-error @+1 {{writes bytes 1 to 8 of a buffer of 8 bytes}}
  %1 = npu.max %x map <offset 0, rows 4, row_bytes 8, row_stride 8, pad -128> to %y <offset 1, row_stride 4, column_stride 2> window <rows 2, columns 2, step_y 2, step_x 4> taps <rows 2, columns 2, step_y 1, step_x 2> origin <y0 0, x0 0> channels 2 bounds <low -128, high 127> : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 8>
}

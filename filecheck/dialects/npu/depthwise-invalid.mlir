// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

npu.program @c1 : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 32>):
  %w = npu.constant dense<1> : tensor<42xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 32>
  %v = npu.allocate : !npu.buffer<scratchpad, 42>
  %y = npu.allocate : !npu.buffer<scratchpad, 32>
  // C1 of npu.depthwise
  // expected-error @+1 {{works on buffers in the scratchpad, got !npu.buffer<constants, 42>}}
  %2 = npu.depthwise %w map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 0> weights %v <offset 24, tap_stride 2> parameters %v 0 to %y <offset 0, row_stride 8, column_stride 2> window <rows 4, columns 4, step_y 1, step_x 2> taps <rows 3, columns 3, step_y 1, step_x 2> origin <y0 -1, x0 -2> channels 2 zero_point 0 bounds <low -128, high 127> : !npu.buffer<constants, 42>, !npu.buffer<scratchpad, 42>, !npu.buffer<scratchpad, 42>, !npu.buffer<scratchpad, 32>
}

// -----

npu.program @c2 : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 32>):
  %w = npu.constant dense<1> : tensor<42xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 32>
  %v = npu.allocate : !npu.buffer<scratchpad, 42>
  %y = npu.allocate : !npu.buffer<scratchpad, 32>
  // C2 of npu.depthwise
  // expected-error @+1 {{writes bytes 1 to 32 of a buffer of 32 bytes}}
  %2 = npu.depthwise %x map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 0> weights %v <offset 24, tap_stride 2> parameters %v 0 to %y <offset 1, row_stride 8, column_stride 2> window <rows 4, columns 4, step_y 1, step_x 2> taps <rows 3, columns 3, step_y 1, step_x 2> origin <y0 -1, x0 -2> channels 2 zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 42>, !npu.buffer<scratchpad, 42>, !npu.buffer<scratchpad, 32>
}

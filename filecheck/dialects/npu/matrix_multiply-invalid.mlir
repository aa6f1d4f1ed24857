// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

npu.program @c1 : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 32>):
  %w = npu.constant dense<1> : tensor<28xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 32>
  %v = npu.allocate : !npu.buffer<scratchpad, 28>
  %y = npu.allocate : !npu.buffer<scratchpad, 32>
  // C1 of npu.matrix_multiply
  // expected-error @+1 {{works on buffers in the scratchpad, got !npu.buffer<constants, 28>}}
  %2 = npu.matrix_multiply %w map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 0> weights %v <offset 24, tap_stride 4, row_stride 2> window <rows 4, columns 4, step_y 1, step_x 2> taps <rows 1, columns 1, step_y 1, step_x 2> origin <y0 0, x0 0> inner 2 outer 2 accumulator 0 : !npu.buffer<constants, 28>, !npu.buffer<scratchpad, 28>
}

// -----

npu.program @c2_input : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 32>):
  %w = npu.constant dense<1> : tensor<28xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 32>
  %v = npu.allocate : !npu.buffer<scratchpad, 28>
  %y = npu.allocate : !npu.buffer<scratchpad, 32>
  // C2 of npu.matrix_multiply
  // expected-error @+1 {{reads bytes 8 to 39 of a buffer of 32 bytes}}
  %2 = npu.matrix_multiply %x map <offset 8, rows 4, row_bytes 8, row_stride 8, pad 0> weights %v <offset 24, tap_stride 4, row_stride 2> window <rows 4, columns 4, step_y 1, step_x 2> taps <rows 1, columns 1, step_y 1, step_x 2> origin <y0 0, x0 0> inner 2 outer 2 accumulator 0 : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 28>
}

// -----

npu.program @c2_weights : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 32>):
  %w = npu.constant dense<1> : tensor<28xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 32>
  %v = npu.allocate : !npu.buffer<scratchpad, 28>
  %y = npu.allocate : !npu.buffer<scratchpad, 32>
  // C2 of npu.matrix_multiply
  // expected-error @+1 {{reads bytes 25 to 28 of a buffer of 28 bytes}}
  %2 = npu.matrix_multiply %x map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 0> weights %v <offset 25, tap_stride 4, row_stride 2> window <rows 4, columns 4, step_y 1, step_x 2> taps <rows 1, columns 1, step_y 1, step_x 2> origin <y0 0, x0 0> inner 2 outer 2 accumulator 0 : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 28>
}

// -----

npu.program @c3 : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 32>):
  %w = npu.constant dense<1> : tensor<28xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 32>
  %v = npu.allocate : !npu.buffer<scratchpad, 28>
  %y = npu.allocate : !npu.buffer<scratchpad, 32>
  // C3 of npu.matrix_multiply
  // expected-error @+1 {{needs positive `inner` and `outer` and an accumulator row, got 0, 2 and 0}}
  %2 = npu.matrix_multiply %x map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 0> weights %v <offset 24, tap_stride 4, row_stride 2> window <rows 4, columns 4, step_y 1, step_x 2> taps <rows 1, columns 1, step_y 1, step_x 2> origin <y0 0, x0 0> inner 0 outer 2 accumulator 0 : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 28>
}

// -----

npu.program @c3_row : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 32>):
  %w = npu.constant dense<1> : tensor<28xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 32>
  %v = npu.allocate : !npu.buffer<scratchpad, 28>
  %y = npu.allocate : !npu.buffer<scratchpad, 32>
  // C3 of npu.matrix_multiply
  // expected-error @+1 {{needs positive `inner` and `outer` and an accumulator row, got 2, 2 and -1}}
  %2 = npu.matrix_multiply %x map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 0> weights %v <offset 24, tap_stride 4, row_stride 2> window <rows 4, columns 4, step_y 1, step_x 2> taps <rows 1, columns 1, step_y 1, step_x 2> origin <y0 0, x0 0> inner 2 outer 2 accumulator -1 : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 28>
}

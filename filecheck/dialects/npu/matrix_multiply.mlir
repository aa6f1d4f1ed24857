// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

npu.program @p : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 32>):
  %w = npu.constant dense<1> : tensor<28xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 32>
  %v = npu.allocate : !npu.buffer<scratchpad, 28>
  %y = npu.allocate : !npu.buffer<scratchpad, 32>
  %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 32> : !npu.buffer<dram, 32> to !npu.buffer<scratchpad, 32>
  %1 = npu.load %w to %v <source_offset 0, target_offset 0, run 28> : !npu.buffer<constants, 28> to !npu.buffer<scratchpad, 28>
  // CHECK: %2 = npu.matrix_multiply %x map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 0> weights %v <offset 24, tap_stride 4, row_stride 2> window <rows 4, columns 4, step_y 1, step_x 2> taps <rows 1, columns 1, step_y 1, step_x 2> origin <y0 0, x0 0> inner 2 outer 2 accumulator 0 after(%0, %1) : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 28> loc("layer/matrix_multiply")
  %2 = npu.matrix_multiply %x map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 0> weights %v <offset 24, tap_stride 4, row_stride 2> window <rows 4, columns 4, step_y 1, step_x 2> taps <rows 1, columns 1, step_y 1, step_x 2> origin <y0 0, x0 0> inner 2 outer 2 accumulator 0 after(%0, %1) : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 28> loc("layer/matrix_multiply")
  %3 = npu.requantize parameters %v 0 to %y <offset 0, row_stride 8, column_stride 2> window <rows 4, columns 4, step_y 1, step_x 2> channels 2 accumulator 0 zero_point 0 bounds <low -128, high 127> after(%2) : !npu.buffer<scratchpad, 28>, !npu.buffer<scratchpad, 32>
  %4 = npu.store %y to %out <source_offset 0, target_offset 0, run 32> after(%3) : !npu.buffer<scratchpad, 32> to !npu.buffer<dram, 32>
}

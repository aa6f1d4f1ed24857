// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

npu.program @p : (tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 2>, %out: !npu.buffer<dram, 1>):
  %c = npu.constant dense<[0, 0, 0, 0, 0, 0, 0, 64, 30, 0, 0, 0, 3, -2]> : tensor<14xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 2>
  %v = npu.allocate : !npu.buffer<scratchpad, 14>
  %y = npu.allocate : !npu.buffer<scratchpad, 1>
  %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 2> : !npu.buffer<dram, 2> to !npu.buffer<scratchpad, 2>
  %1 = npu.load %c to %v <source_offset 0, target_offset 0, run 14> : !npu.buffer<constants, 14> to !npu.buffer<scratchpad, 14>
  %2 = npu.matrix_multiply %x map <offset 0, rows 1, row_bytes 2, row_stride 2, pad 0> weights %v <offset 12, tap_stride 2, row_stride 1> window <rows 1, columns 1, step_y 1, step_x 2> taps <rows 1, columns 1, step_y 1, step_x 2> origin <y0 0, x0 0> inner 2 outer 1 accumulator 0 after(%1) : !npu.buffer<scratchpad, 2>, !npu.buffer<scratchpad, 14>
  // CHECK: %3 = npu.requantize parameters %v 0 to %y <offset 0, row_stride 1, column_stride 1> window <rows 1, columns 1, step_y 1, step_x 1> channels 1 accumulator 0 zero_point 0 bounds <low -128, high 127> after(%2) : !npu.buffer<scratchpad, 14>, !npu.buffer<scratchpad, 1> loc("layer/requantize")
  %3 = npu.requantize parameters %v 0 to %y <offset 0, row_stride 1, column_stride 1> window <rows 1, columns 1, step_y 1, step_x 1> channels 1 accumulator 0 zero_point 0 bounds <low -128, high 127> after(%2) : !npu.buffer<scratchpad, 14>, !npu.buffer<scratchpad, 1> loc("layer/requantize")
  %4 = npu.store %y to %out <source_offset 0, target_offset 0, run 1> after(%3) : !npu.buffer<scratchpad, 1> to !npu.buffer<dram, 1>
}

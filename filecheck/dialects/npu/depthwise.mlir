// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

npu.program @p : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 32>):
  %w = npu.constant dense<1> : tensor<42xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 32>
  %v = npu.allocate : !npu.buffer<scratchpad, 42>
  %y = npu.allocate : !npu.buffer<scratchpad, 32>
  %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 32> : !npu.buffer<dram, 32> to !npu.buffer<scratchpad, 32>
  %1 = npu.load %w to %v <source_offset 0, target_offset 0, run 42> : !npu.buffer<constants, 42> to !npu.buffer<scratchpad, 42>
  // CHECK: %2 = npu.depthwise %x map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 0> weights %v <offset 24, tap_stride 2> parameters %v 0 to %y <offset 0, row_stride 8, column_stride 2> window <rows 4, columns 4, step_y 1, step_x 2> taps <rows 3, columns 3, step_y 1, step_x 2> origin <y0 -1, x0 -2> channels 2 zero_point 0 bounds <low -128, high 127> after(%0, %1) : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 42>, !npu.buffer<scratchpad, 42>, !npu.buffer<scratchpad, 32> loc("layer/depthwise")
  %2 = npu.depthwise %x map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 0> weights %v <offset 24, tap_stride 2> parameters %v 0 to %y <offset 0, row_stride 8, column_stride 2> window <rows 4, columns 4, step_y 1, step_x 2> taps <rows 3, columns 3, step_y 1, step_x 2> origin <y0 -1, x0 -2> channels 2 zero_point 0 bounds <low -128, high 127> after(%0, %1) : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 42>, !npu.buffer<scratchpad, 42>, !npu.buffer<scratchpad, 32> loc("layer/depthwise")
  %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 32> after(%2) : !npu.buffer<scratchpad, 32> to !npu.buffer<dram, 32>
}

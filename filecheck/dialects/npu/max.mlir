// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

npu.program @p : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x2x2x2x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 32>, %out: !npu.buffer<dram, 8>):
  %x = npu.allocate : !npu.buffer<scratchpad, 32>
  %y = npu.allocate : !npu.buffer<scratchpad, 8>
  %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 32> : !npu.buffer<dram, 32> to !npu.buffer<scratchpad, 32>
  // CHECK: %1 = npu.max %x map <offset 0, rows 4, row_bytes 8, row_stride 8, pad -128> to %y <offset 0, row_stride 4, column_stride 2> window <rows 2, columns 2, step_y 2, step_x 4> taps <rows 2, columns 2, step_y 1, step_x 2> origin <y0 0, x0 0> channels 2 bounds <low -128, high 127> after(%0) : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 8> loc("layer/max")
  %1 = npu.max %x map <offset 0, rows 4, row_bytes 8, row_stride 8, pad -128> to %y <offset 0, row_stride 4, column_stride 2> window <rows 2, columns 2, step_y 2, step_x 4> taps <rows 2, columns 2, step_y 1, step_x 2> origin <y0 0, x0 0> channels 2 bounds <low -128, high 127> after(%0) : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 8> loc("layer/max")
  %2 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%1) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
}

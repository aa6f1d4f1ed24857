// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

npu.program @p : (tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.25>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %x = npu.allocate : !npu.buffer<scratchpad, 8>
  %y = npu.allocate : !npu.buffer<scratchpad, 8>
  %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
  // CHECK: %1 = npu.convert %x map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0> to %y <offset 0, row_stride 8, column_stride 8> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 8 result_scale <multiplier 1073741824, shift 29, zero_point 0> input_zero_point 0 bounds <low -128, high 127> after(%0) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8> loc("layer/convert")
  %1 = npu.convert %x map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0> to %y <offset 0, row_stride 8, column_stride 8> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 8 result_scale <multiplier 1073741824, shift 29, zero_point 0> input_zero_point 0 bounds <low -128, high 127> after(%0) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8> loc("layer/convert")
  %2 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%1) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
}

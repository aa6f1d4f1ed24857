// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

npu.program @p : (tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.25>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %c = npu.constant dense<7> : tensor<256xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 8>
  %t = npu.allocate : !npu.buffer<scratchpad, 256>
  %y = npu.allocate : !npu.buffer<scratchpad, 8>
  %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
  %1 = npu.load %c to %t <source_offset 0, target_offset 0, run 256> : !npu.buffer<constants, 256> to !npu.buffer<scratchpad, 256>
  // CHECK: %2 = npu.lookup %x map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0> table %t 0 to %y <offset 0, row_stride 8, column_stride 8> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 8 bounds <low -128, high 127> after(%1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 256>, !npu.buffer<scratchpad, 8> loc("layer/lookup")
  %2 = npu.lookup %x map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0> table %t 0 to %y <offset 0, row_stride 8, column_stride 8> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 8 bounds <low -128, high 127> after(%1) : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 256>, !npu.buffer<scratchpad, 8> loc("layer/lookup")
  %3 = npu.store %y to %out <source_offset 0, target_offset 0, run 8> after(%2) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
}

// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

npu.program @p : (tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %s = npu.allocate : !npu.buffer<scratchpad, 8>
  // CHECK: %0 = npu.load %in to %s <source_offset 0, target_offset 0, run 4, count0 2, source_stride0 4, target_stride0 4> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8> loc("layer/load")
  %0 = npu.load %in to %s <source_offset 0, target_offset 0, run 4, count0 2, source_stride0 4, target_stride0 4> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8> loc("layer/load")
  %1 = npu.store %s to %out <source_offset 0, target_offset 0, run 8> after(%0) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
}

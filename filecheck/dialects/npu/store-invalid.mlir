// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

npu.program @c1 : (tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %s = npu.allocate : !npu.buffer<scratchpad, 8>
  // C1 of npu.store
  // expected-error @+1 {{moves from scratchpad to arena or dram, got !npu.buffer<dram, 8> and !npu.buffer<dram, 8>}}
  %1 = npu.store %in to %out <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<dram, 8>
}

// -----

npu.program @c2 : (tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %s = npu.allocate : !npu.buffer<scratchpad, 8>
  // C2 of npu.store
  // expected-error @+1 {{writes bytes 1 to 8 of a buffer of 8 bytes}}
  %1 = npu.store %s to %out <source_offset 0, target_offset 1, run 8> : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
}

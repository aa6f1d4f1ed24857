// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

npu.program @c1 : (tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %s = npu.allocate : !npu.buffer<scratchpad, 8>
  // C1 of npu.load
  // expected-error @+1 {{moves from arena or constants or dram to scratchpad, got !npu.buffer<scratchpad, 8> and !npu.buffer<scratchpad, 8>}}
  %0 = npu.load %s to %s <source_offset 0, target_offset 0, run 4, count0 2, source_stride0 4, target_stride0 4> : !npu.buffer<scratchpad, 8> to !npu.buffer<scratchpad, 8>
}

// -----

npu.program @c2 : (tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %s = npu.allocate : !npu.buffer<scratchpad, 8>
  // C2 of npu.load
  // expected-error @+1 {{reads bytes 1 to 8 of a buffer of 8 bytes}}
  %0 = npu.load %in to %s <source_offset 1, target_offset 0, run 4, count0 2, source_stride0 4, target_stride0 4> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
}

// -----

npu.program @c2_target : (tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %s = npu.allocate : !npu.buffer<scratchpad, 8>
  // C2 of npu.load
  // expected-error @+1 {{writes bytes -4 to 3 of a buffer of 8 bytes}}
  %0 = npu.load %in to %s <source_offset 0, target_offset 0, run 4, count0 2, source_stride0 4, target_stride0 -4> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
}

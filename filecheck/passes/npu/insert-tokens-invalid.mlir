// RUN: intaglio-opt %s -p insert-tokens --verify-diagnostics

// expected-error @+1 {{a buffer of @no_addresses has no address}}
npu.program @no_addresses : (tensor<8xi8>) -> tensor<8xi8> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %a = npu.allocate : !npu.buffer<scratchpad, 8>
  %0 = npu.load %in to %a <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
}

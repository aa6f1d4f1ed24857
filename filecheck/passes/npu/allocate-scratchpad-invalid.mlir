// RUN: intaglio-opt %s -p allocate-scratchpad --verify-diagnostics

// expected-error @+1 {{the buffers of @too_large need 1200000 bytes at once, addresses were found for 1200000; the scratchpad has 1048576}}
npu.program @too_large : (tensor<600000xi8>) -> tensor<600000xi8> target "gen1" {
^bb0(%in: !npu.buffer<dram, 600000>, %out: !npu.buffer<dram, 600000>):
  %a = npu.allocate : !npu.buffer<scratchpad, 600000>
  %b = npu.allocate : !npu.buffer<scratchpad, 600000>
  %0 = npu.load %in to %a <source_offset 0, target_offset 0, run 600000> : !npu.buffer<dram, 600000> to !npu.buffer<scratchpad, 600000>
  %1 = npu.load %in to %b <source_offset 0, target_offset 0, run 600000> : !npu.buffer<dram, 600000> to !npu.buffer<scratchpad, 600000>
  %2 = npu.store %a to %out <source_offset 0, target_offset 0, run 600000> : !npu.buffer<scratchpad, 600000> to !npu.buffer<dram, 600000>
  %3 = npu.store %b to %out <source_offset 0, target_offset 0, run 600000> : !npu.buffer<scratchpad, 600000> to !npu.buffer<dram, 600000>
}

// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

// C1 of npu.program
// expected-error @+1 {{programs take and return static tensors stored as i8, i16 or bf16, got tensor<8xf32>}}
npu.program @c1 : (tensor<8xf32>) -> () target "gen1" {
^bb0(%in: !npu.buffer<dram, 32>):
}

// -----

// C2 of npu.program
// expected-error @+1 {{the block's arguments must be !npu.buffer<dram, 8>, !npu.buffer<dram, 4>, got !npu.buffer<dram, 8>}}
npu.program @c2 : (tensor<8xi8>) -> tensor<4xi8> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>):
}

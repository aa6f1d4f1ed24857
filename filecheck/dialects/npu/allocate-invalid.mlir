// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

// C1 of npu.allocate
// expected-error @+1 {{allocates in the scratchpad or the arena, got !npu.buffer<constants, 4>}}
%x = npu.allocate : !npu.buffer<constants, 4>

// -----

// C2 of npu.allocate
// expected-error @+1 {{addresses are not negative, got -64}}
%x = npu.allocate address -64 : !npu.buffer<scratchpad, 4>

// RUN: intaglio-opt %s | intaglio-opt | filecheck %s
// RUN: intaglio-opt %s --print-op-generic | intaglio-opt | filecheck %s

!q = !quant.uniform<i8:f32, 0.5:3>

// CHECK-LABEL: isa.program @quantized_tensors : (tensor<1x8x!quant.uniform<i8:f32, 0.5:3>>, tensor<4xi8>) -> tensor<8xi8> constants dense<[1, -2]> : tensor<2xi8> arena 4096 target "gen1" {
isa.program @quantized_tensors : (tensor<1x8x!q>, tensor<4xi8>) -> tensor<8xi8> constants dense<[1, -2]> : tensor<2xi8> arena 4096 target "gen1" {
  // CHECK-NEXT: isa.load_shape level 0 count 1 dram_stride 0 scratchpad_stride -8 wait [1, 2]
  isa.load_shape level 0 count 1 dram_stride 0 scratchpad_stride -8 wait [1, 2]
  // CHECK-NEXT: isa.vector_table base 64 loc("stem/HardSwish")
  isa.vector_table base 64 loc("stem/HardSwish")
  // CHECK-NEXT: isa.end
  isa.end
}

// CHECK-LABEL: isa.program @weights_and_attributes : () -> (tensor<1xi8>, tensor<2xi8>) constants #nn.weights<"constants", "0123456789abcdef0123456789abcdef"> : tensor<1000xi8> arena 0 target "my/chip.toml" attributes {note = "kept"} {
isa.program @weights_and_attributes : () -> (tensor<1xi8>, tensor<2xi8>) constants #nn.weights<"constants", "0123456789abcdef0123456789abcdef"> : tensor<1000xi8> arena 0 target "my/chip.toml" attributes {note = "kept"} {
  // CHECK-NEXT: isa.end
  isa.end
}

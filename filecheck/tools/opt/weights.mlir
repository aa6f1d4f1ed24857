// RUN: intaglio-opt %s | filecheck %s
// RUN: not intaglio-opt %s --inline-weights 2>&1 | filecheck %s --check-prefix=ABSENT

// Structure can be worked on without the values; asking for them says what is missing.
// CHECK:  builtin.module attributes {nn.weights_file = "absent.safetensors"} {
// CHECK-NEXT: "test.op"() {w = #nn.weights<"stem:weight", "0123456789abcdef0123456789abcdef"> : tensor<16x3x3x1xf32>} : () -> ()
// ABSENT: error: the values of weights "stem:weight" (0123456789abcdef0123456789abcdef) are not available
// ABSENT-NEXT: hint: {{.*}}absent.safetensors is missing
builtin.module attributes {nn.weights_file = "absent.safetensors"} {
  "test.op"() {w = #nn.weights<"stem:weight", "0123456789abcdef0123456789abcdef"> : tensor<16x3x3x1xf32>} : () -> ()
}

// RUN: intaglio-opt %s | filecheck %s
// RUN: intaglio-opt %s | intaglio-opt | filecheck %s
// RUN: intaglio-opt %s --no-print-aliases | filecheck %s --check-prefix=FULL

// CHECK:       !type0 = !test.type<"long enough that it is not worth repeating wherever it is used">
// CHECK-NEXT:  builtin.module {
// CHECK-NEXT:    %0 = "test.op"() : () -> tensor<2x!type0>
// CHECK-NEXT:    "test.op"(%0) : (tensor<2x!type0>) -> ()
// FULL-NOT: !type0
// FULL: "test.op"(%0) : (tensor<2x!test.type<"long enough that it is not worth repeating wherever it is used">>) -> ()
!name = !test.type<"long enough that it is not worth repeating wherever it is used">
%0 = "test.op"() : () -> tensor<2x!name>
"test.op"(%0) : (tensor<2x!name>) -> ()

// RUN: intaglio-opt %s | filecheck %s
// RUN: intaglio-opt %s --print-op-generic | intaglio-opt | filecheck %s

func.func @main(%a: tensor<2xf32>, %b: tensor<2xf32>, %c: tensor<3xi8>, %d: tensor<3xi8>) {
  check.expect_eq %a, %b : tensor<2xf32>
  check.expect_eq %c, %d : tensor<3xi8>
  check.expect_close %a, %b tolerance 1.000000e-03 : tensor<2xf32>
  check.expect_close %c, %d tolerance 1.000000e+00 {note = "one step"} : tensor<3xi8>
  func.return
}
// CHECK-LABEL: func.func @main(%a: tensor<2xf32>, %b: tensor<2xf32>, %c: tensor<3xi8>, %d: tensor<3xi8>) {
// CHECK-NEXT:    check.expect_eq %a, %b : tensor<2xf32>
// CHECK-NEXT:    check.expect_eq %c, %d : tensor<3xi8>
// CHECK-NEXT:    check.expect_close %a, %b tolerance 1.000000e-03 : tensor<2xf32>
// CHECK-NEXT:    check.expect_close %c, %d tolerance 1.000000e+00 {note = "one step"} : tensor<3xi8>
// CHECK-NEXT:    func.return

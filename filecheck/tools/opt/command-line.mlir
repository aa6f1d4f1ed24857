// RUN: not intaglio-opt %s -p no-such-pass 2>&1 | filecheck %s --check-prefix=PASS
// RUN: not intaglio-opt %s.absent 2>&1 | filecheck %s --check-prefix=FILE
// RUN: intaglio-opt %s -o %t.mlir && cat %t.mlir | filecheck %s
// RUN: intaglio-opt %s --print-op-generic | filecheck %s --check-prefix=GENERIC

// PASS: pipeline: error: there is no pass 'no-such-pass'
// PASS-NEXT: hint:
// FILE: command-line.mlir.absent: error: cannot read the file: No such file or directory
// CHECK: func.func @f() {
// GENERIC: "func.func"() <{sym_name = "f", function_type = () -> ()}> ({
func.func @f() {
  func.return
}

// RUN: intaglio-opt %s --verify-diagnostics --split-input-file | filecheck %s
// RUN: not intaglio-opt %s --split-input-file 2>&1 | filecheck %s --check-prefix=ERROR

// Parts without errors are printed.
// CHECK: "test.op"() {part = "// ----- inside a line does not split"} : () -> ()
// CHECK-NOT: test.op
"test.op"() {part = "// ----- inside a line does not split"} : () -> ()

// -----

// ERROR: diagnostics.mlir:[[# @LINE + 1]]:11: error: use of undefined value %missing
"test.op"(%missing) : (i32) -> () // expected-error {{use of undefined value %missing}}

// -----

func.func @order() {
  // ERROR: diagnostics.mlir:[[# @LINE + 2]]:3: error: test.op "named": uses %late where it is not defined yet
  // expected-error @+1 {{uses %late where it is not defined yet}}
  "test.op"(%late) : (i32) -> () loc("named")
  %late = "test.op"() : () -> i32
  func.return
}

// -----

func.func @two() -> i32 {
  %0 = "test.op"() ({
    // expected-error @below {{'func.return' expects parent op 'func.func'}}
    func.return
  }) : () -> i32
  // expected-error @+1 {{expected [i32], got []}}
  func.return
}

// -----

// expected-error @unknown {{'../elsewhere' is not a plain file name}}
builtin.module attributes {nn.weights_file = "../elsewhere"} {
  "test.op"() : () -> ()
}

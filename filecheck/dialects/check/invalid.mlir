// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @different_types(%a: tensor<2xf32>, %b: tensor<3xf32>) {
  // C1 of check.expect_eq
  // expected-error @+1 {{expected from variable 'T', but got tensor<3xf32>}}
  "check.expect_eq"(%a, %b) : (tensor<2xf32>, tensor<3xf32>) -> ()
  func.return
}

// -----

func.func @not_tensors(%a: i32) {
  // C1 of check.expect_eq
  // expected-error @+1 {{i32 should be of base attribute tensor}}
  "check.expect_eq"(%a, %a) : (i32, i32) -> ()
  func.return
}

// -----

func.func @different_types(%a: tensor<2xf32>, %b: tensor<2xf64>) {
  // C1 of check.expect_close
  // expected-error @+1 {{expected from variable 'T', but got tensor<2xf64>}}
  "check.expect_close"(%a, %b) <{tolerance = 1.0}> : (tensor<2xf32>, tensor<2xf64>) -> ()
  func.return
}

// -----

func.func @negative_tolerance(%a: tensor<2xf32>) {
  // C2 of check.expect_close
  // expected-error @+1 {{the tolerance must be finite and not negative, got -1.0}}
  check.expect_close %a, %a tolerance -1.0 : tensor<2xf32>
  func.return
}

// -----

func.func @infinite_tolerance(%a: tensor<2xf32>) {
  // C2 of check.expect_close
  // expected-error @+1 {{the tolerance must be finite and not negative, got inf}}
  check.expect_close %a, %a tolerance 0x7FF0000000000000 : tensor<2xf32>
  func.return
}

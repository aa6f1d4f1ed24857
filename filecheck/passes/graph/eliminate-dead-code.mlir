// RUN: intaglio-opt %s -p eliminate-dead-code | filecheck %s

// CHECK-LABEL: func.func @unused_chain
// CHECK-NEXT: func.return %x
func.func @unused_chain(%x: tensor<2xf32>) -> tensor<2xf32> {
  %a = nn.relu %x : (tensor<2xf32>) -> tensor<2xf32>
  %b = nn.tanh %a : (tensor<2xf32>) -> tensor<2xf32>
  %c = nn.add %a, %b : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return %x : tensor<2xf32>
}

// CHECK-LABEL: func.func @unused_constant
// CHECK-NEXT: func.return
func.func @unused_constant() {
  %a = nn.constant dense<1.0> : tensor<2xf32>
  func.return
}

// CHECK-LABEL: func.func @negative_used
// CHECK-NEXT: %a = nn.relu %x
// CHECK-NEXT: func.return %a
func.func @negative_used(%x: tensor<2xf32>) -> tensor<2xf32> {
  %a = nn.relu %x : (tensor<2xf32>) -> tensor<2xf32>
  func.return %a : tensor<2xf32>
}

// CHECK-LABEL: func.func @negative_checks_and_calls
// CHECK-NEXT: %a = nn.relu %x
// CHECK-NEXT: check.expect_eq %a, %x
// CHECK-NEXT: %b = func.call @negative_used(%x)
func.func @negative_checks_and_calls(%x: tensor<2xf32>) {
  %a = nn.relu %x : (tensor<2xf32>) -> tensor<2xf32>
  check.expect_eq %a, %x : tensor<2xf32>
  %b = func.call @negative_used(%x) : (tensor<2xf32>) -> tensor<2xf32>
  func.return
}

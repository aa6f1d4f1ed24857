// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @float
// CHECK: %y = nn.compare %a, %b predicate "less" : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xi1>
func.func @float(%a: tensor<2x3xf32>, %b: tensor<3xf32>) -> tensor<2x3xi1> {
  %y = nn.compare %a, %b predicate "less" : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xi1>
  func.return %y : tensor<2x3xi1>
}

// CHECK-LABEL: func.func @integers
// CHECK: %y = nn.compare %a, %b predicate "equal" : (tensor<2xi32>, tensor<i32>) -> tensor<2xi1>
func.func @integers(%a: tensor<2xi32>, %b: tensor<i32>) -> tensor<2xi1> {
  %y = nn.compare %a, %b predicate "equal" : (tensor<2xi32>, tensor<i32>) -> tensor<2xi1>
  func.return %y : tensor<2xi1>
}

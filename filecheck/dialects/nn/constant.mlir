// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @float
// CHECK: %y = nn.constant dense<[1.000000e+00, -2.500000e+00]> : tensor<2xf32>
func.func @float() -> tensor<2xf32> {
  %y = nn.constant dense<[1.0, -2.5]> : tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// CHECK-LABEL: func.func @integers
// CHECK: %y = nn.constant dense<7> : tensor<3xi64>
func.func @integers() -> tensor<3xi64> {
  %y = nn.constant dense<7> : tensor<3xi64>
  func.return %y : tensor<3xi64>
}

// CHECK-LABEL: func.func @quantized
// CHECK: %y = nn.constant dense<[3, -4]> : tensor<2xi8> as tensor<2x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>
func.func @quantized() -> tensor<2x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>> {
  %y = nn.constant dense<[3, -4]> : tensor<2xi8> as tensor<2x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>
  func.return %y : tensor<2x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>
}

// CHECK-LABEL: func.func @by_digest
// CHECK: %y = nn.constant #nn.weights<"stem/weight", "0123456789abcdef0123456789abcdef"> : tensor<200xf32>
func.func @by_digest() -> tensor<200xf32> {
  %y = nn.constant #nn.weights<"stem/weight", "0123456789abcdef0123456789abcdef"> : tensor<200xf32>
  func.return %y : tensor<200xf32>
}

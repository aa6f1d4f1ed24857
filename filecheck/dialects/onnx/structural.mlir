// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @initializers
// CHECK-NEXT: %w = onnx.initializer "stem/weight:0" = dense<[1.000000e+00, -2.000000e+00]> : tensor<2xf32>
// CHECK-NEXT: %b = onnx.initializer "bias" input 3 = dense<5.000000e-01> : tensor<f32>
// CHECK-NEXT: %i = onnx.initializer "infinity" = dense<[0xff800000, 1.000000e+00]> : tensor<2xf32>
// CHECK-NEXT: %l = onnx.initializer "large" = #nn.weights<"large", "4f0c53c3a3f20c6e9d1f6d7c3f6f0f53"> : tensor<16x3x3x1xf32>
// CHECK-NEXT: %s = onnx.initializer "texts" = #onnx.strings<["a", #onnx.octets<"00ff">], tensor<2x!onnx.string>>
// CHECK-NEXT: %z = onnx.initializer "sparse" = #onnx.sparse<dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>, dense<[0, 5]> : tensor<2xi64>, array<i64: 2, 3>>
func.func @initializers() {
  %w = onnx.initializer "stem/weight:0" = dense<[1.0, -2.0]> : tensor<2xf32>
  %b = onnx.initializer "bias" input 3 = dense<0.5> : tensor<f32>
  %i = onnx.initializer "infinity" = dense<[0xff800000, 1.0]> : tensor<2xf32>
  %l = onnx.initializer "large" = #nn.weights<"large", "4f0c53c3a3f20c6e9d1f6d7c3f6f0f53"> : tensor<16x3x3x1xf32>
  %s = onnx.initializer "texts" = #onnx.strings<["a", #onnx.octets<"00ff">], tensor<2x!onnx.string>>
  %z = onnx.initializer "sparse" = #onnx.sparse<dense<[1.0, 2.0]> : tensor<2xf32>, dense<[0, 5]> : tensor<2xi64>, array<i64: 2, 3>>
  // The result of a sparse initializer is the dense tensor.
  // CHECK-NEXT: onnx.Identity(%z) : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %d = onnx.Identity(%z) : (tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return
}

// CHECK-LABEL: func.func @custom
// CHECK-NEXT: %y = onnx.custom "com.acme" "Blur"(%x, _, %k) as "blurred" {modes = ["a"], radius = 2} : (tensor<4xf32>, tensor<2xf32>) -> tensor<4xf32> loc("blur")
// CHECK-NEXT: %a, %b = onnx.custom "com.acme" "Two"(%y) {onnx.doc_string = "d"} : (tensor<4xf32>) -> (tensor<4xf32>, _, tensor<*xnone>)
// CHECK-NEXT: onnx.custom "com.acme" "Map"(%a) body {
// CHECK-NEXT: ^bb0(%e: tensor<f32>):
// CHECK-NEXT: onnx.yield %e : tensor<f32>
// CHECK-NEXT: } : (tensor<4xf32>) -> tensor<4xf32>
func.func @custom(%x: tensor<4xf32>, %k: tensor<2xf32>) -> tensor<4xf32> {
  %y = onnx.custom "com.acme" "Blur"(%x, _, %k) as "blurred" {radius = 2, modes = ["a"]} : (tensor<4xf32>, tensor<2xf32>) -> tensor<4xf32> loc("blur")
  %a, %b = onnx.custom "com.acme" "Two"(%y) {onnx.doc_string = "d"} : (tensor<4xf32>) -> (tensor<4xf32>, _, tensor<*xnone>)
  %c = onnx.custom "com.acme" "Map"(%a) body {
  ^bb0(%e: tensor<f32>):
    onnx.yield %e : tensor<f32>
  } : (tensor<4xf32>) -> tensor<4xf32>
  func.return %c : tensor<4xf32>
}

// CHECK-LABEL: func.func @types
// CHECK-SAME: %s: !onnx.sequence<tensor<*xf32>>, %o: !onnx.optional<tensor<2xf32>>, %m: !onnx.map<i64, tensor<f32>>, %t: tensor<2x!onnx.string>
func.func @types(%s: !onnx.sequence<tensor<*xf32>>, %o: !onnx.optional<tensor<2xf32>>, %m: !onnx.map<i64, tensor<f32>>, %t: tensor<2x!onnx.string>) {
  func.return
}

// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK: builtin.module attributes {onnx.opset_import = {"" = 17 : i64, ai.onnx.ml = 2 : i64}}
builtin.module attributes {onnx.opset_import = {"" = 17 : i64, "ai.onnx.ml" = 2 : i64}} {
  // CHECK-LABEL: func.func @attributes_in_short_form
  // CHECK-NEXT: onnx.Conv(%x, %w) as "y" {auto_pad = "SAME_UPPER", group = 1, strides = [2, 2]} : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x4x4xf32> loc("stem/Conv:0")
  func.func @attributes_in_short_form(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x3x3xf32>) -> tensor<1x4x4x4xf32> {
    %y = onnx.Conv(%x, %w) as "y" {auto_pad = "SAME_UPPER", strides = [2, 2], group = 1} : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x4x4xf32> loc("stem/Conv:0")
    func.return %y : tensor<1x4x4x4xf32>
  }

  // What is written as an integer or an empty list is what the schema declares.
  // CHECK-LABEL: func.func @numbers
  // CHECK-NEXT: onnx.HardSigmoid(%x) {alpha = 1.0, beta = 1.0e-05}
  // CHECK-NEXT: onnx.LeakyRelu(%a) {alpha = -0.3}
  // CHECK-NEXT: onnx.Elu(%b) {alpha = 0x7f800000 : f32}
  // CHECK-NEXT: onnx.LSTM(%s, %w, %r) {activation_alpha = array<f32>, activation_beta = [1.0, 2.5], activations = ["Tanh", "Relu", "Tanh"], hidden_size = 1}
  func.func @numbers(%x: tensor<4xf32>, %s: tensor<2x1x3xf32>, %w: tensor<1x4x3xf32>, %r: tensor<1x4x1xf32>) -> tensor<2x1x1x1xf32> {
    %a = onnx.HardSigmoid(%x) {alpha = 1, beta = 0.00001} : (tensor<4xf32>) -> tensor<4xf32>
    %b = onnx.LeakyRelu(%a) {alpha = -0.3} : (tensor<4xf32>) -> tensor<4xf32>
    %c = onnx.Elu(%b) {alpha = 0x7F800000 : f32} : (tensor<4xf32>) -> tensor<4xf32>
    %y = onnx.LSTM(%s, %w, %r) {hidden_size = 1, activation_alpha = [], activation_beta = [1, 2.5], activations = ["Tanh", "Relu", "Tanh"]} : (tensor<2x1x3xf32>, tensor<1x4x3xf32>, tensor<1x4x1xf32>) -> tensor<2x1x1x1xf32>
    func.return %y : tensor<2x1x1x1xf32>
  }

  // CHECK-LABEL: func.func @absent_values
  // CHECK-NEXT: %a = onnx.Clip(%x, _, %m) as "a" : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  // CHECK-NEXT: %b = onnx.Clip(%a, %m) : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  // CHECK-NEXT: %h, %c = onnx.LSTM(%s, %w, %r, _, _, %i) as ("h", "c") {hidden_size = 1} : (tensor<2x1x3xf32>, tensor<1x4x3xf32>, tensor<1x4x1xf32>, tensor<1x1x1xf32>) -> (_, tensor<1x1x1xf32>, tensor<1x1x1xf32>)
  func.func @absent_values(%x: tensor<4xf32>, %m: tensor<f32>, %s: tensor<2x1x3xf32>, %w: tensor<1x4x3xf32>, %r: tensor<1x4x1xf32>, %i: tensor<1x1x1xf32>) -> tensor<1x1x1xf32> {
    %a = onnx.Clip(%x, _, %m) as "a" : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
    %b = onnx.Clip(%a, %m, _) : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
    %h, %c = onnx.LSTM(%s, %w, %r, _, _, %i) as ("h", "c") {hidden_size = 1} : (tensor<2x1x3xf32>, tensor<1x4x3xf32>, tensor<1x4x1xf32>, tensor<1x1x1xf32>) -> (_, tensor<1x1x1xf32>, tensor<1x1x1xf32>)
    func.return %c : tensor<1x1x1xf32>
  }

  // CHECK-LABEL: func.func @variadic
  // CHECK-NEXT: onnx.Concat(%x, %x, %x) {axis = 0} : (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<6xf32>
  // CHECK-NEXT: onnx.Split(%y, %n) as ("a", "b") : (tensor<6xf32>, tensor<2xi64>) -> (tensor<2xf32>, tensor<4xf32>)
  func.func @variadic(%x: tensor<2xf32>, %n: tensor<2xi64>) -> tensor<4xf32> {
    %y = onnx.Concat(%x, %x, %x) {axis = 0} : (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<6xf32>
    %a, %b = onnx.Split(%y, %n) as ("a", "b") : (tensor<6xf32>, tensor<2xi64>) -> (tensor<2xf32>, tensor<4xf32>)
    func.return %b : tensor<4xf32>
  }

  // CHECK-LABEL: func.func @unknown_shapes
  // CHECK-NEXT: onnx.NonZero(%x) : (tensor<?x3xf32>) -> tensor<2x?xi64>
  // CHECK-NEXT: onnx.Cast(%a) {to = 1} : (tensor<2x?xi64>) -> tensor<*xf32>
  // CHECK-NEXT: onnx.Identity(%b) : (tensor<*xf32>) -> tensor<*xnone>
  func.func @unknown_shapes(%x: tensor<?x3xf32>) -> tensor<*xnone> {
    %a = onnx.NonZero(%x) : (tensor<?x3xf32>) -> tensor<2x?xi64>
    %b = onnx.Cast(%a) {to = 1} : (tensor<2x?xi64>) -> tensor<*xf32>
    %c = onnx.Identity(%b) : (tensor<*xf32>) -> tensor<*xnone>
    func.return %c : tensor<*xnone>
  }

  // CHECK-LABEL: func.func @other_domain
  // CHECK-NEXT: onnx.ml.Scaler(%x) {offset = [0.5], scale = [2.0]} : (tensor<1x2xf32>) -> tensor<1x2xf32>
  func.func @other_domain(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
    %y = onnx.ml.Scaler(%x) {offset = [0.5], scale = [2.0]} : (tensor<1x2xf32>) -> tensor<1x2xf32>
    func.return %y : tensor<1x2xf32>
  }

  // CHECK-LABEL: func.func @notes
  // CHECK-NEXT: onnx.Relu(%x) {onnx.doc_string = "two words", onnx.metadata = {{\[\["k", "v"\]\]}}} : (tensor<2xf32>) -> tensor<2xf32>
  func.func @notes(%x: tensor<2xf32>) -> tensor<2xf32> {
    %y = onnx.Relu(%x) {onnx.doc_string = "two words", onnx.metadata = [["k", "v"]]} : (tensor<2xf32>) -> tensor<2xf32>
    func.return %y : tensor<2xf32>
  }

  // CHECK-LABEL: func.func @graphs
  // CHECK: %y = onnx.If(%c) as "y" else_branch {
  // CHECK-NEXT: %a = onnx.Neg(%x) as "a" : (tensor<2xf32>) -> tensor<2xf32>
  // CHECK-NEXT: onnx.yield %a {output_names = ["a"]} : tensor<2xf32>
  // CHECK-NEXT: } then_branch {
  // CHECK-NEXT: onnx.yield %x : tensor<2xf32>
  // CHECK-NEXT: } : (tensor<i1>) -> tensor<2xf32>
  func.func @graphs(%c: tensor<i1>, %x: tensor<2xf32>) -> tensor<2xf32> {
    %y = onnx.If(%c) as "y" else_branch {
      %a = onnx.Neg(%x) as "a" : (tensor<2xf32>) -> tensor<2xf32>
      onnx.yield %a {output_names = ["a"]} : tensor<2xf32>
    } then_branch {
      onnx.yield %x : tensor<2xf32>
    } : (tensor<i1>) -> tensor<2xf32>
    func.return %y : tensor<2xf32>
  }

  // CHECK-LABEL: func.func @loop
  // CHECK: onnx.Loop(%n, _, %x) body {
  // CHECK-NEXT: ^bb0(%i: tensor<i64>, %go: tensor<i1>, %v: tensor<2xf32>):
  // CHECK: onnx.yield %go, %w {input_names = ["i", "go", "v"], output_names = ["go", "w"]} : tensor<i1>, tensor<2xf32>
  // CHECK-NEXT: } : (tensor<i64>, tensor<2xf32>) -> tensor<2xf32>
  func.func @loop(%n: tensor<i64>, %x: tensor<2xf32>) -> tensor<2xf32> {
    %y = onnx.Loop(%n, _, %x) body {
    ^bb0(%i: tensor<i64>, %go: tensor<i1>, %v: tensor<2xf32>):
      %w = onnx.Abs(%v) as "w" : (tensor<2xf32>) -> tensor<2xf32>
      onnx.yield %go, %w {input_names = ["i", "go", "v"], output_names = ["go", "w"]} : tensor<i1>, tensor<2xf32>
    } : (tensor<i64>, tensor<2xf32>) -> tensor<2xf32>
    func.return %y : tensor<2xf32>
  }
}

// RUN: intaglio-opt %s -p inline-functions | filecheck %s

builtin.module attributes {onnx.opset_import = {"" = 22 : i64}} {
  // A definition takes the node's place, with the node's name.
  // CHECK-LABEL: @definition
  // CHECK-NOT: onnx.Mish
  // CHECK: onnx.Softplus
  // CHECK: onnx.Tanh
  // CHECK: onnx.Mul
  func.func @definition(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = onnx.Mish(%x) as "y" : (tensor<4xf32>) -> tensor<4xf32> loc("mish")
    func.return %y : tensor<4xf32>
  }

  // The definition of a reduction depends on its constant axes.
  // CHECK-LABEL: @depends_on_constants
  // CHECK-NOT: onnx.LayerNormalization
  // CHECK: onnx.ReduceMean
  func.func @depends_on_constants(%x: tensor<2x3xf32>, %scale: tensor<3xf32>) -> tensor<2x3xf32> {
    %y = onnx.LayerNormalization(%x, %scale) as "y" {axis = -1} : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
    func.return %y : tensor<2x3xf32>
  }

  // ONNX defines Clip in simpler terms, but the host has a rule for it.
  // CHECK-LABEL: @negative_has_a_rule
  // CHECK: onnx.Clip
  func.func @negative_has_a_rule(%x: tensor<4xf32>, %low: tensor<f32>) -> tensor<4xf32> {
    %y = onnx.Clip(%x, %low) as "y" : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
    func.return %y : tensor<4xf32>
  }

  // CHECK-LABEL: @negative_has_no_definition
  // CHECK: onnx.NonZero
  func.func @negative_has_no_definition(%x: tensor<4xf32>) -> tensor<1x?xi64> {
    %y = onnx.NonZero(%x) as "y" : (tensor<4xf32>) -> tensor<1x?xi64>
    func.return %y : tensor<1x?xi64>
  }

  // A branch that a constant chooses takes the node's place.
  // CHECK-LABEL: @constant_condition
  // CHECK-NOT: onnx.If
  // CHECK-NOT: onnx.Neg
  // CHECK: onnx.Abs(%x)
  func.func @constant_condition(%x: tensor<2xf32>) -> tensor<2xf32> {
    %c = nn.constant dense<true> : tensor<i1>
    %y = onnx.If(%c) as "y" else_branch {
      %a = onnx.Neg(%x) as "a" : (tensor<2xf32>) -> tensor<2xf32>
      onnx.yield %a {graph_name = "else", input_names = [], output_names = ["a"]} : tensor<2xf32>
    } then_branch {
      %b = onnx.Abs(%x) as "b" : (tensor<2xf32>) -> tensor<2xf32>
      onnx.yield %b {graph_name = "then", input_names = [], output_names = ["b"]} : tensor<2xf32>
    } : (tensor<i1>) -> tensor<2xf32>
    func.return %y : tensor<2xf32>
  }

  // Any other condition chooses between the results of both.
  // CHECK-LABEL: @condition
  // CHECK-NOT: onnx.If
  // CHECK: onnx.Abs(%x)
  // CHECK: onnx.Neg(%x)
  // CHECK: onnx.Where(%c
  func.func @condition(%c: tensor<i1>, %x: tensor<2xf32>) -> tensor<2xf32> {
    %y = onnx.If(%c) as "y" else_branch {
      %a = onnx.Neg(%x) as "a" : (tensor<2xf32>) -> tensor<2xf32>
      onnx.yield %a {graph_name = "else", input_names = [], output_names = ["a"]} : tensor<2xf32>
    } then_branch {
      %b = onnx.Abs(%x) as "b" : (tensor<2xf32>) -> tensor<2xf32>
      onnx.yield %b {graph_name = "then", input_names = [], output_names = ["b"]} : tensor<2xf32>
    } : (tensor<i1>) -> tensor<2xf32>
    func.return %y : tensor<2xf32>
  }

  // CHECK-LABEL: @negative_loop_of_unknown_length
  // CHECK: onnx.Loop
  func.func @negative_loop_of_unknown_length(%n: tensor<i64>, %x: tensor<2xf32>) -> tensor<2xf32> {
    %go = nn.constant dense<true> : tensor<i1>
    %y = onnx.Loop(%n, %go, %x) as "y" body {
    ^bb0(%i: tensor<i64>, %c: tensor<i1>, %v: tensor<2xf32>):
      %a = onnx.Neg(%v) as "a" : (tensor<2xf32>) -> tensor<2xf32>
      onnx.yield %c, %a {graph_name = "body", input_names = ["i", "c", "v"], output_names = ["c", "a"]} : tensor<i1>, tensor<2xf32>
    } : (tensor<i64>, tensor<i1>, tensor<2xf32>) -> tensor<2xf32>
    func.return %y : tensor<2xf32>
  }

  // CHECK-LABEL: @loop
  // CHECK-NOT: onnx.Loop
  // CHECK: %[[ONCE:.*]] = onnx.Neg(%x)
  // CHECK: onnx.Neg(%[[ONCE]])
  func.func @loop(%x: tensor<2xf32>) -> tensor<2xf32> {
    %n = nn.constant dense<2> : tensor<i64>
    %go = nn.constant dense<true> : tensor<i1>
    %y = onnx.Loop(%n, %go, %x) as "y" body {
    ^bb0(%i: tensor<i64>, %c: tensor<i1>, %v: tensor<2xf32>):
      %a = onnx.Neg(%v) as "a" : (tensor<2xf32>) -> tensor<2xf32>
      onnx.yield %c, %a {graph_name = "body", input_names = ["i", "c", "v"], output_names = ["c", "a"]} : tensor<i1>, tensor<2xf32>
    } : (tensor<i64>, tensor<i1>, tensor<2xf32>) -> tensor<2xf32>
    func.return %y : tensor<2xf32>
  }
}

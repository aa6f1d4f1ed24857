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
}

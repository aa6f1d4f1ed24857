// RUN: intaglio-opt %s -p onnx-to-nn --verify-diagnostics --split-input-file

// ONNX's shape inference does not compare the channels of input and weights.
func.func @main(%x: tensor<1x4x8x8xf32>, %w: tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> {
  // expected-error @+1 {{node "stem" (Conv) is not valid: 4 input channels in 1 groups do not match a weight of shape [4, 1, 1, 3]}}
  %y = onnx.Conv(%x, %w) : (tensor<1x4x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> loc("stem")
  func.return %y : tensor<1x4x8x8xf32>
}

// -----

func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{onnx.Softmax is not valid: axis must be 0 to 0, got 3}}
  %y = onnx.Softmax(%x) {axis = 3} : (tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

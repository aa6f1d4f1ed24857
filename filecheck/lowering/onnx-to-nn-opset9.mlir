// RUN: intaglio-opt %s -p onnx-to-nn | filecheck %s

builtin.module attributes {onnx.opset_import = {"" = 9 : i64}} {
  // Before opset 13 all dimensions from the axis on, which is 1 by default, are one.
  // CHECK-LABEL: func.func @softmax
  // CHECK-NEXT: nn.reshape %x : (tensor<2x3x4xf32>) -> tensor<2x12xf32>
  // CHECK-NEXT: nn.softmax {{.*}} axis 1 : (tensor<2x12xf32>) -> tensor<2x12xf32>
  // CHECK-NEXT: nn.reshape {{.*}} : (tensor<2x12xf32>) -> tensor<2x3x4xf32>
  func.func @softmax(%x: tensor<2x3x4xf32>) -> tensor<2x3x4xf32> {
    %y = onnx.Softmax(%x) : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
    func.return %y : tensor<2x3x4xf32>
  }

  // Before opset 11 bounds and amounts are attributes.
  // CHECK-LABEL: func.func @attributes
  // CHECK-NEXT: nn.clip %x to <-1.0, inf> :
  // CHECK-NEXT: nn.pad {{.*}} low [1] high [2] value {{5.0.*}} : f64 : (tensor<4xf32>) -> tensor<7xf32>
  func.func @attributes(%x: tensor<4xf32>) -> tensor<7xf32> {
    %a = onnx.Clip(%x) {min = -1.0} : (tensor<4xf32>) -> tensor<4xf32>
    %y = onnx.Pad(%a) {pads = [1, 2], value = 0.5} : (tensor<4xf32>) -> tensor<7xf32>
    func.return %y : tensor<7xf32>
  }
}

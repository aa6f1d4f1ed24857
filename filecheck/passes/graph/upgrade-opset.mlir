// RUN: intaglio-opt %s -p upgrade-opset --split-input-file | filecheck %s
// RUN: intaglio-opt %s -p 'upgrade-opset{opset=10}' --split-input-file | filecheck %s --check-prefix=TEN

// CHECK: builtin.module attributes {onnx.opset_import = {ai.onnx.ml = 1 : i64, "" = 21 : i64}, onnx.ir_version = 10 : i64}
// TEN: builtin.module attributes {onnx.opset_import = {ai.onnx.ml = 1 : i64, "" = 10 : i64}, onnx.ir_version = 10 : i64}
builtin.module attributes {onnx.opset_import = {ai.onnx.ml = 1 : i64, ai.onnx = 7 : i64}, onnx.ir_version = 3 : i64} {
  // Attributes become inputs; names and locations stay.
  // CHECK-LABEL: func.func @clip
  // CHECK-NEXT: %0 = onnx.Constant() {value = dense<0.000000e+00> : tensor<f16>} : () -> tensor<f16> loc("relu")
  // CHECK-NEXT: %y = onnx.Clip(%x, %0) as "a/y" : (tensor<4xf16>, tensor<f16>) -> tensor<4xf16> loc("relu")
  // CHECK-NEXT: func.return %y
  // TEN-LABEL: func.func @clip
  // TEN-NEXT: onnx.Clip(%x) as "a/y" {min = 0.0}
  func.func @clip(%x: tensor<4xf16>) -> tensor<4xf16> {
    %y = onnx.Clip(%x) as "a/y" {min = 0.0} : (tensor<4xf16>) -> tensor<4xf16> loc("relu")
    func.return %y : tensor<4xf16>
  }

  // Several versions follow on one another: Upsample 7, 9, 10, Resize 10, 11.
  // CHECK-LABEL: func.func @upsample
  // CHECK-NEXT: %0 = onnx.Constant() {value = dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>}
  // CHECK-NEXT: %1 = onnx.Constant() {value = dense<> : tensor<0xf32>}
  // CHECK-NEXT: onnx.Resize(%x, %1, %0) {coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "floor"}
  // TEN-LABEL: func.func @upsample
  // TEN: onnx.Resize(%x, %0) {mode = "nearest"}
  func.func @upsample(%x: tensor<1x2xf32>) -> tensor<1x4xf32> {
    %y = onnx.Upsample(%x) {mode = "nearest", scales = [1.0, 2.0]} : (tensor<1x2xf32>) -> tensor<1x4xf32>
    func.return %y : tensor<1x4xf32>
  }

  // What the node meant before is computed by others around it, of which the last has its name.
  // CHECK-LABEL: func.func @softmax
  // CHECK-NEXT: %0 = onnx.Flatten(%x) {axis = 1} : (tensor<2x3x4xf32>) -> tensor<2x12xf32>
  // CHECK-NEXT: %1 = onnx.Constant() {value = dense<[2, 3, 4]> : tensor<3xi64>}
  // CHECK-NEXT: %y = onnx.Softmax(%0) {axis = 1} : (tensor<2x12xf32>) -> tensor<2x12xf32>
  // CHECK-NEXT: onnx.Reshape(%y, %1) as "y" : (tensor<2x12xf32>, tensor<3xi64>) -> tensor<2x3x4xf32>
  func.func @softmax(%x: tensor<2x3x4xf32>) -> tensor<2x3x4xf32> {
    %y = onnx.Softmax(%x) as "y" : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
    func.return %y : tensor<2x3x4xf32>
  }

  // Nodes that mean the same stay, and so do those of other domains.
  // CHECK-LABEL: func.func @negative_same
  // CHECK-NEXT: %a = onnx.Relu(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK-NEXT: %y = onnx.ml.Binarizer(%a) {threshold = 0.5} : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK-NEXT: func.return %y
  func.func @negative_same(%x: tensor<4xf32>) -> tensor<4xf32> {
    %a = onnx.Relu(%x) : (tensor<4xf32>) -> tensor<4xf32>
    %y = onnx.ml.Binarizer(%a) {threshold = 0.5} : (tensor<4xf32>) -> tensor<4xf32>
    func.return %y : tensor<4xf32>
  }
}

// -----

// CHECK: builtin.module attributes {onnx.opset_import = {"" = 6 : i64}}
builtin.module attributes {onnx.opset_import = {"" = 6 : i64}} {
  // CHECK-LABEL: func.func @negative_too_old
  // CHECK-NEXT: onnx.Clip(%x) {min = 0.0}
  func.func @negative_too_old(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = onnx.Clip(%x) {min = 0.0} : (tensor<4xf32>) -> tensor<4xf32>
    func.return %y : tensor<4xf32>
  }
}

// -----

// CHECK: builtin.module attributes {onnx.opset_import = {"" = 22 : i64}}
builtin.module attributes {onnx.opset_import = {"" = 22 : i64}} {
  // CHECK-LABEL: func.func @negative_newer
  // CHECK-NEXT: onnx.Relu(%x)
  func.func @negative_newer(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = onnx.Relu(%x) : (tensor<4xf32>) -> tensor<4xf32>
    func.return %y : tensor<4xf32>
  }
}

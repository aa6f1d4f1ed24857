// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

builtin.module attributes {onnx.opset_import = {"" = 17 : i64}} {
  func.func @not_yet(%x: tensor<2xf32>) -> tensor<2xf32> {
    // C1 of onnx.Gelu
    // expected-error @+1 {{operator Gelu exists since opset 20, the model has 17}}
    %y = onnx.Gelu(%x) : (tensor<2xf32>) -> tensor<2xf32>
    func.return %y : tensor<2xf32>
  }
}

// -----

builtin.module attributes {onnx.opset_import = {"" = 17 : i64}} {
  func.func @withdrawn(%x: tensor<1x1x2x2xf32>, %s: tensor<4xf32>) -> tensor<1x1x4x4xf32> {
    // C1 of onnx.Upsample
    // expected-error @+1 {{operator Upsample was withdrawn in opset 10}}
    %y = onnx.Upsample(%x, %s) : (tensor<1x1x2x2xf32>, tensor<4xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}

// -----

builtin.module attributes {onnx.opset_import = {"" = 17 : i64}} {
  func.func @attribute_of_another_version(%x: tensor<2xf32>) -> tensor<2xf32> {
    // C2 of onnx.Clip
    // expected-error @+1 {{operator Clip has no attribute 'max' in opset 17}}
    %y = onnx.Clip(%x) {max = 6.0} : (tensor<2xf32>) -> tensor<2xf32>
    func.return %y : tensor<2xf32>
  }
}

// -----

builtin.module attributes {onnx.opset_import = {"" = 17 : i64}} {
  func.func @attribute_missing(%x: tensor<2xf32>) -> tensor<4xf32> {
    // C3 of onnx.Concat
    // expected-error @+1 {{operator Concat requires the attribute 'axis' in opset 17}}
    %y = onnx.Concat(%x, %x) : (tensor<2xf32>, tensor<2xf32>) -> tensor<4xf32>
    func.return %y : tensor<4xf32>
  }
}

// -----

builtin.module attributes {onnx.opset_import = {"" = 10 : i64}} {
  func.func @input_of_a_later_version(%x: tensor<2xf32>, %m: tensor<f32>) -> tensor<2xf32> {
    // C4 of onnx.Clip
    // expected-error @+1 {{operator Clip has 1 inputs in opset 10, got 2}}
    %y = onnx.Clip(%x, %m) : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
    func.return %y : tensor<2xf32>
  }
}

// -----

builtin.module attributes {onnx.opset_import = {"" = 10 : i64}} {
  func.func @input_missing(%a: tensor<2x2xf32>) -> tensor<2x2xf32> {
    // C4 of onnx.Gemm: optional since opset 11 only
    // expected-error @+1 {{operator Gemm requires the input 'C' in opset 10}}
    %y = onnx.Gemm(%a, %a) : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
    func.return %y : tensor<2x2xf32>
  }
}

// -----

func.func @names(%x: tensor<2xf32>) -> tensor<2xf32> {
  // C5 of onnx.Relu
  // expected-error @+1 {{1 results have 2 names}}
  %y = onnx.Relu(%x) as ("a", "b") : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

func.func @attribute_of_no_version(%x: tensor<2xf32>) -> tensor<2xf32> {
  // expected-error @+1 {{operator Relu has no attribute 'alpha'}}
  %y = onnx.Relu(%x) {alpha = 0.1} : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

func.func @attribute_of_the_wrong_kind(%x: tensor<2xf32>) -> tensor<2xf32> {
  // expected-error @+1 {{"steep" should be of base attribute float}}
  %y = onnx.LeakyRelu(%x) {alpha = "steep"} : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

func.func @attribute_given_twice(%x: tensor<2xf32>) -> tensor<2xf32> {
  // expected-error @+1 {{attribute 'alpha' is given twice}}
  %y = onnx.LeakyRelu(%x) {alpha = 0.1, alpha = 0.2} : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

func.func @operands_and_types(%x: tensor<2xf32>) -> tensor<2xf32> {
  // expected-error @+1 {{expected 2 operand types but had 1}}
  %y = onnx.Add(%x) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

func.func @absent_in_a_list(%x: tensor<2xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{operator Concat cannot leave out one of the inputs 'inputs'}}
  %y = onnx.Concat(%x, _, %x) {axis = 0} : (tensor<2xf32>, tensor<2xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @initializer_without_a_tensor() {
  // C1 of onnx.initializer
  // expected-error @+1 {{expected a constant tensor, got 1 : i64}}
  %w = onnx.initializer "w" = 1 : i64
  func.return
}

// -----

func.func @initializer_of_another_type() {
  // C1 of onnx.initializer
  // expected-error @+1 {{result must be tensor<2xf32>, got tensor<3xf32>}}
  %w = "onnx.initializer"() <{tensor_name = "w", value = dense<1.0> : tensor<2xf32>}> : () -> tensor<3xf32>
  func.return
}

// -----

func.func @graph_without_a_name(%x: tensor<2xf32>) {
  // C1 of onnx.custom
  // expected-error @+1 {{1 graphs have 0 names}}
  "onnx.custom"(%x) <{domain = "d", op_type = "Op", attrs = {}}> ({
    "onnx.yield"(%x) : (tensor<2xf32>) -> ()
  }) : (tensor<2xf32>) -> ()
  func.return
}

// -----

func.func @absent_at_the_end(%x: tensor<2xf32>) {
  // C2 of onnx.custom
  // expected-error @+1 {{positions left out must be ascending and below 1, got [1]}}
  "onnx.custom"(%x) <{domain = "d", op_type = "Op", attrs = {}, absent_inputs = array<i64: 1>}> : (tensor<2xf32>) -> ()
  func.return
}

// -----

func.func @names_of_custom(%x: tensor<2xf32>) -> tensor<2xf32> {
  // C3 of onnx.custom
  // expected-error @+1 {{1 results have 2 names}}
  %y = onnx.custom "d" "Op"(%x) as ("a", "b") : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

func.func @names_of_outputs(%c: tensor<i1>, %x: tensor<2xf32>) -> tensor<2xf32> {
  %y = onnx.If(%c) else_branch {
    // C1 of onnx.yield
    // expected-error @+1 {{1 outputs have 2 names}}
    onnx.yield %x {output_names = ["a", "b"]} : tensor<2xf32>
  } then_branch {
    onnx.yield %x : tensor<2xf32>
  } : (tensor<i1>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

func.func @names_of_inputs(%c: tensor<i1>, %x: tensor<2xf32>) -> tensor<2xf32> {
  %y = onnx.If(%c) else_branch {
    // C1 of onnx.yield
    // expected-error @+1 {{0 inputs have 1 names}}
    onnx.yield %x {input_names = ["a"]} : tensor<2xf32>
  } then_branch {
    onnx.yield %x : tensor<2xf32>
  } : (tensor<i1>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

// expected-error @+1 {{expected an even number of hexadecimal digits}}
func.func @octets() attributes {octets = #onnx.octets<"0x">} {
  func.return
}

// -----

// expected-error @+1 {{2 strings do not fill tensor<3x!onnx.string>}}
func.func @strings() attributes {strings = #onnx.strings<["a", "b"], tensor<3x!onnx.string>>} {
  func.return
}

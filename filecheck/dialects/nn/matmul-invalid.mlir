// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @inner_dimension(%a: tensor<3x4xf32>, %b: tensor<5x3xf32>) -> tensor<3x3xf32> {
  // C1 of nn.matmul
  // expected-error @+1 {{[3, 4] times [5, 3] does not give [3, 3]}}
  %y = nn.matmul %a, %b : (tensor<3x4xf32>, tensor<5x3xf32>) -> tensor<3x3xf32>
  func.return %y : tensor<3x3xf32>
}

// -----

func.func @leading_dimensions(%a: tensor<2x3x4xf32>, %b: tensor<1x4x3xf32>) -> tensor<2x3x3xf32> {
  // C1 of nn.matmul
  // expected-error @+1 {{[2, 3, 4] times [1, 4, 3] does not give [2, 3, 3]}}
  %y = nn.matmul %a, %b : (tensor<2x3x4xf32>, tensor<1x4x3xf32>) -> tensor<2x3x3xf32>
  func.return %y : tensor<2x3x3xf32>
}

// -----

func.func @vector(%a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<1xf32> {
  // C1 of nn.matmul
  // expected-error @+1 {{[4] times [4] does not give [1]}}
  %y = nn.matmul %a, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<1xf32>
  func.return %y : tensor<1xf32>
}

// -----

func.func @result_shape(%a: tensor<3x4xf32>, %b: tensor<4x5xf32>) -> tensor<5x3xf32> {
  // C1 of nn.matmul
  // expected-error @+1 {{[3, 4] times [4, 5] does not give [5, 3]}}
  %y = nn.matmul %a, %b : (tensor<3x4xf32>, tensor<4x5xf32>) -> tensor<5x3xf32>
  func.return %y : tensor<5x3xf32>
}

// -----

func.func @half_quantized(%a: tensor<3x4x!quant.uniform<i8:f32, 0.5>>, %b: tensor<4x5xf32>) -> tensor<3x5x!quant.uniform<i8:f32, 0.5>> {
  // C2 of nn.matmul
  // expected-error @+1 {{operands and result must have one float type or all be quantized per tensor}}
  %y = nn.matmul %a, %b : (tensor<3x4x!quant.uniform<i8:f32, 0.5>>, tensor<4x5xf32>) -> tensor<3x5x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<3x5x!quant.uniform<i8:f32, 0.5>>
}

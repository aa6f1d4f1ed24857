// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @no_broadcast(%a: tensor<2x3xf32>, %b: tensor<2xf32>) -> tensor<2x3xi1> {
  // C1 of nn.compare
  // expected-error @+1 {{[2, 3] and [2] do not broadcast to [2, 3]}}
  %y = nn.compare %a, %b predicate "less" : (tensor<2x3xf32>, tensor<2xf32>) -> tensor<2x3xi1>
  func.return %y : tensor<2x3xi1>
}

// -----

func.func @mixed_types(%a: tensor<2xf32>, %b: tensor<2xi32>) -> tensor<2xi1> {
  // C2 of nn.compare
  // expected-error @+1 {{operands must have one float or integer type, and the result i1}}
  %y = nn.compare %a, %b predicate "less" : (tensor<2xf32>, tensor<2xi32>) -> tensor<2xi1>
  func.return %y : tensor<2xi1>
}

// -----

func.func @float_result(%a: tensor<2xf32>, %b: tensor<2xf32>) -> tensor<2xf32> {
  // C2 of nn.compare
  // expected-error @+1 {{operands must have one float or integer type, and the result i1}}
  %y = nn.compare %a, %b predicate "less" : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

func.func @quantized(%a: tensor<2x!quant.uniform<i8:f32, 0.5>>, %b: tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2xi1> {
  // C2 of nn.compare
  // expected-error @+1 {{operands must have one float or integer type, and the result i1}}
  %y = nn.compare %a, %b predicate "less" : (tensor<2x!quant.uniform<i8:f32, 0.5>>, tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2xi1>
  func.return %y : tensor<2xi1>
}

// -----

func.func @unknown_predicate(%a: tensor<2xf32>, %b: tensor<2xf32>) -> tensor<2xi1> {
  // C3 of nn.compare
  // expected-error @+1 {{predicate must be one of equal, less, less_or_equal, greater, greater_or_equal, got "unequal"}}
  %y = nn.compare %a, %b predicate "unequal" : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xi1>
  func.return %y : tensor<2xi1>
}

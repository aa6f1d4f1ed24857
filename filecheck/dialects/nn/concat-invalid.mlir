// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @axis(%a: tensor<1x2xf32>, %b: tensor<1x2xf32>) -> tensor<2x2xf32> {
  // C1 of nn.concat
  // expected-error @+1 {{inputs must have the result's rank 2, and axis 2 be one of its dimensions}}
  %y = nn.concat %a, %b axis 2 : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<2x2xf32>
  func.return %y : tensor<2x2xf32>
}

// -----

func.func @rank(%a: tensor<1x2xf32>, %b: tensor<2xf32>) -> tensor<2x2xf32> {
  // C1 of nn.concat
  // expected-error @+1 {{inputs must have the result's rank 2, and axis 0 be one of its dimensions}}
  %y = nn.concat %a, %b axis 0 : (tensor<1x2xf32>, tensor<2xf32>) -> tensor<2x2xf32>
  func.return %y : tensor<2x2xf32>
}

// -----

func.func @no_input() -> tensor<2x2xf32> {
  // C1 of nn.concat
  // expected-error @+1 {{inputs must have the result's rank 2, and axis 0 be one of its dimensions}}
  %y = nn.concat axis 0 : () -> tensor<2x2xf32>
  func.return %y : tensor<2x2xf32>
}

// -----

func.func @other_dimension(%a: tensor<1x2xf32>, %b: tensor<1x3xf32>) -> tensor<2x2xf32> {
  // C2 of nn.concat
  // expected-error @+1 {{inputs [[1, 2], [1, 3]] do not join to [2, 2] along axis 0}}
  %y = nn.concat %a, %b axis 0 : (tensor<1x2xf32>, tensor<1x3xf32>) -> tensor<2x2xf32>
  func.return %y : tensor<2x2xf32>
}

// -----

func.func @sum(%a: tensor<1x2xf32>, %b: tensor<1x2xf32>) -> tensor<3x2xf32> {
  // C2 of nn.concat
  // expected-error @+1 {{inputs [[1, 2], [1, 2]] do not join to [3, 2] along axis 0}}
  %y = nn.concat %a, %b axis 0 : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<3x2xf32>
  func.return %y : tensor<3x2xf32>
}

// -----

func.func @quantization(%a: tensor<1x2x!quant.uniform<i8:f32, 0.5>>, %b: tensor<1x2x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<2x2x!quant.uniform<i8:f32, 0.5>> {
  // C3 of nn.concat
  // expected-error @+1 {{moving elements cannot change their type}}
  %y = nn.concat %a, %b axis 0 : (tensor<1x2x!quant.uniform<i8:f32, 0.5>>, tensor<1x2x!quant.uniform<i8:f32, 0.05:3>>) -> tensor<2x2x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<2x2x!quant.uniform<i8:f32, 0.5>>
}

// -----

func.func @per_axis(%a: tensor<2x2x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>, %b: tensor<2x2x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>) -> tensor<2x4x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>> {
  // C3 of nn.concat
  // expected-error @+1 {{elements that move must be quantized per tensor}}
  %y = nn.concat %a, %b axis 1 : (tensor<2x2x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>, tensor<2x2x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>) -> tensor<2x4x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>
  func.return %y : tensor<2x4x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>
}

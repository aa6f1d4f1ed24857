// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @repeated(%x: tensor<2x2xf32>) -> tensor<2x2xf32> {
  // C1 of nn.transpose
  // expected-error @+1 {{permutation must hold 0 to 1 once each, got [0, 0]}}
  %y = nn.transpose %x permutation [0, 0] : (tensor<2x2xf32>) -> tensor<2x2xf32>
  func.return %y : tensor<2x2xf32>
}

// -----

func.func @too_short(%x: tensor<2x3x4xf32>) -> tensor<3x2x4xf32> {
  // C1 of nn.transpose
  // expected-error @+1 {{permutation must hold 0 to 2 once each, got [1, 0]}}
  %y = nn.transpose %x permutation [1, 0] : (tensor<2x3x4xf32>) -> tensor<3x2x4xf32>
  func.return %y : tensor<3x2x4xf32>
}

// -----

func.func @result_shape(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  // C2 of nn.transpose
  // expected-error @+1 {{result must have shape [3, 2], got [2, 3]}}
  %y = nn.transpose %x permutation [1, 0] : (tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

// -----

func.func @element_type(%x: tensor<2x3xf32>) -> tensor<3x2x!quant.uniform<i8:f32, 0.5>> {
  // C3 of nn.transpose
  // expected-error @+1 {{moving elements cannot change their type}}
  %y = nn.transpose %x permutation [1, 0] : (tensor<2x3xf32>) -> tensor<3x2x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<3x2x!quant.uniform<i8:f32, 0.5>>
}

// -----

func.func @per_axis(%x: tensor<2x2x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>) -> tensor<2x2x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>> {
  // C3 of nn.transpose
  // expected-error @+1 {{elements that move must be quantized per tensor}}
  %y = nn.transpose %x permutation [1, 0] : (tensor<2x2x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>) -> tensor<2x2x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>
  func.return %y : tensor<2x2x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>
}

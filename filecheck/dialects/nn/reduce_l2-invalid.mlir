// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @axis_outside(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  // C1 of nn.reduce_l2
  // expected-error @+1 {{axes must be increasing dimensions of an input of rank 2, got [2]}}
  %y = nn.reduce_l2 %x axes [2] : (tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

// -----

func.func @axes_in_another_order(%x: tensor<2x3xf32>) -> tensor<1x1xf32> {
  // C1 of nn.reduce_l2
  // expected-error @+1 {{axes must be increasing dimensions of an input of rank 2, got [1, 0]}}
  %y = nn.reduce_l2 %x axes [1, 0] : (tensor<2x3xf32>) -> tensor<1x1xf32>
  func.return %y : tensor<1x1xf32>
}

// -----

func.func @dropped_dimension(%x: tensor<2x3xf32>) -> tensor<2xf32> {
  // C2 of nn.reduce_l2
  // expected-error @+1 {{result must have shape [2, 1], got [2]}}
  %y = nn.reduce_l2 %x axes [1] : (tensor<2x3xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

func.func @mixed_floats(%x: tensor<2x3xf32>) -> tensor<2x1xf16> {
  // C3 of nn.reduce_l2
  // expected-error @+1 {{input and result must have one float type, or be quantized per tensor}}
  %y = nn.reduce_l2 %x axes [1] : (tensor<2x3xf32>) -> tensor<2x1xf16>
  func.return %y : tensor<2x1xf16>
}

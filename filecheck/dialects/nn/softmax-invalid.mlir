// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @axis(%x: tensor<1x10xf32>) -> tensor<1x10xf32> {
  // C1 of nn.softmax
  // expected-error @+1 {{axis must be 0 to 1, got 2}}
  %y = nn.softmax %x axis 2 : (tensor<1x10xf32>) -> tensor<1x10xf32>
  func.return %y : tensor<1x10xf32>
}

// -----

func.func @negative_axis(%x: tensor<1x10xf32>) -> tensor<1x10xf32> {
  // C1 of nn.softmax
  // expected-error @+1 {{axis must be 0 to 1, got -1}}
  %y = nn.softmax %x axis -1 : (tensor<1x10xf32>) -> tensor<1x10xf32>
  func.return %y : tensor<1x10xf32>
}

// -----

func.func @shape(%x: tensor<1x10xf32>) -> tensor<1x11xf32> {
  // C2 of nn.softmax
  // expected-error @+1 {{input and result must have one shape, and one float type or be quantized per tensor}}
  %y = nn.softmax %x axis 1 : (tensor<1x10xf32>) -> tensor<1x11xf32>
  func.return %y : tensor<1x11xf32>
}

// -----

func.func @mixed(%x: tensor<1x10xf32>) -> tensor<1x10x!quant.uniform<i8:f32, 0.5>> {
  // C2 of nn.softmax
  // expected-error @+1 {{input and result must have one shape, and one float type or be quantized per tensor}}
  %y = nn.softmax %x axis 1 : (tensor<1x10xf32>) -> tensor<1x10x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x10x!quant.uniform<i8:f32, 0.5>>
}

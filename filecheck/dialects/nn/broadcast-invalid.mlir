// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @size(%x: tensor<2xf32>) -> tensor<3xf32> {
  // C1 of nn.broadcast
  // expected-error @+1 {{[2] does not broadcast to [3]}}
  %y = nn.broadcast %x : (tensor<2xf32>) -> tensor<3xf32>
  func.return %y : tensor<3xf32>
}

// -----

func.func @shrinking(%x: tensor<2x3xf32>) -> tensor<1x3xf32> {
  // C1 of nn.broadcast
  // expected-error @+1 {{[2, 3] does not broadcast to [1, 3]}}
  %y = nn.broadcast %x : (tensor<2x3xf32>) -> tensor<1x3xf32>
  func.return %y : tensor<1x3xf32>
}

// -----

func.func @element_type(%x: tensor<1xf32>) -> tensor<2xf16> {
  // C2 of nn.broadcast
  // expected-error @+1 {{moving elements cannot change their type}}
  %y = nn.broadcast %x : (tensor<1xf32>) -> tensor<2xf16>
  func.return %y : tensor<2xf16>
}

// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @too_few_starts(%x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  // C1 of nn.slice
  // expected-error @+1 {{starts and steps must hold 2 integers, steps none of 0, got [0] and [1, 1]}}
  %y = nn.slice %x starts [0] steps [1, 1] : (tensor<2x8xf32>) -> tensor<2x8xf32>
  func.return %y : tensor<2x8xf32>
}

// -----

func.func @no_step(%x: tensor<8xf32>) -> tensor<2xf32> {
  // C1 of nn.slice
  // expected-error @+1 {{starts and steps must hold 1 integers, steps none of 0, got [0] and [0]}}
  %y = nn.slice %x starts [0] steps [0] : (tensor<8xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

func.func @end_outside(%x: tensor<8xf32>) -> tensor<3xf32> {
  // C2 of nn.slice
  // expected-error @+1 {{elements 4 to 8 of dimension 0 are not all among its 8}}
  %y = nn.slice %x starts [4] steps [2] : (tensor<8xf32>) -> tensor<3xf32>
  func.return %y : tensor<3xf32>
}

// -----

func.func @start_outside(%x: tensor<8xf32>) -> tensor<3xf32> {
  // C2 of nn.slice
  // expected-error @+1 {{elements -1 to 1 of dimension 0 are not all among its 8}}
  %y = nn.slice %x starts [-1] steps [1] : (tensor<8xf32>) -> tensor<3xf32>
  func.return %y : tensor<3xf32>
}

// -----

func.func @element_type(%x: tensor<8xf32>) -> tensor<8xf16> {
  // C3 of nn.slice
  // expected-error @+1 {{moving elements cannot change their type}}
  %y = nn.slice %x starts [0] steps [1] : (tensor<8xf32>) -> tensor<8xf16>
  func.return %y : tensor<8xf16>
}

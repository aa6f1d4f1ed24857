// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @axis(%x: tensor<5x3xf32>, %i: tensor<2xi64>) -> tensor<5x3x2xf32> {
  // C1 of nn.gather
  // expected-error @+1 {{axis must be 0 to 1, got 2}}
  %y = nn.gather %x, %i axis 2 : (tensor<5x3xf32>, tensor<2xi64>) -> tensor<5x3x2xf32>
  func.return %y : tensor<5x3x2xf32>
}

// -----

func.func @shape(%x: tensor<5x3xf32>, %i: tensor<2xi64>) -> tensor<3x2xf32> {
  // C2 of nn.gather
  // expected-error @+1 {{result must have shape [2, 3], got [3, 2]}}
  %y = nn.gather %x, %i axis 0 : (tensor<5x3xf32>, tensor<2xi64>) -> tensor<3x2xf32>
  func.return %y : tensor<3x2xf32>
}

// -----

func.func @float_indices(%x: tensor<5x3xf32>, %i: tensor<2xf32>) -> tensor<2x3xf32> {
  // C3 of nn.gather
  // expected-error @+1 {{indices must be i32 or i64, got f32}}
  %y = nn.gather %x, %i axis 0 : (tensor<5x3xf32>, tensor<2xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

// -----

func.func @element_type(%x: tensor<5xf32>, %i: tensor<2xi64>) -> tensor<2xf16> {
  // C3 of nn.gather
  // expected-error @+1 {{moving elements cannot change their type}}
  %y = nn.gather %x, %i axis 0 : (tensor<5xf32>, tensor<2xi64>) -> tensor<2xf16>
  func.return %y : tensor<2xf16>
}

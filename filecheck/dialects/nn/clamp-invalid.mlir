// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @wrong_order(%x: tensor<2xf32>) -> tensor<2xf32> {
  // expected-error @+1 {{clamp bounds must be ordered, got 1.0 and -1.0}}
  %y = nn.clip %x to <1.0, -1.0> : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

func.func @not_a_number(%x: tensor<2xf32>) -> tensor<2xf32> {
  // expected-error @+1 {{expected}}
  %y = nn.clip %x to <nan, 1.0> : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

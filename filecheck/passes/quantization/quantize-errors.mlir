// RUN: intaglio-opt %s -p quantize --verify-diagnostics --split-input-file

func.func @without_observer(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -1.0, 1.0>} : tensor<4xf32>
  // expected-error @+1 {{the result of nn.relu "relu"}}
  %1 = nn.relu %0 : (tensor<4xf32>) -> tensor<4xf32> loc("relu")
  func.return %1 : tensor<4xf32>
}

// -----

func.func @not_calibrated(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{has no calibrated range}}
  %0 = nn.pow %x, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %1 = quant.observe %0 {method = "min_max"} : tensor<4xf32>
  %2 = nn.relu %1 : (tensor<4xf32>) -> tensor<4xf32>
  %3 = quant.observe %2 {method = "min_max", range = array<f64: 0.0, 1.0>} : tensor<4xf32>
  func.return %3 : tensor<4xf32>
}

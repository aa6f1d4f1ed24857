// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @integer(%x: tensor<2xi8>) {
  // C1 of quant.observe
  // expected-error @+1 {{input must be a scalar or tensor of floating-point, got tensor<2xi8>}}
  %y = quant.observe %x {method = "min_max"} : tensor<2xi8>
  func.return
}

// -----

func.func @scalar(%x: f32) {
  // C1 of quant.observe
  // expected-error @+1 {{input must be a tensor, got f32}}
  %y = quant.observe %x {method = "min_max"} : f32
  func.return
}

// -----

func.func @no_method(%x: tensor<2xf32>) {
  // C2 of quant.observe
  // expected-error @+1 {{method must not be empty}}
  %y = quant.observe %x {method = ""} : tensor<2xf32>
  func.return
}

// -----

func.func @one_bound(%x: tensor<2xf32>) {
  // C3 of quant.observe
  // expected-error @+1 {{range must be two finite ordered numbers, got [1.0]}}
  %y = quant.observe %x {method = "min_max", range = array<f64: 1.0>} : tensor<2xf32>
  func.return
}

// -----

func.func @unordered(%x: tensor<2xf32>) {
  // C3 of quant.observe
  // expected-error @+1 {{range must be two finite ordered numbers, got [1.0, -1.0]}}
  %y = quant.observe %x {method = "min_max", range = array<f64: 1.0, -1.0>} : tensor<2xf32>
  func.return
}

// -----

func.func @not_a_number(%x: tensor<2xf32>) {
  // C3 of quant.observe
  // expected-error @+1 {{range must be two finite ordered numbers, got [0.0, nan]}}
  %y = quant.observe %x {method = "min_max", range = array<f64: 0.0, 0x7FF8000000000000>} : tensor<2xf32>
  func.return
}

// -----

func.func @some_statistics(%x: tensor<2xf32>) -> tensor<2xf32> {
  // C4 of quant.observe
  // expected-error @+1 {{statistics of channels must be means, mean_squares, minima and maxima, each tensor<2xf32>}}
  %y = quant.observe %x {method = "min_max", means = dense<0.0> : tensor<2xf32>} : tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

func.func @statistics_of_other_channels(%x: tensor<2xf32>) -> tensor<2xf32> {
  // C4 of quant.observe
  // expected-error @+1 {{statistics of channels must be means, mean_squares, minima and maxima, each tensor<2xf32>}}
  %y = quant.observe %x {method = "min_max", means = dense<0.0> : tensor<3xf32>, mean_squares = dense<0.0> : tensor<3xf32>, minima = dense<0.0> : tensor<3xf32>, maxima = dense<0.0> : tensor<3xf32>} : tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

func.func @unordered_extrema(%x: tensor<2xf32>) {
  // C5 of quant.observe
  // expected-error @+1 {{extrema must be two finite ordered numbers, got [1.0, -1.0]}}
  %y = quant.observe %x {method = "mse", range = array<f64: -1.0, 1.0>, extrema = array<f64: 1.0, -1.0>} : tensor<2xf32>
  func.return
}

// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @rank(%x: tensor<4x4xf32>) -> tensor<8x8xf32> {
  // C1 of nn.resize
  // expected-error @+1 {{input [4, 4] and result [8, 8] must be of rank 4 and differ in rows and columns only}}
  %y = nn.resize %x mode "linear" steps [1, 1] offsets [0, 0] units [2, 2] cubic_coefficient -7.500000e-01 : f64 exclude_outside false : (tensor<4x4xf32>) -> tensor<8x8xf32>
  func.return %y : tensor<8x8xf32>
}

// -----

func.func @channels(%x: tensor<1x4x4x2xf32>) -> tensor<1x8x8x3xf32> {
  // C1 of nn.resize
  // expected-error @+1 {{input [1, 4, 4, 2] and result [1, 8, 8, 3] must be of rank 4 and differ in rows and columns only}}
  %y = nn.resize %x mode "linear" steps [1, 1] offsets [0, 0] units [2, 2] cubic_coefficient -7.500000e-01 : f64 exclude_outside false : (tensor<1x4x4x2xf32>) -> tensor<1x8x8x3xf32>
  func.return %y : tensor<1x8x8x3xf32>
}

// -----

func.func @unit(%x: tensor<1x4x4x2xf32>) -> tensor<1x8x8x2xf32> {
  // C2 of nn.resize
  // expected-error @+1 {{steps, offsets and units must hold two integers, units above 0}}
  %y = nn.resize %x mode "linear" steps [1, 1] offsets [0, 0] units [0, 2] cubic_coefficient -7.500000e-01 : f64 exclude_outside false : (tensor<1x4x4x2xf32>) -> tensor<1x8x8x2xf32>
  func.return %y : tensor<1x8x8x2xf32>
}

// -----

func.func @one_step(%x: tensor<1x4x4x2xf32>) -> tensor<1x8x8x2xf32> {
  // C2 of nn.resize
  // expected-error @+1 {{steps, offsets and units must hold two integers, units above 0}}
  %y = nn.resize %x mode "linear" steps [1] offsets [0, 0] units [2, 2] cubic_coefficient -7.500000e-01 : f64 exclude_outside false : (tensor<1x4x4x2xf32>) -> tensor<1x8x8x2xf32>
  func.return %y : tensor<1x8x8x2xf32>
}

// -----

func.func @unknown_mode(%x: tensor<1x4x4x2xf32>) -> tensor<1x8x8x2xf32> {
  // C3 of nn.resize
  // expected-error @+1 {{mode must be one of floor, ceil, round_prefer_floor, round_prefer_ceil, linear, cubic}}
  %y = nn.resize %x mode "area" steps [1, 1] offsets [0, 0] units [2, 2] cubic_coefficient -7.500000e-01 : f64 exclude_outside false : (tensor<1x4x4x2xf32>) -> tensor<1x8x8x2xf32>
  func.return %y : tensor<1x8x8x2xf32>
}

// -----

func.func @quantized_cubic(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x8x8x2x!quant.uniform<i8:f32, 0.5>> {
  // C4 of nn.resize
  // expected-error @+1 {{cubic resampling is defined on one float type}}
  %y = nn.resize %x mode "cubic" steps [1, 1] offsets [0, 0] units [2, 2] cubic_coefficient -7.500000e-01 : f64 exclude_outside false : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x8x8x2x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x8x8x2x!quant.uniform<i8:f32, 0.5>>
}

// -----

func.func @element_type(%x: tensor<1x4x4x2xf32>) -> tensor<1x8x8x2xf16> {
  // C4 of nn.resize
  // expected-error @+1 {{moving elements cannot change their type}}
  %y = nn.resize %x mode "floor" steps [1, 1] offsets [0, 0] units [2, 2] cubic_coefficient -7.500000e-01 : f64 exclude_outside false : (tensor<1x4x4x2xf32>) -> tensor<1x8x8x2xf16>
  func.return %y : tensor<1x8x8x2xf16>
}

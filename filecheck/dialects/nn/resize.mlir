// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @linear
// CHECK: %y = nn.resize %x mode "linear" steps [1, 1] offsets [0, 0] units [2, 2] cubic_coefficient -7.500000e-01 : f64 exclude_outside false : (tensor<1x4x4x2xf32>) -> tensor<1x8x8x2xf32>
func.func @linear(%x: tensor<1x4x4x2xf32>) -> tensor<1x8x8x2xf32> {
  %y = nn.resize %x mode "linear" steps [1, 1] offsets [0, 0] units [2, 2] cubic_coefficient -7.500000e-01 : f64 exclude_outside false : (tensor<1x4x4x2xf32>) -> tensor<1x8x8x2xf32>
  func.return %y : tensor<1x8x8x2xf32>
}

// CHECK-LABEL: func.func @cubic
// CHECK: %y = nn.resize %x mode "cubic" steps [1, 1] offsets [0, 0] units [2, 2] cubic_coefficient -7.500000e-01 : f64 exclude_outside true : (tensor<1x4x4x2xf32>) -> tensor<1x8x8x2xf32>
func.func @cubic(%x: tensor<1x4x4x2xf32>) -> tensor<1x8x8x2xf32> {
  %y = nn.resize %x mode "cubic" steps [1, 1] offsets [0, 0] units [2, 2] cubic_coefficient -7.500000e-01 : f64 exclude_outside true : (tensor<1x4x4x2xf32>) -> tensor<1x8x8x2xf32>
  func.return %y : tensor<1x8x8x2xf32>
}

// CHECK-LABEL: func.func @quantized
// CHECK: %y = nn.resize %x mode "floor" steps [1, 1] offsets [0, 0] units [2, 2] cubic_coefficient -7.500000e-01 : f64 exclude_outside false : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x8x8x2x!quant.uniform<i8:f32, 0.5>>
func.func @quantized(%x: tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x8x8x2x!quant.uniform<i8:f32, 0.5>> {
  %y = nn.resize %x mode "floor" steps [1, 1] offsets [0, 0] units [2, 2] cubic_coefficient -7.500000e-01 : f64 exclude_outside false : (tensor<1x4x4x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x8x8x2x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x8x8x2x!quant.uniform<i8:f32, 0.5>>
}

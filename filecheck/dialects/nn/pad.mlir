// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @float
// CHECK: %y = nn.pad %x low [0, 1, 0, 0] high [0, 1, 1, 0] value 0.000000e+00 : f64 : (tensor<1x2x2x1xf32>) -> tensor<1x4x3x1xf32>
func.func @float(%x: tensor<1x2x2x1xf32>) -> tensor<1x4x3x1xf32> {
  %y = nn.pad %x low [0, 1, 0, 0] high [0, 1, 1, 0] value 0.000000e+00 : f64 : (tensor<1x2x2x1xf32>) -> tensor<1x4x3x1xf32>
  func.return %y : tensor<1x4x3x1xf32>
}

// CHECK-LABEL: func.func @lowest
// CHECK: %y = nn.pad %x low [1] high [0] value 0xfff0000000000000 : f64 : (tensor<2xf32>) -> tensor<3xf32>
func.func @lowest(%x: tensor<2xf32>) -> tensor<3xf32> {
  %y = nn.pad %x low [1] high [0] value 0xfff0000000000000 : f64 : (tensor<2xf32>) -> tensor<3xf32>
  func.return %y : tensor<3xf32>
}

// CHECK-LABEL: func.func @quantized
// CHECK: %y = nn.pad %x low [1] high [1] value 1.500000e+00 : f64 : (tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>>
func.func @quantized(%x: tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>> {
  %y = nn.pad %x low [1] high [1] value 1.500000e+00 : f64 : (tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<4x!quant.uniform<i8:f32, 0.5>>
}

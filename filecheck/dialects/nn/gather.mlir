// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @rows
// CHECK: %y = nn.gather %x, %i axis 0 : (tensor<5x3xf32>, tensor<2x2xi64>) -> tensor<2x2x3xf32>
func.func @rows(%x: tensor<5x3xf32>, %i: tensor<2x2xi64>) -> tensor<2x2x3xf32> {
  %y = nn.gather %x, %i axis 0 : (tensor<5x3xf32>, tensor<2x2xi64>) -> tensor<2x2x3xf32>
  func.return %y : tensor<2x2x3xf32>
}

// CHECK-LABEL: func.func @one
// CHECK: %y = nn.gather %x, %i axis 1 : (tensor<5x3xi8>, tensor<i32>) -> tensor<5xi8>
func.func @one(%x: tensor<5x3xi8>, %i: tensor<i32>) -> tensor<5xi8> {
  %y = nn.gather %x, %i axis 1 : (tensor<5x3xi8>, tensor<i32>) -> tensor<5xi8>
  func.return %y : tensor<5xi8>
}

// CHECK-LABEL: func.func @quantized
// CHECK: %y = nn.gather %x, %i axis 0 : (tensor<5x3x!quant.uniform<i8:f32, 0.5>>, tensor<4xi32>) -> tensor<4x3x!quant.uniform<i8:f32, 0.5>>
func.func @quantized(%x: tensor<5x3x!quant.uniform<i8:f32, 0.5>>, %i: tensor<4xi32>) -> tensor<4x3x!quant.uniform<i8:f32, 0.5>> {
  %y = nn.gather %x, %i axis 0 : (tensor<5x3x!quant.uniform<i8:f32, 0.5>>, tensor<4xi32>) -> tensor<4x3x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<4x3x!quant.uniform<i8:f32, 0.5>>
}

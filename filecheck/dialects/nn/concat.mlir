// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @float
// CHECK: %y = nn.concat %a, %b axis 3 : (tensor<1x8x8x3xf32>, tensor<1x8x8x5xf32>) -> tensor<1x8x8x8xf32>
func.func @float(%a: tensor<1x8x8x3xf32>, %b: tensor<1x8x8x5xf32>) -> tensor<1x8x8x8xf32> {
  %y = nn.concat %a, %b axis 3 : (tensor<1x8x8x3xf32>, tensor<1x8x8x5xf32>) -> tensor<1x8x8x8xf32>
  func.return %y : tensor<1x8x8x8xf32>
}

// CHECK-LABEL: func.func @one_input
// CHECK: %y = nn.concat %a axis 0 : (tensor<4xf32>) -> tensor<4xf32>
func.func @one_input(%a: tensor<4xf32>) -> tensor<4xf32> {
  %y = nn.concat %a axis 0 : (tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @quantized
// CHECK: %y = nn.concat %a, %b, %c axis 0 : (tensor<1x2x!quant.uniform<i8:f32, 0.5>>, tensor<2x2x!quant.uniform<i8:f32, 0.5>>, tensor<3x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<6x2x!quant.uniform<i8:f32, 0.5>>
func.func @quantized(%a: tensor<1x2x!quant.uniform<i8:f32, 0.5>>, %b: tensor<2x2x!quant.uniform<i8:f32, 0.5>>, %c: tensor<3x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<6x2x!quant.uniform<i8:f32, 0.5>> {
  %y = nn.concat %a, %b, %c axis 0 : (tensor<1x2x!quant.uniform<i8:f32, 0.5>>, tensor<2x2x!quant.uniform<i8:f32, 0.5>>, tensor<3x2x!quant.uniform<i8:f32, 0.5>>) -> tensor<6x2x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<6x2x!quant.uniform<i8:f32, 0.5>>
}

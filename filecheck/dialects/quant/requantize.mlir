// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @between_widths
// CHECK: %y = quant.requantize %x : tensor<4x!quant.uniform<i16:f32, 0.0078125>> to tensor<4x!quant.uniform<i8:f32, 0.5:3>>
// CHECK-NEXT: %z = quant.requantize %y : tensor<4x!quant.uniform<i8:f32, 0.5:3>> to tensor<4x!quant.uniform<i16:f32, 0.0625>>
func.func @between_widths(%x: tensor<4x!quant.uniform<i16:f32, 0.0078125>>) -> tensor<4x!quant.uniform<i16:f32, 0.0625>> {
  %y = quant.requantize %x : tensor<4x!quant.uniform<i16:f32, 0.0078125>> to tensor<4x!quant.uniform<i8:f32, 0.5:3>>
  %z = quant.requantize %y : tensor<4x!quant.uniform<i8:f32, 0.5:3>> to tensor<4x!quant.uniform<i16:f32, 0.0625>>
  func.return %z : tensor<4x!quant.uniform<i16:f32, 0.0625>>
}

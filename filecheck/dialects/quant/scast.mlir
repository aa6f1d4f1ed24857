// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @both_ways
// CHECK: %q = quant.scast %s : tensor<4xi8> to tensor<4x!quant.uniform<i8:f32, 0.5>>
// CHECK-NEXT: %t = quant.scast %q : tensor<4x!quant.uniform<i8:f32, 0.5>> to tensor<4xi8>
func.func @both_ways(%s: tensor<4xi8>) -> tensor<4xi8> {
  %q = quant.scast %s : tensor<4xi8> to tensor<4x!quant.uniform<i8:f32, 0.5>>
  %t = quant.scast %q : tensor<4x!quant.uniform<i8:f32, 0.5>> to tensor<4xi8>
  func.return %t : tensor<4xi8>
}

// CHECK-LABEL: func.func @unsigned_storage
// CHECK: quant.scast %s : tensor<4xi8> to tensor<4x!quant.uniform<u8:f32, 0.5>>
// CHECK-NEXT: quant.scast %u : tensor<4xui8> to tensor<4x!quant.uniform<u8:f32, 0.5>>
func.func @unsigned_storage(%s: tensor<4xi8>, %u: tensor<4xui8>) {
  %0 = quant.scast %s : tensor<4xi8> to tensor<4x!quant.uniform<u8:f32, 0.5>>
  %1 = quant.scast %u : tensor<4xui8> to tensor<4x!quant.uniform<u8:f32, 0.5>>
  func.return
}

// CHECK-LABEL: func.func @float_storage
// CHECK: quant.scast %s : tensor<4xbf16> to tensor<4x!quant.uniform<bf16:f32, 0.5>>
func.func @float_storage(%s: tensor<4xbf16>) {
  %0 = quant.scast %s : tensor<4xbf16> to tensor<4x!quant.uniform<bf16:f32, 0.5>>
  func.return
}

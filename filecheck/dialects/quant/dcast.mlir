// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @per_axis
// CHECK: %x = quant.dcast %q : tensor<2x3x!quant.uniform<i8<-127:127>:f32:1, {0.5,0.25:1,1.0:-2}>> to tensor<2x3xf32>
func.func @per_axis(%q: tensor<2x3x!quant.uniform<i8<-127:127>:f32:1, {0.5,0.25:1,1.0:-2}>>) -> tensor<2x3xf32> {
  %x = quant.dcast %q : tensor<2x3x!quant.uniform<i8<-127:127>:f32:1, {0.5,0.25:1,1.0:-2}>> to tensor<2x3xf32>
  func.return %x : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @any
// CHECK: %x = quant.dcast %q : tensor<2x!quant.any<i8:f64>> to tensor<2xf64>
func.func @any(%q: tensor<2x!quant.any<i8:f64>>) -> tensor<2xf64> {
  %x = quant.dcast %q : tensor<2x!quant.any<i8:f64>> to tensor<2xf64>
  func.return %x : tensor<2xf64>
}

// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func private @any
// CHECK-SAME: (!quant.any<i8:f32>, !quant.any<u4<1:15>>, !quant.any<i8<-8:7>:f64>, tensor<4x!quant.any<f8E5M2:f16>>)
func.func private @any(!quant.any<i8:f32>, !quant.any<u4<1:15>>, !quant.any<i8<-8:7>:f64>, tensor<4x!quant.any<f8E5M2:f16>>)

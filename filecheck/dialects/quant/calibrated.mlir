// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func private @calibrated
// CHECK-SAME: (!quant.calibrated<f32<-0.998:1.2321>>, !quant.calibrated<f16<-123456789.0:-1.0e-30>>, tensor<4x!quant.calibrated<f32<0.0:6.0>>>)
func.func private @calibrated(!quant.calibrated<f32<-0.998:1.2321>>, !quant.calibrated<f16<-0x419D6F3454000000:-1.0e-30>>, tensor<4x!quant.calibrated<f32<0.0:6.0>>>)

// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

// C1 of quant.calibrated
// expected-error @+1 {{expressed type must be floating point, got i8}}
func.func private @expressed(!quant.calibrated<i8<0.0:1.0>>)

// -----

// C2 of quant.calibrated
// expected-error @+1 {{illegal min and max: (1.0:1.0)}}
func.func private @empty(!quant.calibrated<f32<1.0:1.0>>)

// -----

// C2 of quant.calibrated
// expected-error @+1 {{illegal min and max: (1.0:-1.0)}}
func.func private @unordered(!quant.calibrated<f32<1.0:-1.0>>)

// -----

// C2 of quant.calibrated
// expected-error @+1 {{expected a finite number}}
func.func private @infinite(!quant.calibrated<f32<0.0:0x7FF0000000000000>>)

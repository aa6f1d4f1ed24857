// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

// C1 of quant.any
// expected-error @+1 {{illegal storage type size: 65, expected 1 to 64}}
func.func private @storage(!quant.any<i65:f32>)

// -----

// C2 of quant.any
// expected-error @+1 {{illegal storage type maximum: 8, i4 has 7}}
func.func private @storage_range(!quant.any<i4<-8:8>:f32>)

// -----

// C3 of quant.any
// expected-error @+1 {{expressed type must be floating point, got i8}}
func.func private @expressed(!quant.any<i8:i8>)

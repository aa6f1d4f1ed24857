// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

// C1 of quant.uniform
// expected-error @+1 {{illegal storage type size: 65, expected 1 to 64}}
func.func private @storage_width(!quant.uniform<i65:f32, 1.0>)

// -----

// C1 of quant.uniform
// expected-error @+1 {{illegal storage type size: 0, expected 1 to 64}}
func.func private @no_width(!quant.uniform<u0:f32, 1.0>)

// -----

// C1 of quant.uniform
// expected-error @+1 {{illegal storage type: f32}}
func.func private @storage_name(!quant.uniform<f32:f32, 1.0>)

// -----

// C1 of quant.uniform
// expected-error @+1 {{illegal storage type: f8E8M0FNU}}
func.func private @exponent_only_storage(!quant.uniform<f8E8M0FNU:f32, 1.0>)

// -----

// C2 of quant.uniform
// expected-error @+1 {{illegal storage type minimum: -129, i8 has -128}}
func.func private @storage_minimum(!quant.uniform<i8<-129:127>:f32, 1.0>)

// -----

// C2 of quant.uniform
// expected-error @+1 {{illegal storage type maximum: 256, u8 has 255}}
func.func private @storage_maximum(!quant.uniform<u8<0:256>:f32, 1.0>)

// -----

// C2 of quant.uniform
// expected-error @+1 {{illegal storage min and storage max: (3:3)}}
func.func private @empty_range(!quant.uniform<i8<3:3>:f32, 1.0>)

// -----

// C3 of quant.uniform
// expected-error @+1 {{expressed type must be floating point, got i32}}
func.func private @expressed(!quant.uniform<i8:i32, 1.0>)

// -----

// C3 of quant.uniform
// expected-error @+1 {{expressed type must be floating point}}
func.func private @expressed_tf32(!quant.uniform<i8:tf32, 1.0>)

// -----

// C4 of quant.uniform
// expected-error @+1 {{expected at least one scale}}
func.func private @no_scales(!quant.uniform<i8:f32:0, {}>)

// -----

// C4 of quant.uniform
// expected-error @+1 {{ranks or sizes are not consistent between elements}}
func.func private @ragged(!quant.uniform<i8:f32:{0:1}, {{1.0, 2.0}, {1.0}}>)

// -----

// C4 of quant.uniform
// expected-error @+1 {{ranks or sizes are not consistent between elements}}
func.func private @mixed_depth(!quant.uniform<i8:f32:{0:1}, {1.0, {1.0}}>)

// -----

// C5 of quant.uniform
// expected-error @+1 {{illegal scale: -1.0, expected a positive finite number}}
func.func private @negative_scale(!quant.uniform<i8:f32, -1.0>)

// -----

// C5 of quant.uniform
// expected-error @+1 {{illegal scale: 0.0, expected a positive finite number}}
func.func private @zero_scale(!quant.uniform<i8:f32:0, {1.0,0.0}>)

// -----

// C5 of quant.uniform
// expected-error @+1 {{expected a finite number}}
func.func private @infinite_scale(!quant.uniform<i8:f32, 0x7FF0000000000000>)

// -----

// C5 of quant.uniform
// expected-error @+1 {{scale 1e+20 out of expressed type range}}
func.func private @large_scale(!quant.uniform<i8:f16, 1.0e20>)

// -----

// C5 of quant.uniform
// expected-error @+1 {{scale 1e-300 out of expressed type range}}
func.func private @small_scale(!quant.uniform<i8:f32:{0:1}, {1.0e-300}>)

// -----

// C6 of quant.uniform
// expected-error @+1 {{zero point 300 out of storage range [-128, 127]}}
func.func private @zero_point(!quant.uniform<i8:f32, 1.0:300>)

// -----

// C6 of quant.uniform
// expected-error @+1 {{zero point -128 out of storage range [-127, 127]}}
func.func private @zero_point_of_channel(!quant.uniform<i8<-127:127>:f32:0, {1.0,2.0:-128}>)

// -----

// C6 of quant.uniform
// expected-error @+1 {{out of storage range}}
func.func private @zero_point_width(!quant.uniform<u64:f32, 1.0:9223372036854775808>)

// -----

// C7 of quant.uniform
// expected-error @+1 {{illegal quantized dimension: -1}}
func.func private @negative_axis(!quant.uniform<i8:f32:-1, {1.0}>)

// -----

// C7 of quant.uniform
// expected-error @+1 {{illegal quantized dimension: -2}}
func.func private @negative_block_axis(!quant.uniform<i8:f32:{-2:1}, {1.0}>)

// -----

// C7 of quant.uniform
// expected-error @+1 {{duplicate quantized dimension}}
func.func private @repeated_axis(!quant.uniform<i8:f32:{0:1, 0:2}, {1.0}>)

// -----

// C8 of quant.uniform
// expected-error @+1 {{illegal block size: 0}}
func.func private @block_size(!quant.uniform<i8:f32:{0:0}, {1.0}>)

// -----

// expected-error @+1 {{unexpected decimal integer literal for a floating point value}}
func.func private @decimal_integer(!quant.uniform<i8:f32, 1>)

// -----

// expected-error @+1 {{hexadecimal float out of range for a double}}
func.func private @long_hexadecimal(!quant.uniform<i8:f32, 0x3FF00000000000000>)

// -----

// expected-error @+1 {{scales nested deeper than 32 levels}}
func.func private @deep_nesting(!quant.uniform<i8:f32:{}, {{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{1.0}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}>)

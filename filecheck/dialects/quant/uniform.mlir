// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func private @per_tensor
// CHECK-SAME: (!quant.uniform<i8:f32, 0.05:3>, !quant.uniform<i8:f32, 2.0>, !quant.uniform<u8:f16, 0.5:200>)
func.func private @per_tensor(!quant.uniform<i8:f32, 0.05:3>, !quant.uniform<i8:f32, 2.0:0>, !quant.uniform<u8:f16, 0.5:200>)

// CHECK-LABEL: func.func private @per_axis
// CHECK-SAME: (!quant.uniform<i8<-127:127>:f32:0, {0.1,0.2:1}>, !quant.uniform<i4:f32:3, {1.0e-05}>)
func.func private @per_axis(!quant.uniform<i8<-127:127>:f32:0, { 0.1 , 0.2:1 }>, !quant.uniform<i4:f32:3, {1.0e-5}>)

// CHECK-LABEL: func.func private @sub_channel
// CHECK-SAME: (!quant.uniform<i8:f32:{0:1, 1:2}, {{[{][{]}}1.0, 2.0}, {1.0:3, 2.0}}>, !quant.uniform<i8:f32:{}, {{[{][{]}}{0.5}}}>)
func.func private @sub_channel(!quant.uniform<i8:f32:{0:1, 1:2}, {{1.0, 2.0}, {1.0:3, 2.0}}>, !quant.uniform<i8:f32:{}, {{{0.5}}}>)

// Both spellings of a signedness are one type, and a range written out that is the type's own is left out.
// CHECK-LABEL: func.func private @spellings
// CHECK-SAME: (!quant.uniform<u8:f32, 1.0>, !quant.uniform<i8:f32, 1.0>, !quant.uniform<u4:f32, 1.0>, !quant.uniform<u4<1:15>:f32, 1.0:1>)
func.func private @spellings(!quant.uniform<ui8:f32, 1.0>, !quant.uniform<si8:f32, 1.0>, !quant.uniform<u4<0:15>:f32, 1.0>, !quant.uniform<u4<1:15>:f32, 1.0:1>)

// LLVM prints whole numbers of more than six digits as the bits of the double.
// CHECK-LABEL: func.func private @hexadecimal
// CHECK-SAME: (!quant.uniform<i8:f32, 123456789.0>, !quant.uniform<i8:f32, 1.0:3>, !quant.uniform<i8:f32:1, {1.0,123456789.0:-1}>)
func.func private @hexadecimal(!quant.uniform<i8:f32, 0x419D6F3454000000>, !quant<uniform<i8:f32, 0x3FF0000000000000:3>>, !quant.uniform<i8:f32:1, {1.0, 0x419D6F3454000000:-1}>)

// LLVM prints sub-channel scales as bits of the expressed type.
// CHECK-LABEL: func.func private @hexadecimal_blocks
// CHECK-SAME: (!quant.uniform<i8:f32:{0:1}, {2885915.0, 1.0}>, !quant.uniform<i8:f16:{0:1}, {2048.0}>)
func.func private @hexadecimal_blocks(!quant.uniform<i8:f32:{0:1}, {0x4A30246C, 0x3FF0000000000000}>, !quant.uniform<i8:f16:{0:1}, {0x6800}>)

// Sub-channel scales are numbers of the expressed type, all others doubles.
// CHECK-LABEL: func.func private @rounding
// CHECK-SAME: (!quant.uniform<i8:f32:{0:1}, {0.10000000149011612}>, !quant.uniform<i8:f64:{0:1}, {0.1}>, !quant.uniform<i8:f32:0, {0.1}>)
func.func private @rounding(!quant.uniform<i8:f32:{0:1}, {0.1}>, !quant.uniform<i8:f64:{0:1}, {0.1}>, !quant.uniform<i8:f32:0, {0.1}>)

// CHECK-LABEL: func.func private @wide_and_float_storage
// CHECK-SAME: (!quant.uniform<i48:f32, 1.0>, !quant.uniform<u64<0:18446744073709551614>:f32, 1.0>, !quant.uniform<i1:f32, 1.0:-1>, !quant.uniform<bf16:f32, 1.0>, !quant.uniform<f8E4M3FN:f32, 0.5>, !quant.uniform<f8E5M2<-10:10>:bf16, 0.5:1>)
func.func private @wide_and_float_storage(!quant.uniform<i48:f32, 1.0>, !quant.uniform<u64<0:18446744073709551614>:f32, 1.0>, !quant.uniform<i1:f32, 1.0:-1>, !quant.uniform<bf16:f32, 1.0>, !quant.uniform<f8E4M3FN<-448:448>:f32, 0.5>, !quant.uniform<f8E5M2<-10:10>:bf16, 0.5:1>)

// CHECK-LABEL: func.func private @containers
// CHECK-SAME: (tensor<?x3x!quant.uniform<i8:f32, 0.5>>, tensor<*x!quant.uniform<i8:f32, 0.5>>)
func.func private @containers(tensor<?x3x!quant.uniform<i8:f32, 0.5>>, tensor<*x!quant.uniform<i8:f32, 0.5>>)

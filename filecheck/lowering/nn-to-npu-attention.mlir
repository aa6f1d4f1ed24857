// RUN: intaglio-opt %s -p 'nn-to-npu{target="gen1"}' --split-input-file | filecheck %s

!x = !quant.uniform<i8:f32, 0.5:3>
!y = !quant.uniform<i8:f32, 0.25:-1>

// Both zero points are subtracted by the array; of 33 rows of the second matrix the last one is a tile of its own.
// CHECK-LABEL: npu.program @matmul
// CHECK: %0 = npu.constant dense<[0, 0, 0, 0, 0, 0, 0, 64, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 32, 0, 0, 0]> : tensor<96xi8> loc("product")
// CHECK: %2 = npu.load %0 to %1 <source_offset 0, target_offset 0, run 96> : !npu.buffer<constants, 96> to !npu.buffer<scratchpad, 96> loc("product")
// CHECK: %4 = npu.load %a to %3 <source_offset 0, target_offset 0, run 132> : !npu.buffer<dram, 132> to !npu.buffer<scratchpad, 132> loc("product")
// CHECK: %6 = npu.load %b to %5 <source_offset 0, target_offset 0, run 264> : !npu.buffer<dram, 264> to !npu.buffer<scratchpad, 264> loc("product")
// CHECK: %8 = npu.matrix_multiply %3 map <offset 0, rows 4, row_bytes 33, row_stride 33, pad 3> weights %5 <offset 0, tap_stride 256, row_stride 8, zero_point -1, input_zero_point 3> window <rows 4, columns 1, step_y 1, step_x 33> taps <rows 1, columns 1, step_y 1, step_x 32> origin <y0 0, x0 0> inner 32 outer 8 accumulator 0 : !npu.buffer<scratchpad, 132>, !npu.buffer<scratchpad, 264> loc("product")
// CHECK: %9 = npu.matrix_multiply %3 map <offset 0, rows 4, row_bytes 33, row_stride 33, pad 3> weights %5 <offset 256, tap_stride 8, row_stride 8, zero_point -1, input_zero_point 3> window <rows 4, columns 1, step_y 1, step_x 33> taps <rows 1, columns 1, step_y 1, step_x 1> origin <y0 0, x0 32> inner 1 outer 8 accumulator 0 accumulate : !npu.buffer<scratchpad, 132>, !npu.buffer<scratchpad, 264> loc("product")
// CHECK: %10 = npu.requantize parameters %1 0 to %7 <offset 0, row_stride 8, column_stride 8> window <rows 4, columns 1, step_y 1, step_x 1> channels 8 accumulator 0 zero_point 3 bounds <low -128, high 127> : !npu.buffer<scratchpad, 96>, !npu.buffer<scratchpad, 32> loc("product")
// CHECK: %11 = npu.store %7 to %output0 <source_offset 0, target_offset 0, run 32> : !npu.buffer<scratchpad, 32> to !npu.buffer<dram, 32> loc("product")
func.func @matmul(%a: tensor<4x33x!x>, %b: tensor<33x8x!y>) -> tensor<4x8x!x> attributes {intaglio.device = "accelerator"} {
  %y = nn.matmul %a, %b : (tensor<4x33x!x>, tensor<33x8x!y>) -> tensor<4x8x!x> loc("product")
  func.return %y : tensor<4x8x!x>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>
!p = !quant.uniform<i8:f32, 0.00390625:-128>

// CHECK-LABEL: npu.program @softmax
// CHECK: %0 = npu.constant #nn.weights<"shares", {{.*}}> : tensor<1024xi8> loc("shares")
// CHECK: %2 = npu.load %x to %1 <source_offset 0, target_offset 0, run 10> : !npu.buffer<dram, 10> to !npu.buffer<scratchpad, 10> loc("shares")
// CHECK: %5 = npu.load %0 to %4 <source_offset 0, target_offset 0, run 1024> : !npu.buffer<constants, 1024> to !npu.buffer<scratchpad, 1024> loc("shares")
// CHECK: %6 = npu.softmax %1 map <offset 0, rows 2, row_bytes 5, row_stride 5, pad 0> table %4 0 to %3 <offset 0, row_stride 5, column_stride 5> window <rows 2, columns 1, step_y 1, step_x 5> origin <y0 0, x0 0> channels 5 result_scale <multiplier 1073741824, shift 52, zero_point -128> bounds <low -128, high 127> : !npu.buffer<scratchpad, 10>, !npu.buffer<scratchpad, 1024>, !npu.buffer<scratchpad, 10> loc("shares")
// CHECK: %7 = npu.store %3 to %output0 <source_offset 0, target_offset 0, run 10> : !npu.buffer<scratchpad, 10> to !npu.buffer<dram, 10> loc("shares")
func.func @softmax(%x: tensor<2x5x!x>) -> tensor<2x5x!p> attributes {intaglio.device = "accelerator"} {
  %y = nn.softmax %x axis 1 : (tensor<2x5x!x>) -> tensor<2x5x!p> loc("shares")
  func.return %y : tensor<2x5x!p>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>
!y = !quant.uniform<i8:f32, 0.25:-1>
!u = !quant.uniform<i16:f32, 0.5>

// Along another dimension than the last one, between two transpositions.
// CHECK-LABEL: npu.program @rms_norm
// CHECK: %1 = npu.load %x to %0 <source_offset 0, target_offset 0, run 24> : !npu.buffer<dram, 24> to !npu.buffer<scratchpad, 24> loc("norm")
// CHECK: %3 = npu.transpose %0 map <offset 0, rows 1, row_bytes 24, row_stride 24, pad 0> to %2 <offset 0, row_stride 0, column_stride 4> window <rows 1, columns 4, step_y 1, step_x 6> origin <y0 0, x0 0> channels 6 : !npu.buffer<scratchpad, 24>, !npu.buffer<scratchpad, 24> loc("norm")
// CHECK: %4 = npu.constant dense<[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]> : tensor<32xi8> loc("norm")
// CHECK: %7 = npu.load %4 to %6 <source_offset 0, target_offset 0, run 32> : !npu.buffer<constants, 32> to !npu.buffer<scratchpad, 32> loc("norm")
// CHECK: %8 = npu.normalize %2 map <offset 0, rows 6, row_bytes 4, row_stride 4, pad 0> factors %6 0 epsilon 0 to %5 <offset 0, row_stride 4, column_stride 4> window <rows 6, columns 1, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 43, zero_point -1> input_zero_point 3 bounds <low -128, high 127> : !npu.buffer<scratchpad, 24>, !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 24> loc("norm")
// CHECK: %10 = npu.transpose %5 map <offset 0, rows 1, row_bytes 24, row_stride 24, pad 0> to %9 <offset 0, row_stride 0, column_stride 6> window <rows 1, columns 6, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 : !npu.buffer<scratchpad, 24>, !npu.buffer<scratchpad, 24> loc("norm")
// CHECK: %11 = npu.store %9 to %output0 <source_offset 0, target_offset 0, run 24> : !npu.buffer<scratchpad, 24> to !npu.buffer<dram, 24> loc("norm")
func.func @rms_norm(%x: tensor<4x6x!x>) -> tensor<4x6x!y> attributes {intaglio.device = "accelerator"} {
  %f = nn.constant dense<[1, 2, 3, 4]> : tensor<4xi16> as tensor<4x!u>
  %y = nn.rms_norm %x scale %f axis 0 epsilon 1.0e-05 : f64 : (tensor<4x6x!x>, tensor<4x!u>) -> tensor<4x6x!y> loc("norm")
  func.return %y : tensor<4x6x!y>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>
!y = !quant.uniform<i8:f32, 0.25:-1>

// CHECK-LABEL: npu.program @minimum
// CHECK: %1 = npu.load %x to %0 <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8> loc("cap")
// CHECK: %3 = npu.load %c to %2 <source_offset 0, target_offset 0, run 4> : !npu.buffer<dram, 4> to !npu.buffer<scratchpad, 4> loc("cap")
// CHECK: %4 = npu.minimum %0 map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0>, %2 <offset 0, row_stride 0, column_stride 0, channel_stride 1> to %0 <offset 0, row_stride 8, column_stride 4> window <rows 1, columns 2, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 30, zero_point -1> a_scale <multiplier 1073741824, shift 29, zero_point 3> b_scale <multiplier 1073741824, shift 29, zero_point 3> bounds <low -128, high 127> : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 4>, !npu.buffer<scratchpad, 8> loc("cap")
// CHECK: %5 = npu.store %0 to %output0 <source_offset 0, target_offset 0, run 8> : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8> loc("cap")
func.func @minimum(%x: tensor<2x4x!x>, %c: tensor<4x!x>) -> tensor<2x4x!y> attributes {intaglio.device = "accelerator"} {
  %y = nn.minimum %x, %c : (tensor<2x4x!x>, tensor<4x!x>) -> tensor<2x4x!y> loc("cap")
  func.return %y : tensor<2x4x!y>
}

// RUN: intaglio-opt %s -p 'nn-to-npu{target="gen1"}' --split-input-file | filecheck %s

!x = !quant.uniform<i8:f32, 0.5:3>

// Columns of 8 channels are joined with 4 channels of one value, which is read from the padding of a map.
// CHECK-LABEL: npu.program @concat
// CHECK: %1 = npu.load %x to %0 <source_offset 0, target_offset 0, run 32> : !npu.buffer<dram, 32> to !npu.buffer<scratchpad, 32> loc("join")
// CHECK: %3 = npu.convert %0 map <offset 0, rows 1, row_bytes 32, row_stride 0, pad 0> to %2 <offset 0, row_stride 0, column_stride 12> window <rows 1, columns 4, step_y 1, step_x 8> origin <y0 0, x0 0> channels 8 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 48> loc("join")
// CHECK: %4 = npu.convert %2 map <offset 0, rows 1, row_bytes 1, row_stride 1, pad 3> to %2 <offset 8, row_stride 0, column_stride 12> window <rows 1, columns 4, step_y 0, step_x 0> origin <y0 -1, x0 0> channels 4 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 48>, !npu.buffer<scratchpad, 48> loc("join")
// CHECK: %5 = npu.store %2 to %output0 <source_offset 0, target_offset 0, run 48> : !npu.buffer<scratchpad, 48> to !npu.buffer<dram, 48> loc("join")
func.func @concat(%x: tensor<1x2x2x8x!x>) -> tensor<1x2x2x12x!x> attributes {intaglio.device = "accelerator"} {
  %c = nn.constant dense<3> : tensor<1x2x2x4xi8> as tensor<1x2x2x4x!x>
  %y = nn.concat %x, %c axis 3 : (tensor<1x2x2x8x!x>, tensor<1x2x2x4x!x>) -> tensor<1x2x2x12x!x> loc("join")
  func.return %y : tensor<1x2x2x12x!x>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>

// Rows and columns that are doubled are read twice, with a step of 0.
// CHECK-LABEL: npu.program @resize
// CHECK: %1 = npu.load %x to %0 <source_offset 0, target_offset 0, run 16> : !npu.buffer<dram, 16> to !npu.buffer<scratchpad, 16> loc("twice")
// CHECK: %3 = npu.convert %0 map <offset 0, rows 2, row_bytes 4, row_stride 8, pad 0> to %2 <offset 0, row_stride 32, column_stride 16> window <rows 2, columns 2, step_y 1, step_x 0> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 64> loc("twice")
// CHECK: %4 = npu.convert %0 map <offset 0, rows 2, row_bytes 4, row_stride 8, pad 0> to %2 <offset 4, row_stride 32, column_stride 16> window <rows 2, columns 2, step_y 1, step_x 0> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 64> loc("twice")
// CHECK: %5 = npu.convert %0 map <offset 4, rows 2, row_bytes 4, row_stride 8, pad 0> to %2 <offset 8, row_stride 32, column_stride 16> window <rows 2, columns 2, step_y 1, step_x 0> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 64> loc("twice")
// CHECK: %6 = npu.convert %0 map <offset 4, rows 2, row_bytes 4, row_stride 8, pad 0> to %2 <offset 12, row_stride 32, column_stride 16> window <rows 2, columns 2, step_y 1, step_x 0> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 64> loc("twice")
// CHECK: %7 = npu.store %2 to %output0 <source_offset 0, target_offset 0, run 64> : !npu.buffer<scratchpad, 64> to !npu.buffer<dram, 64> loc("twice")
func.func @resize(%x: tensor<1x2x2x4x!x>) -> tensor<1x4x4x4x!x> attributes {intaglio.device = "accelerator"} {
  %y = nn.resize %x mode "floor" steps [1, 1] offsets [0, 0] units [2, 2] cubic_coefficient -7.5e-01 : f64 exclude_outside false : (tensor<1x2x2x4x!x>) -> tensor<1x4x4x4x!x> loc("twice")
  func.return %y : tensor<1x4x4x4x!x>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>

// Of a slice of an input only what is needed is loaded.
// CHECK-LABEL: npu.program @slice
// CHECK: %1 = npu.load %x to %0 <source_offset 0, target_offset 0, run 256> : !npu.buffer<dram, 256> to !npu.buffer<scratchpad, 256> loc("part")
// CHECK: %3 = npu.convert %0 map <offset 64, rows 1, row_bytes 192, row_stride 0, pad 0> to %2 <offset 0, row_stride 0, column_stride 64> window <rows 1, columns 2, step_y 1, step_x 128> origin <y0 0, x0 0> channels 64 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 256>, !npu.buffer<scratchpad, 128> loc("part")
// CHECK: %4 = npu.convert %2 map <offset 0, rows 2, row_bytes 64, row_stride 64, pad 0> to %2 <offset 0, row_stride 64, column_stride 64> window <rows 2, columns 1, step_y 1, step_x 64> origin <y0 0, x0 0> channels 64 result_scale <multiplier 1073741824, shift 30, zero_point 3> input_zero_point 3 bounds <low 3, high 127> : !npu.buffer<scratchpad, 128>, !npu.buffer<scratchpad, 128> loc("relu")
// CHECK: %5 = npu.store %2 to %output0 <source_offset 0, target_offset 0, run 128> : !npu.buffer<scratchpad, 128> to !npu.buffer<dram, 128> loc("relu")
func.func @slice(%x: tensor<1x4x64x!x>) -> tensor<1x2x64x!x> attributes {intaglio.device = "accelerator"} {
  %0 = nn.slice %x starts [0, 1, 0] steps [1, 2, 1] : (tensor<1x4x64x!x>) -> tensor<1x2x64x!x> loc("part")
  %y = nn.relu %0 : (tensor<1x2x64x!x>) -> tensor<1x2x64x!x> loc("relu")
  func.return %y : tensor<1x2x64x!x>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>

// What stays where it lies is no task.
// CHECK-LABEL: npu.program @negative_same_memory
// CHECK: %1 = npu.load %x to %0 <source_offset 0, target_offset 0, run 32> : !npu.buffer<dram, 32> to !npu.buffer<scratchpad, 32> loc("relu")
// CHECK: %2 = npu.convert %0 map <offset 0, rows 1, row_bytes 32, row_stride 32, pad 0> to %0 <offset 0, row_stride 32, column_stride 32> window <rows 1, columns 1, step_y 1, step_x 32> origin <y0 0, x0 0> channels 32 result_scale <multiplier 1073741824, shift 30, zero_point 3> input_zero_point 3 bounds <low 3, high 127> : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 32> loc("relu")
// CHECK: %3 = npu.store %0 to %output0 <source_offset 0, target_offset 0, run 32> : !npu.buffer<scratchpad, 32> to !npu.buffer<dram, 32> loc("relu")
func.func @negative_same_memory(%x: tensor<1x4x1x8x!x>) -> tensor<1x1x4x8x!x> attributes {intaglio.device = "accelerator"} {
  %0 = nn.transpose %x permutation [0, 2, 1, 3] : (tensor<1x4x1x8x!x>) -> tensor<1x1x4x8x!x> loc("swap")
  %y = nn.relu %0 : (tensor<1x1x4x8x!x>) -> tensor<1x1x4x8x!x> loc("relu")
  func.return %y : tensor<1x1x4x8x!x>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>
!w = !quant.uniform<i8<-127:127>:f32, 0.25>
!y = !quant.uniform<i8:f32, 0.25:-1>

// A transposed convolution as a convolution to four phases of two channels; two of them lie beside each other.
// CHECK-LABEL: npu.program @conv_transpose
// CHECK: %0 = npu.constant #nn.weights<"up", {{.*}}> : tensor<128xi8> loc("up")
// CHECK: %2 = npu.load %0 to %1 <source_offset 0, target_offset 0, run 128> : !npu.buffer<constants, 128> to !npu.buffer<scratchpad, 128> loc("up")
// CHECK: %4 = npu.load %x to %3 <source_offset 0, target_offset 0, run 24> : !npu.buffer<dram, 24> to !npu.buffer<scratchpad, 24> loc("up")
// CHECK: %6 = npu.matrix_multiply %3 map <offset 0, rows 2, row_bytes 12, row_stride 12, pad 3> weights %1 <offset 48, tap_stride 16, row_stride 4> window <rows 2, columns 3, step_y 1, step_x 4> taps <rows 1, columns 1, step_y 1, step_x 4> origin <y0 0, x0 0> inner 4 outer 4 accumulator 0 : !npu.buffer<scratchpad, 24>, !npu.buffer<scratchpad, 128> loc("up")
// CHECK: %7 = npu.requantize parameters %1 0 to %5 <offset 0, row_stride 24, column_stride 4> window <rows 2, columns 3, step_y 1, step_x 1> channels 4 accumulator 0 zero_point -1 bounds <low -128, high 127> : !npu.buffer<scratchpad, 128>, !npu.buffer<scratchpad, 48> loc("up")
// CHECK: %8 = npu.matrix_multiply %3 map <offset 0, rows 2, row_bytes 12, row_stride 12, pad 3> weights %1 <offset 112, tap_stride 16, row_stride 4> window <rows 2, columns 3, step_y 1, step_x 4> taps <rows 1, columns 1, step_y 1, step_x 4> origin <y0 0, x0 0> inner 4 outer 4 accumulator 6 : !npu.buffer<scratchpad, 24>, !npu.buffer<scratchpad, 128> loc("up")
// CHECK: %9 = npu.requantize parameters %1 64 to %5 <offset 12, row_stride 24, column_stride 4> window <rows 2, columns 3, step_y 1, step_x 1> channels 4 accumulator 6 zero_point -1 bounds <low -128, high 127> : !npu.buffer<scratchpad, 128>, !npu.buffer<scratchpad, 48> loc("up")
// CHECK: %10 = npu.store %5 to %output0 <source_offset 0, target_offset 0, run 48> : !npu.buffer<scratchpad, 48> to !npu.buffer<dram, 48> loc("up")
func.func @conv_transpose(%x: tensor<1x2x3x4x!x>) -> tensor<1x4x6x2x!y> attributes {intaglio.device = "accelerator"} {
  %w = nn.constant dense<1> : tensor<2x2x2x4xi8> as tensor<2x2x2x4x!w>
  %y = nn.conv_transpose2d %x, %w strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x2x3x4x!x>, tensor<2x2x2x4x!w>) -> tensor<1x4x6x2x!y> loc("up")
  func.return %y : tensor<1x4x6x2x!y>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:3>
!y = !quant.uniform<i8:f32, 0.25:-1>

// A mean over rows and columns is a window; over channels, a product with ones.
// CHECK-LABEL: npu.program @reduce
// CHECK: %1 = npu.load %x to %0 <source_offset 0, target_offset 0, run 16> : !npu.buffer<dram, 16> to !npu.buffer<scratchpad, 16> loc("mean")
// CHECK: %3 = npu.sum %0 map <offset 0, rows 4, row_bytes 4, row_stride 4, pad 3> to %2 <offset 0, row_stride 4, column_stride 4> window <rows 1, columns 1, step_y 1, step_x 4> taps <rows 4, columns 1, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 31, zero_point -1> input_zero_point 3 bounds <low -128, high 127> : !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 4> loc("mean")
// CHECK: %4 = npu.store %2 to %output0 <source_offset 0, target_offset 0, run 4> : !npu.buffer<scratchpad, 4> to !npu.buffer<dram, 4> loc("mean")
// CHECK: %5 = npu.constant dense<[-12, -1, -1, -1, 0, 0, 0, 64, 29, 0, 0, 0, 1, 1, 1, 1]> : tensor<16xi8> loc("sum")
// CHECK: %7 = npu.load %5 to %6 <source_offset 0, target_offset 0, run 16> : !npu.buffer<constants, 16> to !npu.buffer<scratchpad, 16> loc("sum")
// CHECK: %9 = npu.matrix_multiply %0 map <offset 0, rows 4, row_bytes 4, row_stride 4, pad 3> weights %6 <offset 12, tap_stride 4, row_stride 1> window <rows 4, columns 1, step_y 1, step_x 4> taps <rows 1, columns 1, step_y 1, step_x 4> origin <y0 0, x0 0> inner 4 outer 1 accumulator 0 : !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 16> loc("sum")
// CHECK: %10 = npu.requantize parameters %6 0 to %8 <offset 0, row_stride 1, column_stride 1> window <rows 4, columns 1, step_y 1, step_x 1> channels 1 accumulator 0 zero_point -1 bounds <low -128, high 127> : !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 4> loc("sum")
// CHECK: %11 = npu.store %8 to %output1 <source_offset 0, target_offset 0, run 4> : !npu.buffer<scratchpad, 4> to !npu.buffer<dram, 4> loc("sum")
func.func @reduce(%x: tensor<1x2x2x4x!x>) -> (tensor<1x1x1x4x!y>, tensor<1x2x2x1x!y>) attributes {intaglio.device = "accelerator"} {
  %y = nn.reduce_mean %x axes [1, 2] : (tensor<1x2x2x4x!x>) -> tensor<1x1x1x4x!y> loc("mean")
  %z = nn.reduce_sum %x axes [3] : (tensor<1x2x2x4x!x>) -> tensor<1x2x2x1x!y> loc("sum")
  func.return %y, %z : tensor<1x1x1x4x!y>, tensor<1x2x2x1x!y>
}

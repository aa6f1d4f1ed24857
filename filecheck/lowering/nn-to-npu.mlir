// RUN: intaglio-opt %s -p 'nn-to-npu{target="gen1"}' --split-input-file | filecheck %s

!x = !quant.uniform<i8:f32, 0.5:3>
!w = !quant.uniform<i8<-127:127>:f32, 0.25>
!y = !quant.uniform<i8:f32, 0.25:-1>
!b = !quant.uniform<i32:f32, 0.125>

// Three columns of two channels are one tile of six rows; the input's zero point is folded into the bias.
// CHECK-LABEL: npu.program @conv
// CHECK: %0 = npu.constant dense<[46, 0, 0, 0, 0, 0, 0, 64, 31, 0, 0, 0, 102, -1, -1, -1, 0, 0, 0, 64, 31, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]> : tensor<60xi8> loc("stem/Conv")
// CHECK: %2 = npu.load %0 to %1 <source_offset 0, target_offset 0, run 60> : !npu.buffer<constants, 60> to !npu.buffer<scratchpad, 60> loc("stem/Conv")
// CHECK: %4 = npu.load %x to %3 <source_offset 0, target_offset 0, run 32> : !npu.buffer<dram, 32> to !npu.buffer<scratchpad, 32> loc("stem/Conv")
// CHECK: %6 = npu.matrix_multiply %3 map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 3> weights %1 <offset 24, tap_stride 12, row_stride 2> window <rows 4, columns 4, step_y 1, step_x 2> taps <rows 3, columns 1, step_y 1, step_x 6> origin <y0 -1, x0 -2> inner 6 outer 2 accumulator 0 : !npu.buffer<scratchpad, 32>, !npu.buffer<scratchpad, 60> loc("stem/Conv")
// CHECK: %7 = npu.requantize parameters %1 0 to %5 <offset 0, row_stride 8, column_stride 2> window <rows 4, columns 4, step_y 1, step_x 1> channels 2 accumulator 0 zero_point -1 bounds <low -1, high 127> : !npu.buffer<scratchpad, 60>, !npu.buffer<scratchpad, 32> loc("stem/Conv")
// CHECK: %8 = npu.store %5 to %output0 <source_offset 0, target_offset 0, run 32> : !npu.buffer<scratchpad, 32> to !npu.buffer<dram, 32> loc("stem/Conv")
func.func @conv(%x: tensor<1x4x4x2x!x>) -> tensor<1x4x4x2x!y> attributes {intaglio.device = "accelerator"} {
  %w = nn.constant dense<1> : tensor<2x3x3x2xi8> as tensor<2x3x3x2x!w>
  %b = nn.constant dense<[100, -100]> : tensor<2xi32> as tensor<2x!b>
  %y = nn.conv2d %x, %w bias %b strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] groups 1 clamp <0.0, inf> : (tensor<1x4x4x2x!x>, tensor<2x3x3x2x!w>, tensor<2x!b>) -> tensor<1x4x4x2x!y> loc("stem/Conv")
  func.return %y : tensor<1x4x4x2x!y>
}

// -----

// The functions of the host stay.
// CHECK-LABEL: func.func @negative_host
// CHECK: %y = nn.relu %x : (tensor<4xf32>) -> tensor<4xf32>
// CHECK: func.return %y : tensor<4xf32>
func.func @negative_host(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = nn.relu %x : (tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// -----

!x = !quant.uniform<i8:f32, 0.5>

// A reshape is the same bytes; an input that is returned is copied.
// CHECK-LABEL: npu.program @reshape
// CHECK: %1 = npu.load %x to %0 <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8> loc("sum")
// CHECK: %3 = npu.add %0 map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0>, %0 <offset 0, row_stride 0, column_stride 0, channel_stride 1> to %2 <offset 0, row_stride 8, column_stride 8> window <rows 1, columns 1, step_y 1, step_x 8> origin <y0 0, x0 0> channels 8 result_scale <multiplier 1073741824, shift 49, zero_point 0> a_scale <multiplier 1073741824, shift 11, zero_point 0> b_scale <multiplier 1073741824, shift 11, zero_point 0> bounds <low -128, high 127> : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 8> loc("sum")
// CHECK: %4 = npu.store %2 to %output0 <source_offset 0, target_offset 0, run 8> : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8> loc("sum")
// CHECK: %5 = npu.store %0 to %output1 <source_offset 0, target_offset 0, run 8> : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
func.func @reshape(%x: tensor<2x4x!x>) -> (tensor<8x!x>, tensor<8x!x>) attributes {intaglio.device = "accelerator"} {
  %y = nn.reshape %x : (tensor<2x4x!x>) -> tensor<8x!x>
  %z = nn.add %y, %y : (tensor<8x!x>, tensor<8x!x>) -> tensor<8x!x> loc("sum")
  func.return %z, %y : tensor<8x!x>, tensor<8x!x>
}

// -----

!x = !quant.uniform<i8:f32, 0.5>

// CHECK-LABEL: npu.program @elementwise
// CHECK: %1 = npu.load %x to %0 <source_offset 0, target_offset 0, run 16> : !npu.buffer<dram, 16> to !npu.buffer<scratchpad, 16> loc("scale")
// CHECK: %3 = npu.load %s to %2 <source_offset 0, target_offset 0, run 4> : !npu.buffer<dram, 4> to !npu.buffer<scratchpad, 4> loc("scale")
// CHECK: %4 = npu.multiply %0 map <offset 0, rows 2, row_bytes 8, row_stride 8, pad 0>, %2 <offset 0, row_stride 0, column_stride 0, channel_stride 1> to %0 <offset 0, row_stride 8, column_stride 4> window <rows 2, columns 2, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 31, zero_point 0> a_zero_point 0 b_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 4>, !npu.buffer<scratchpad, 16> loc("scale")
// CHECK: %5 = npu.convert %0 map <offset 0, rows 1, row_bytes 16, row_stride 16, pad 0> to %0 <offset 0, row_stride 16, column_stride 16> window <rows 1, columns 1, step_y 1, step_x 16> origin <y0 0, x0 0> channels 16 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low 0, high 127> : !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 16> loc("relu")
// CHECK: %6 = npu.constant #nn.weights<"tanh", {{.*}}> : tensor<256xi8> loc("tanh")
// CHECK: %8 = npu.load %6 to %7 <source_offset 0, target_offset 0, run 256> : !npu.buffer<constants, 256> to !npu.buffer<scratchpad, 256> loc("tanh")
// CHECK: %9 = npu.lookup %0 map <offset 0, rows 1, row_bytes 16, row_stride 16, pad 0> table %7 0 to %0 <offset 0, row_stride 16, column_stride 16> window <rows 1, columns 1, step_y 1, step_x 16> origin <y0 0, x0 0> channels 16 bounds <low -128, high 127> : !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 256>, !npu.buffer<scratchpad, 16> loc("tanh")
// CHECK: %10 = npu.store %0 to %output0 <source_offset 0, target_offset 0, run 16> : !npu.buffer<scratchpad, 16> to !npu.buffer<dram, 16> loc("tanh")
func.func @elementwise(%x: tensor<1x2x2x4x!x>, %s: tensor<1x1x1x4x!x>) -> tensor<1x2x2x4x!x> attributes {intaglio.device = "accelerator"} {
  %m = nn.mul %s, %x : (tensor<1x1x1x4x!x>, tensor<1x2x2x4x!x>) -> tensor<1x2x2x4x!x> loc("scale")
  %r = nn.relu %m : (tensor<1x2x2x4x!x>) -> tensor<1x2x2x4x!x> loc("relu")
  %t = nn.tanh %r : (tensor<1x2x2x4x!x>) -> tensor<1x2x2x4x!x> loc("tanh")
  func.return %t : tensor<1x2x2x4x!x>
}

// -----

!x = !quant.uniform<i8:f32, 0.5:1>
!w = !quant.uniform<i8<-127:127>:f32:0, {0.25,0.5}>

// CHECK-LABEL: npu.program @windows
// CHECK: %0 = npu.constant dense<[-18, -1, -1, -1, 0, 0, 0, 64, 32, 0, 0, 0, -18, -1, -1, -1, 0, 0, 0, 64, 31, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]> : tensor<42xi8> loc("depthwise")
// CHECK: %2 = npu.load %x to %1 <source_offset 0, target_offset 0, run 64> : !npu.buffer<dram, 64> to !npu.buffer<scratchpad, 64> loc("depthwise")
// CHECK: %5 = npu.load %0 to %4 <source_offset 0, target_offset 0, run 42> : !npu.buffer<constants, 42> to !npu.buffer<scratchpad, 42> loc("depthwise")
// CHECK: %6 = npu.depthwise %1 map <offset 0, rows 4, row_bytes 8, row_stride 8, pad 1> weights %4 <offset 24, tap_stride 2> parameters %4 0 to %3 <offset 0, row_stride 4, column_stride 2> window <rows 2, columns 2, step_y 2, step_x 4> taps <rows 3, columns 3, step_y 1, step_x 2> origin <y0 -1, x0 -2> channels 2 zero_point 1 bounds <low -128, high 127> : !npu.buffer<scratchpad, 64>, !npu.buffer<scratchpad, 42>, !npu.buffer<scratchpad, 42>, !npu.buffer<scratchpad, 16> loc("depthwise")
// CHECK: %7 = npu.depthwise %1 map <offset 32, rows 4, row_bytes 8, row_stride 8, pad 1> weights %4 <offset 24, tap_stride 2> parameters %4 0 to %3 <offset 8, row_stride 4, column_stride 2> window <rows 2, columns 2, step_y 2, step_x 4> taps <rows 3, columns 3, step_y 1, step_x 2> origin <y0 -1, x0 -2> channels 2 zero_point 1 bounds <low -128, high 127> : !npu.buffer<scratchpad, 64>, !npu.buffer<scratchpad, 42>, !npu.buffer<scratchpad, 42>, !npu.buffer<scratchpad, 16> loc("depthwise")
// CHECK: %9 = npu.max %3 map <offset 0, rows 2, row_bytes 4, row_stride 4, pad -128> to %8 <offset 0, row_stride 4, column_stride 2> window <rows 2, columns 2, step_y 1, step_x 2> taps <rows 2, columns 2, step_y 1, step_x 2> origin <y0 0, x0 0> channels 2 bounds <low -128, high 127> : !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 16> loc("max")
// CHECK: %10 = npu.max %3 map <offset 8, rows 2, row_bytes 4, row_stride 4, pad -128> to %8 <offset 8, row_stride 4, column_stride 2> window <rows 2, columns 2, step_y 1, step_x 2> taps <rows 2, columns 2, step_y 1, step_x 2> origin <y0 0, x0 0> channels 2 bounds <low -128, high 127> : !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 16> loc("max")
// CHECK: %12 = npu.sum %8 map <offset 0, rows 2, row_bytes 4, row_stride 4, pad 1> to %11 <offset 0, row_stride 2, column_stride 2> window <rows 1, columns 1, step_y 1, step_x 2> taps <rows 2, columns 2, step_y 1, step_x 2> origin <y0 0, x0 0> channels 2 result_scale <multiplier 1073741825, shift 32, zero_point 1> input_zero_point 1 bounds <low -128, high 127> : !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 4> loc("mean")
// CHECK: %13 = npu.sum %8 map <offset 8, rows 2, row_bytes 4, row_stride 4, pad 1> to %11 <offset 2, row_stride 2, column_stride 2> window <rows 1, columns 1, step_y 1, step_x 2> taps <rows 2, columns 2, step_y 1, step_x 2> origin <y0 0, x0 0> channels 2 result_scale <multiplier 1073741825, shift 32, zero_point 1> input_zero_point 1 bounds <low -128, high 127> : !npu.buffer<scratchpad, 16>, !npu.buffer<scratchpad, 4> loc("mean")
// CHECK: %14 = npu.store %11 to %output0 <source_offset 0, target_offset 0, run 4> : !npu.buffer<scratchpad, 4> to !npu.buffer<dram, 4> loc("mean")
func.func @windows(%x: tensor<2x4x4x2x!x>) -> tensor<2x1x1x2x!x> attributes {intaglio.device = "accelerator"} {
  %w = nn.constant dense<2> : tensor<2x3x3x1xi8> as tensor<2x3x3x1x!w>
  %d = nn.conv2d %x, %w strides [2, 2] pads [1, 1, 0, 0] dilations [1, 1] groups 2 : (tensor<2x4x4x2x!x>, tensor<2x3x3x1x!w>) -> tensor<2x2x2x2x!x> loc("depthwise")
  %m = nn.max_pool2d %d kernel [2, 2] strides [1, 1] pads [0, 0, 1, 1] dilations [1, 1] : (tensor<2x2x2x2x!x>) -> tensor<2x2x2x2x!x> loc("max")
  %a = nn.avg_pool2d %m kernel [2, 2] strides [1, 1] pads [0, 0, 0, 0] count_include_pad false : (tensor<2x2x2x2x!x>) -> tensor<2x1x1x2x!x> loc("mean")
  func.return %a : tensor<2x1x1x2x!x>
}

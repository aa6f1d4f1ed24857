// RUN: intaglio-opt %s -p interleave-layers | filecheck %s

// The vector unit converts while the array multiplies, and the load of the product's successor moves with it. Each
// multiplication gets rows of its own.
// CHECK-LABEL: npu.program @two_units
// CHECK: npu.load {{.*}} loc("load x")
// CHECK-NEXT: npu.matrix_multiply {{.*}} accumulator 0 {{.*}} loc("multiply 0")
// CHECK-NEXT: npu.load {{.*}} loc("load z")
// CHECK-NEXT: npu.convert {{.*}} loc("convert 0")
// CHECK-NEXT: npu.convert {{.*}} loc("convert 1")
// CHECK-NEXT: npu.matrix_multiply {{.*}} accumulator 64 {{.*}} loc("multiply 1")
// CHECK-NEXT: npu.requantize {{.*}} accumulator 0 {{.*}} loc("requantize 0")
// CHECK-NEXT: npu.store {{.*}} loc("store")
// CHECK-NEXT: npu.requantize {{.*}} accumulator 64 {{.*}} loc("requantize 1")
npu.program @two_units : (tensor<4096xi8>) -> tensor<4096xi8> target "gen1" {
^bb0(%in: !npu.buffer<dram, 4096>, %out: !npu.buffer<dram, 4096>):
  %x = npu.allocate : !npu.buffer<scratchpad, 4096>
  %y = npu.allocate : !npu.buffer<scratchpad, 4096>
  %z = npu.allocate : !npu.buffer<scratchpad, 4096>
  %v = npu.allocate : !npu.buffer<scratchpad, 4096>
  %t = npu.allocate : !npu.buffer<scratchpad, 4096>
  %u = npu.allocate : !npu.buffer<scratchpad, 4096>
  %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 4096> : !npu.buffer<dram, 4096> to !npu.buffer<scratchpad, 4096> loc("load x")
  %1 = npu.matrix_multiply %x map <offset 0, rows 64, row_bytes 64, row_stride 64, pad 0> weights %x <offset 24, tap_stride 1024, row_stride 2> window <rows 64, columns 1, step_y 1, step_x 64> taps <rows 1, columns 2, step_y 1, step_x 32> origin <y0 0, x0 0> inner 32 outer 2 accumulator 512 : !npu.buffer<scratchpad, 4096>, !npu.buffer<scratchpad, 4096> loc("multiply 0")
  %2 = npu.requantize parameters %x 0 to %v <offset 0, row_stride 64, column_stride 2> window <rows 64, columns 1, step_y 1, step_x 1> channels 2 accumulator 512 zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 4096>, !npu.buffer<scratchpad, 4096> loc("requantize 0")
  %3 = npu.store %v to %out <source_offset 0, target_offset 0, run 4096> : !npu.buffer<scratchpad, 4096> to !npu.buffer<dram, 4096> loc("store")
  %4 = npu.load %in to %z <source_offset 0, target_offset 0, run 4096> : !npu.buffer<dram, 4096> to !npu.buffer<scratchpad, 4096> loc("load z")
  %5 = npu.convert %z map <offset 0, rows 64, row_bytes 64, row_stride 64, pad 0> to %y <offset 0, row_stride 64, column_stride 64> window <rows 64, columns 1, step_y 1, step_x 64> origin <y0 0, x0 0> channels 64 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 4096>, !npu.buffer<scratchpad, 4096> loc("convert 0")
  %9 = npu.convert %z map <offset 0, rows 64, row_bytes 64, row_stride 64, pad 0> to %t <offset 0, row_stride 64, column_stride 64> window <rows 64, columns 1, step_y 1, step_x 64> origin <y0 0, x0 0> channels 64 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 4096>, !npu.buffer<scratchpad, 4096> loc("convert 1")
  %6 = npu.matrix_multiply %x map <offset 0, rows 64, row_bytes 64, row_stride 64, pad 0> weights %x <offset 24, tap_stride 1024, row_stride 2> window <rows 64, columns 1, step_y 1, step_x 64> taps <rows 1, columns 2, step_y 1, step_x 32> origin <y0 0, x0 0> inner 32 outer 2 accumulator 512 : !npu.buffer<scratchpad, 4096>, !npu.buffer<scratchpad, 4096> loc("multiply 1")
  %7 = npu.requantize parameters %x 0 to %u <offset 0, row_stride 64, column_stride 2> window <rows 64, columns 1, step_y 1, step_x 1> channels 2 accumulator 512 zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 4096>, !npu.buffer<scratchpad, 4096> loc("requantize 1")
}

// Each task needs the result of the one before it.
// CHECK-LABEL: npu.program @negative_chain
// CHECK: npu.convert {{.*}} loc("convert 0")
// CHECK-NEXT: npu.convert {{.*}} loc("convert 1")
// CHECK-NEXT: npu.matrix_multiply {{.*}} accumulator 512 {{.*}} loc("multiply")
// CHECK-NEXT: npu.requantize {{.*}} accumulator 512 {{.*}} loc("requantize")
// CHECK-NEXT: npu.store {{.*}} loc("store")
npu.program @negative_chain : (tensor<4096xi8>) -> tensor<4096xi8> target "gen1" {
^bb0(%in: !npu.buffer<dram, 4096>, %out: !npu.buffer<dram, 4096>):
  %x = npu.allocate : !npu.buffer<scratchpad, 4096>
  %y = npu.allocate : !npu.buffer<scratchpad, 4096>
  %z = npu.allocate : !npu.buffer<scratchpad, 4096>
  %v = npu.allocate : !npu.buffer<scratchpad, 4096>
  %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 4096> : !npu.buffer<dram, 4096> to !npu.buffer<scratchpad, 4096> loc("load x")
  %1 = npu.convert %x map <offset 0, rows 64, row_bytes 64, row_stride 64, pad 0> to %y <offset 0, row_stride 64, column_stride 64> window <rows 64, columns 1, step_y 1, step_x 64> origin <y0 0, x0 0> channels 64 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 4096>, !npu.buffer<scratchpad, 4096> loc("convert 0")
  %2 = npu.convert %y map <offset 0, rows 64, row_bytes 64, row_stride 64, pad 0> to %z <offset 0, row_stride 64, column_stride 64> window <rows 64, columns 1, step_y 1, step_x 64> origin <y0 0, x0 0> channels 64 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 4096>, !npu.buffer<scratchpad, 4096> loc("convert 1")
  %3 = npu.matrix_multiply %z map <offset 0, rows 64, row_bytes 64, row_stride 64, pad 0> weights %z <offset 24, tap_stride 1024, row_stride 2> window <rows 64, columns 1, step_y 1, step_x 64> taps <rows 1, columns 2, step_y 1, step_x 32> origin <y0 0, x0 0> inner 32 outer 2 accumulator 512 : !npu.buffer<scratchpad, 4096>, !npu.buffer<scratchpad, 4096> loc("multiply")
  %4 = npu.requantize parameters %z 0 to %v <offset 0, row_stride 64, column_stride 2> window <rows 64, columns 1, step_y 1, step_x 1> channels 2 accumulator 512 zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 4096>, !npu.buffer<scratchpad, 4096> loc("requantize")
  %5 = npu.store %v to %out <source_offset 0, target_offset 0, run 4096> : !npu.buffer<scratchpad, 4096> to !npu.buffer<dram, 4096> loc("store")
}

// There is no room for what the conversions read while the first product needs its operand.
// CHECK-LABEL: npu.program @negative_no_room
// CHECK: npu.matrix_multiply {{.*}} loc("multiply 0")
// CHECK-NEXT: npu.requantize {{.*}} loc("requantize 0")
// CHECK-NEXT: npu.store
// CHECK-NEXT: npu.load {{.*}} loc("load z")
npu.program @negative_no_room : (tensor<4096xi8>) -> tensor<4096xi8> target "gen1" {
^bb0(%in: !npu.buffer<dram, 4096>, %out: !npu.buffer<dram, 4096>):
  %x = npu.allocate : !npu.buffer<scratchpad, 600000>
  %w = npu.allocate : !npu.buffer<scratchpad, 4096>
  %y = npu.allocate : !npu.buffer<scratchpad, 4096>
  %z = npu.allocate : !npu.buffer<scratchpad, 600000>
  %v = npu.allocate : !npu.buffer<scratchpad, 4096>
  %t = npu.allocate : !npu.buffer<scratchpad, 4096>
  %u = npu.allocate : !npu.buffer<scratchpad, 4096>
  %0 = npu.load %in to %x <source_offset 0, target_offset 0, run 4096> : !npu.buffer<dram, 4096> to !npu.buffer<scratchpad, 600000> loc("load x")
  %1 = npu.matrix_multiply %x map <offset 0, rows 64, row_bytes 64, row_stride 64, pad 0> weights %x <offset 24, tap_stride 1024, row_stride 2> window <rows 64, columns 1, step_y 1, step_x 64> taps <rows 1, columns 2, step_y 1, step_x 32> origin <y0 0, x0 0> inner 32 outer 2 accumulator 512 : !npu.buffer<scratchpad, 600000>, !npu.buffer<scratchpad, 600000> loc("multiply 0")
  %2 = npu.requantize parameters %x 0 to %v <offset 0, row_stride 64, column_stride 2> window <rows 64, columns 1, step_y 1, step_x 1> channels 2 accumulator 512 zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 600000>, !npu.buffer<scratchpad, 4096> loc("requantize 0")
  %3 = npu.store %v to %out <source_offset 0, target_offset 0, run 4096> : !npu.buffer<scratchpad, 4096> to !npu.buffer<dram, 4096> loc("store")
  %4 = npu.load %in to %z <source_offset 0, target_offset 0, run 4096> : !npu.buffer<dram, 4096> to !npu.buffer<scratchpad, 600000> loc("load z")
  %5 = npu.convert %z map <offset 0, rows 64, row_bytes 64, row_stride 64, pad 0> to %y <offset 0, row_stride 64, column_stride 64> window <rows 64, columns 1, step_y 1, step_x 64> origin <y0 0, x0 0> channels 64 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 600000>, !npu.buffer<scratchpad, 4096> loc("convert 0")
  %9 = npu.convert %z map <offset 0, rows 64, row_bytes 64, row_stride 64, pad 0> to %t <offset 0, row_stride 64, column_stride 64> window <rows 64, columns 1, step_y 1, step_x 64> origin <y0 0, x0 0> channels 64 result_scale <multiplier 1073741824, shift 30, zero_point 0> input_zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 600000>, !npu.buffer<scratchpad, 4096> loc("convert 1")
  %6 = npu.matrix_multiply %w map <offset 0, rows 64, row_bytes 64, row_stride 64, pad 0> weights %w <offset 24, tap_stride 1024, row_stride 2> window <rows 64, columns 1, step_y 1, step_x 64> taps <rows 1, columns 2, step_y 1, step_x 32> origin <y0 0, x0 0> inner 32 outer 2 accumulator 512 : !npu.buffer<scratchpad, 4096>, !npu.buffer<scratchpad, 4096> loc("multiply 1")
  %7 = npu.requantize parameters %w 0 to %u <offset 0, row_stride 64, column_stride 2> window <rows 64, columns 1, step_y 1, step_x 1> channels 2 accumulator 512 zero_point 0 bounds <low -128, high 127> : !npu.buffer<scratchpad, 4096>, !npu.buffer<scratchpad, 4096> loc("requantize 1")
}

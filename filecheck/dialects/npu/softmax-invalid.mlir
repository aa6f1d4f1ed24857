// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

npu.program @c1 : (tensor<2x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x4x!quant.uniform<i8:f32, 0.00390625:-128>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %c = npu.constant dense<1> : tensor<1024xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 8>
  %t = npu.allocate : !npu.buffer<scratchpad, 1024>
  %y = npu.allocate : !npu.buffer<scratchpad, 8>
  // C1 of npu.softmax
  // expected-error @+1 {{works on buffers in the scratchpad, got !npu.buffer<dram, 8>}}
  %2 = npu.softmax %in map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0> table %t 0 to %y <offset 0, row_stride 8, column_stride 4> window <rows 1, columns 2, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 52, zero_point -128> bounds <low -128, high 127> : !npu.buffer<dram, 8>, !npu.buffer<scratchpad, 1024>, !npu.buffer<scratchpad, 8>
}

// -----

npu.program @c2 : (tensor<2x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x4x!quant.uniform<i8:f32, 0.00390625:-128>> target "gen1" {
^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
  %c = npu.constant dense<1> : tensor<1024xi8>
  %x = npu.allocate : !npu.buffer<scratchpad, 8>
  %t = npu.allocate : !npu.buffer<scratchpad, 1024>
  %y = npu.allocate : !npu.buffer<scratchpad, 8>
  // C2 of npu.softmax
  // expected-error @+1 {{writes bytes 1 to 8 of a buffer of 8 bytes}}
  %2 = npu.softmax %x map <offset 0, rows 1, row_bytes 8, row_stride 8, pad 0> table %t 0 to %y <offset 1, row_stride 8, column_stride 4> window <rows 1, columns 2, step_y 1, step_x 4> origin <y0 0, x0 0> channels 4 result_scale <multiplier 1073741824, shift 52, zero_point -128> bounds <low -128, high 127> : !npu.buffer<scratchpad, 8>, !npu.buffer<scratchpad, 1024>, !npu.buffer<scratchpad, 8>
}

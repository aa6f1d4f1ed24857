// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK: map = #npu.map<offset 0, rows 28, row_bytes 84, row_stride 84, pad -3>
"test.op"() {map = #npu.map<offset 0, rows 28, row_bytes 84, row_stride 84, pad -3>} : () -> ()
// CHECK: grid = #npu.grid<rows 28, columns 14, step_y 1, step_x 3>
"test.op"() {grid = #npu.grid<columns 14, rows 28, step_y 1, step_x 3>} : () -> ()
// CHECK: transfer = #npu.transfer<source_offset 4, target_offset 0, run 84, count1 2, target_stride1 -4>
"test.op"() {transfer = #npu.transfer<source_offset 4, target_offset 0, run 84, count0 1, count1 2, source_stride1 0, target_stride1 -4>} : () -> ()
// CHECK: kinds = [!npu.buffer<arena, 4>, !npu.token, #npu<space scratchpad>]
"test.op"() {kinds = [!npu.buffer<arena, 4>, !npu.token, #npu<space scratchpad>]} : () -> ()

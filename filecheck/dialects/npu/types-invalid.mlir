// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

// expected-error @+1 {{a buffer holds at least one byte, got 0}}
%x = npu.allocate : !npu.buffer<scratchpad, 0>

// -----

// expected-error @+1 {{field row is unknown: fields are columns, rows, step_x, step_y}}
"test.op"() {grid = #npu.grid<row 1, columns 1, step_y 1, step_x 1>} : () -> ()

// -----

// expected-error @+1 {{field rows is twice}}
"test.op"() {grid = #npu.grid<rows 1, rows 1, step_y 1, step_x 1>} : () -> ()

// -----

// expected-error @+1 {{missing fields: step_x}}
"test.op"() {grid = #npu.grid<rows 1, columns 1, step_y 1>} : () -> ()

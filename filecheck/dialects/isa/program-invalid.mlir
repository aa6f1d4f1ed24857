// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

// C1 of isa.program
// expected-error @+1 {{inputs and outputs must be static tensors of elements of 8 or 16 bits, got tensor<4xf32>}}
isa.program @element_type : (tensor<4xf32>) -> () constants dense<> : tensor<0xi8> arena 0 target "gen1" {
  isa.end
}

// -----

// C1 of isa.program
// expected-error @+1 {{inputs and outputs must be static tensors of elements of 8 or 16 bits, got tensor<?xi8>}}
isa.program @static_shape : () -> tensor<?xi8> constants dense<> : tensor<0xi8> arena 0 target "gen1" {
  isa.end
}

// -----

!t = tensor<1xi8>

// C2 of isa.program
// expected-error @+1 {{at most 16 DRAM regions can be named, got 17}}
isa.program @regions : (!t, !t, !t, !t, !t, !t, !t, !t, !t, !t, !t, !t, !t, !t) -> !t constants dense<> : tensor<0xi8> arena 0 target "gen1" {
  isa.end
}

// -----

// C3 of isa.program
// expected-error @+1 {{constants must be a one-dimensional tensor of i8, got tensor<1x1xi8>}}
isa.program @constants : () -> () constants dense<0> : tensor<1x1xi8> arena 0 target "gen1" {
  isa.end
}

// -----

// C4 of isa.program
// expected-error @+1 {{the arena must have 0 to 4294967296 bytes, got -1}}
isa.program @arena : () -> () constants dense<> : tensor<0xi8> arena -1 target "gen1" {
  isa.end
}

// -----

// C5 of isa.program
// expected-error @+1 {{expected instructions only, got test.op}}
isa.program @other_ops : () -> () constants dense<> : tensor<0xi8> arena 0 target "gen1" {
  "test.op"() : () -> ()
  isa.end
}

// -----

// C5 of isa.program
// expected-error @+1 {{the last instruction must be isa.end}}
isa.program @no_end : () -> () constants dense<> : tensor<0xi8> arena 0 target "gen1" {
  // expected-error @+1 {{terminates block in single-block region but is not a terminator}}
  isa.vector_table base 0
}

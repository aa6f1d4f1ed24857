// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

isa.program @level : () -> () constants dense<> : tensor<0xi8> arena 0 target "gen1" {
  // C1 of isa.load_shape
  // expected-error @+1 {{level of load.shape must be 0 to 2, got 3}}
  isa.load_shape level 3 count 1 dram_stride 0 scratchpad_stride 0
  isa.end
}

// -----

isa.program @signed : () -> () constants dense<> : tensor<0xi8> arena 0 target "gen1" {
  // C1 of isa.store_shape
  // expected-error @+1 {{scratchpad_stride of store.shape must be -4194304 to 4194303, got -4194305}}
  isa.store_shape level 0 count 1 dram_stride 0 scratchpad_stride -4194305
  isa.end
}

// -----

isa.program @counts_start_at_one : () -> () constants dense<> : tensor<0xi8> arena 0 target "gen1" {
  // C1 of isa.vector_max
  // expected-error @+1 {{channels of vector.max must be 1 to 65536, got 0}}
  isa.vector_max channels 0 x0 0 y0 0
  isa.end
}

// -----

isa.program @shift : () -> () constants dense<> : tensor<0xi8> arena 0 target "gen1" {
  // C1 of isa.vector_scale
  // expected-error @+1 {{shift of vector.scale must be 2 to 62, got 63}}
  isa.vector_scale operand 0 multiplier 0 shift 63 zero_point 0
  isa.end
}

// -----

isa.program @unknown_semaphore : () -> () constants dense<> : tensor<0xi8> arena 0 target "gen1" {
  // C2 of isa.vector_table
  // expected-error @+1 {{wait: semaphore 16 does not exist, there are 16}}
  isa.vector_table base 0 wait [16]
  isa.end
}

// -----

isa.program @semaphore_twice : () -> () constants dense<> : tensor<0xi8> arena 0 target "gen1" {
  // C2 of isa.vector_table
  // expected-error @+1 {{signal: semaphore 3 is given twice}}
  isa.vector_table base 0 signal [3, 3]
  isa.end
}

// -----

isa.program @missing_field : () -> () constants dense<> : tensor<0xi8> arena 0 target "gen1" {
  // expected-error @+1 {{expected 'scratchpad'}}
  isa.load_run region 0 dram_offset 0 bytes 1
  isa.end
}

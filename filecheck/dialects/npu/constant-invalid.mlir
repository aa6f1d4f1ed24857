// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

// C1 of npu.constant
// expected-error @+1 {{a value of type tensor<2x2xi8> is no content of !npu.buffer<constants, 4>}}
%w = npu.constant dense<1> : tensor<2x2xi8>

// -----

// C1 of npu.constant
// expected-error @+1 {{a value of type tensor<2xi16> is no content of !npu.buffer<constants, 2>}}
%w = npu.constant dense<1> : tensor<2xi16>

// -----

// expected-error @+1 {{a constant is dense<...> or #nn.weights<...>, got 1 : i8}}
%w = npu.constant 1 : i8

// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

// C1 of nn.constant
// expected-error @+1 {{the value must be tensor<2xi8>, got tensor<2xi16>}}
%y = nn.constant dense<[1, 2]> : tensor<2xi16> as tensor<2x!quant.uniform<i8:f32, 0.5>>

// -----

// C1 of nn.constant
// expected-error @+1 {{the value must be tensor<2xf32>, got tensor<2xf16>}}
%y = nn.constant dense<[1.0, 2.0]> : tensor<2xf16> as tensor<2xf32>

// -----

// C1 of nn.constant
// expected-error @+1 {{the value must be tensor<3xf32>, got tensor<2xf32>}}
%y = nn.constant dense<[1.0, 2.0]> : tensor<2xf32> as tensor<3xf32>

// -----

// C2 of nn.constant
// expected-error @+1 {{quantized dimension size does not match number of scales: 2 and 3}}
%y = nn.constant dense<[1, 2]> : tensor<2xi8> as tensor<2x!quant.uniform<i8:f32:0, {0.5,0.25,0.125}>>

// -----

// C2 of nn.constant
// expected-error @+1 {{quantized dimension must be less than tensor rank, got 0 and 0}}
%y = nn.constant dense<1> : tensor<i8> as tensor<!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>

// -----

// expected-error @+1 {{a constant is dense<...> or #nn.weights<...>}}
%y = nn.constant 5 : i32

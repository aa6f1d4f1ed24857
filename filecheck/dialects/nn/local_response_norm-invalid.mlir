// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @shape(%x: tensor<1x8xf32>) -> tensor<1x9xf32> {
  // C1 of nn.local_response_norm
  // expected-error @+1 {{input and result must have one shape of rank 1 or more and one float type}}
  %y = nn.local_response_norm %x size 5 alpha 1.000000e-04 : f64 beta 7.500000e-01 : f64 bias 1.000000e+00 : f64 : (tensor<1x8xf32>) -> tensor<1x9xf32>
  func.return %y : tensor<1x9xf32>
}

// -----

func.func @quantized(%x: tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>> {
  // C1 of nn.local_response_norm
  // expected-error @+1 {{input and result must have one shape of rank 1 or more and one float type}}
  %y = nn.local_response_norm %x size 5 alpha 1.000000e-04 : f64 beta 7.500000e-01 : f64 bias 1.000000e+00 : f64 : (tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<8x!quant.uniform<i8:f32, 0.5>>
}

// -----

func.func @size(%x: tensor<8xf32>) -> tensor<8xf32> {
  // C2 of nn.local_response_norm
  // expected-error @+1 {{size must be at least 1, got 0}}
  %y = nn.local_response_norm %x size 0 alpha 1.000000e-04 : f64 beta 7.500000e-01 : f64 bias 1.000000e+00 : f64 : (tensor<8xf32>) -> tensor<8xf32>
  func.return %y : tensor<8xf32>
}

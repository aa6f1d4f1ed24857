// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @float_input(%x: tensor<2xf32>) {
  // C1 of quant.requantize
  // expected-error @+1 {{input must be a tensor quantized per tensor with integers of at most 32 bits}}
  %y = quant.requantize %x : tensor<2xf32> to tensor<2x!quant.uniform<i8:f32, 0.5>>
  func.return
}

// -----

func.func @per_axis(%x: tensor<2x!quant.uniform<i8:f32, 0.5>>) {
  // C1 of quant.requantize
  // expected-error @+1 {{result must be a tensor quantized per tensor with integers of at most 32 bits}}
  %y = quant.requantize %x : tensor<2x!quant.uniform<i8:f32, 0.5>> to tensor<2x!quant.uniform<i8:f32:0, {0.5,0.25}>>
  func.return
}

// -----

func.func @too_wide(%x: tensor<2x!quant.uniform<i48:f32, 0.5>>) {
  // C1 of quant.requantize
  // expected-error @+1 {{input must be a tensor quantized per tensor with integers of at most 32 bits}}
  %y = quant.requantize %x : tensor<2x!quant.uniform<i48:f32, 0.5>> to tensor<2x!quant.uniform<i8:f32, 0.5>>
  func.return
}

// -----

func.func @shapes(%x: tensor<2x!quant.uniform<i8:f32, 0.5>>) {
  // C2 of quant.requantize
  // expected-error @+1 {{input and result must both be scalars or both tensors of the same shape}}
  %y = quant.requantize %x : tensor<2x!quant.uniform<i8:f32, 0.5>> to tensor<3x!quant.uniform<i8:f32, 0.25>>
  func.return
}

// -----

func.func @expressed(%x: tensor<2x!quant.uniform<i8:f32, 0.5>>) {
  // C2 of quant.requantize
  // expected-error @+1 {{input and result must express one type, got f32 and f16}}
  %y = quant.requantize %x : tensor<2x!quant.uniform<i8:f32, 0.5>> to tensor<2x!quant.uniform<i8:f16, 0.25>>
  func.return
}

// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @integer_input(%x: tensor<2xi8>) {
  // C1 of quant.qcast
  // expected-error @+1 {{input must be a scalar or tensor of floating-point, got tensor<2xi8>}}
  %y = quant.qcast %x : tensor<2xi8> to tensor<2x!quant.uniform<i8:f32, 0.5>>
  func.return
}

// -----

func.func @quantized_input(%x: !quant.uniform<i8:f32, 0.5>) {
  // C1 of quant.qcast
  // expected-error @+1 {{input must be a scalar or tensor of floating-point}}
  %y = quant.qcast %x : !quant.uniform<i8:f32, 0.5> to !quant.uniform<i8:f32, 0.5>
  func.return
}

// -----

func.func @float_result(%x: tensor<2xf32>) {
  // C2 of quant.qcast
  // expected-error @+1 {{result must be a scalar or tensor of quantized type, got tensor<2xf32>}}
  %y = quant.qcast %x : tensor<2xf32> to tensor<2xf32>
  func.return
}

// -----

func.func @shapes(%x: tensor<2xf32>) {
  // C3 of quant.qcast
  // expected-error @+1 {{input and result must both be scalars or both tensors of the same shape}}
  %y = quant.qcast %x : tensor<2xf32> to tensor<3x!quant.uniform<i8:f32, 0.5>>
  func.return
}

// -----

func.func @scalar_and_tensor(%x: tensor<f32>) {
  // C3 of quant.qcast
  // expected-error @+1 {{input and result must both be scalars or both tensors of the same shape}}
  %y = quant.qcast %x : tensor<f32> to !quant.uniform<i8:f32, 0.5>
  func.return
}

// -----

func.func @ranked_and_unranked(%x: tensor<2xf32>) {
  // C3 of quant.qcast
  // expected-error @+1 {{input and result must both be scalars or both tensors of the same shape}}
  %y = quant.qcast %x : tensor<2xf32> to tensor<*x!quant.uniform<i8:f32, 0.5>>
  func.return
}

// -----

func.func @expressed(%x: tensor<2xf64>) {
  // C4 of quant.qcast
  // expected-error @+1 {{expressed type in quantized type must match the float type, got f32 and f64}}
  %y = quant.qcast %x : tensor<2xf64> to tensor<2x!quant.uniform<i8:f32, 0.5>>
  func.return
}

// -----

func.func @nothing_expressed(%x: tensor<2xf32>) {
  // C4 of quant.qcast
  // expected-error @+1 {{expressed type in quantized type must match the float type, got None and f32}}
  %y = quant.qcast %x : tensor<2xf32> to tensor<2x!quant.any<i8>>
  func.return
}

// -----

func.func @per_axis_scalar(%x: f32) {
  // C5 of quant.qcast
  // expected-error @+1 {{scalar types may not use per-axis quantization}}
  %y = quant.qcast %x : f32 to !quant.uniform<i8:f32:1, {0.5,0.25}>
  func.return
}

// -----

func.func @per_axis_rank(%x: tensor<2xf32>) {
  // C5 of quant.qcast
  // expected-error @+1 {{quantized dimension must be less than tensor rank, got 1 and 1}}
  %y = quant.qcast %x : tensor<2xf32> to tensor<2x!quant.uniform<i8:f32:1, {0.5,0.25}>>
  func.return
}

// -----

func.func @per_axis_size(%x: tensor<2x3xf32>) {
  // C5 of quant.qcast
  // expected-error @+1 {{quantized dimension size does not match number of scales: 3 and 2}}
  %y = quant.qcast %x : tensor<2x3xf32> to tensor<2x3x!quant.uniform<i8:f32:1, {0.5,0.25}>>
  func.return
}

// -----

func.func @sub_channel_scalar(%x: f32) {
  // C5 of quant.qcast
  // expected-error @+1 {{scalar types may not use sub-channel quantization}}
  %y = quant.qcast %x : f32 to !quant.uniform<i8:f32:{0:2}, {{0.5}, {0.25}}>
  func.return
}

// -----

func.func @sub_channel_unranked(%x: tensor<*xf32>) {
  // C5 of quant.qcast
  // expected-error @+1 {{tensor containing the sub-channel quantized type must be ranked}}
  %y = quant.qcast %x : tensor<*xf32> to tensor<*x!quant.uniform<i8:f32:{0:2}, {{0.5}, {0.25}}>>
  func.return
}

// -----

func.func @sub_channel_empty(%x: tensor<4x0xf32>) {
  // C5 of quant.qcast
  // expected-error @+1 {{tensor dimension size of zero is not allowed with sub-channel quantization}}
  %y = quant.qcast %x : tensor<4x0xf32> to tensor<4x0x!quant.uniform<i8:f32:{0:2}, {{0.5}, {0.25}}>>
  func.return
}

// -----

func.func @sub_channel_rank(%x: tensor<4xf32>) {
  // C5 of quant.qcast
  // expected-error @+1 {{rank of scales 2 must match the rank of the tensor 1}}
  %y = quant.qcast %x : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32:{0:2}, {{0.5}, {0.25}}>>
  func.return
}

// -----

func.func @sub_channel_axis(%x: tensor<4x1xf32>) {
  // C5 of quant.qcast
  // expected-error @+1 {{quantized dimension 2 must be less than tensor rank 2}}
  %y = quant.qcast %x : tensor<4x1xf32> to tensor<4x1x!quant.uniform<i8:f32:{2:2}, {{0.5}, {0.25}}>>
  func.return
}

// -----

func.func @sub_channel_division(%x: tensor<5x1xf32>) {
  // C5 of quant.qcast
  // expected-error @+1 {{tensor dimension size 5 at axis 0 must be divisible by the corresponding block size 2}}
  %y = quant.qcast %x : tensor<5x1xf32> to tensor<5x1x!quant.uniform<i8:f32:{0:2}, {{0.5}, {0.25}}>>
  func.return
}

// -----

func.func @sub_channel_size(%x: tensor<6x1xf32>) {
  // C5 of quant.qcast
  // expected-error @+1 {{dimensions of scales [2, 1] should match the numbers of blocks [3, 1]}}
  %y = quant.qcast %x : tensor<6x1xf32> to tensor<6x1x!quant.uniform<i8:f32:{0:2}, {{0.5}, {0.25}}>>
  func.return
}

// -----

func.func @sub_channel_whole_axis(%x: tensor<?x2xf32>) {
  // C5 of quant.qcast
  // expected-error @+1 {{dimensions of scales [1, 2] should match the numbers of blocks [1, 1]}}
  %y = quant.qcast %x : tensor<?x2xf32> to tensor<?x2x!quant.uniform<i8:f32:{0:2}, {{0.5, 0.25}}>>
  func.return
}

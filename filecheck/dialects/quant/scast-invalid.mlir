// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @no_quantized_type(%x: tensor<2xi8>) {
  // C1 of quant.scast
  // expected-error @+1 {{expected a quantized type on one side and its storage type on the other}}
  %y = quant.scast %x : tensor<2xi8> to tensor<2xi8>
  func.return
}

// -----

func.func @two_quantized_types(%x: tensor<2x!quant.uniform<i8:f32, 0.5>>) {
  // C1 of quant.scast
  // expected-error @+1 {{expected a quantized type on one side and its storage type on the other}}
  %y = quant.scast %x : tensor<2x!quant.uniform<i8:f32, 0.5>> to tensor<2x!quant.uniform<i8:f32, 0.5>>
  func.return
}

// -----

func.func @no_storage(%x: tensor<2x!quant.calibrated<f32<0.0:1.0>>>) {
  // C1 of quant.scast
  // expected-error @+1 {{expected a quantized type on one side and its storage type on the other}}
  %y = quant.scast %x : tensor<2x!quant.calibrated<f32<0.0:1.0>>> to tensor<2xf32>
  func.return
}

// -----

func.func @shapes(%x: tensor<2x!quant.uniform<i8:f32, 0.5>>) {
  // C2 of quant.scast
  // expected-error @+1 {{input and result must both be scalars or both tensors of the same shape}}
  %y = quant.scast %x : tensor<2x!quant.uniform<i8:f32, 0.5>> to tensor<3xi8>
  func.return
}

// -----

func.func @width(%x: tensor<2x!quant.uniform<i8:f32, 0.5>>) {
  // C3 of quant.scast
  // expected-error @+1 {{storage type in quantized type must match, got i8 and i16}}
  %y = quant.scast %x : tensor<2x!quant.uniform<i8:f32, 0.5>> to tensor<2xi16>
  func.return
}

// -----

func.func @signedness(%x: tensor<2xui8>) {
  // C3 of quant.scast
  // expected-error @+1 {{storage type in quantized type must match, got i8 and ui8}}
  %y = quant.scast %x : tensor<2xui8> to tensor<2x!quant.uniform<i8:f32, 0.5>>
  func.return
}

// -----

func.func @per_axis_scalar(%x: i8) {
  // C4 of quant.scast
  // expected-error @+1 {{scalar types may not use per-axis quantization}}
  %y = quant.scast %x : i8 to !quant.uniform<i8:f32:1, {0.5,0.25}>
  func.return
}

// -----

func.func @per_axis_rank(%x: tensor<2xi8>) {
  // C4 of quant.scast
  // expected-error @+1 {{quantized dimension must be less than tensor rank, got 1 and 1}}
  %y = quant.scast %x : tensor<2xi8> to tensor<2x!quant.uniform<i8:f32:1, {0.5,0.25}>>
  func.return
}

// -----

func.func @per_axis_size(%x: tensor<2x3xi8>) {
  // C4 of quant.scast
  // expected-error @+1 {{quantized dimension size does not match number of scales: 3 and 2}}
  %y = quant.scast %x : tensor<2x3xi8> to tensor<2x3x!quant.uniform<i8:f32:1, {0.5,0.25}>>
  func.return
}

// -----

func.func @sub_channel_scalar(%x: i8) {
  // C4 of quant.scast
  // expected-error @+1 {{scalar types may not use sub-channel quantization}}
  %y = quant.scast %x : i8 to !quant.uniform<i8:f32:{0:2}, {{0.5}, {0.25}}>
  func.return
}

// -----

func.func @sub_channel_unranked(%x: tensor<*xi8>) {
  // C4 of quant.scast
  // expected-error @+1 {{tensor containing the sub-channel quantized type must be ranked}}
  %y = quant.scast %x : tensor<*xi8> to tensor<*x!quant.uniform<i8:f32:{0:2}, {{0.5}, {0.25}}>>
  func.return
}

// -----

func.func @sub_channel_empty(%x: tensor<4x0xi8>) {
  // C4 of quant.scast
  // expected-error @+1 {{tensor dimension size of zero is not allowed with sub-channel quantization}}
  %y = quant.scast %x : tensor<4x0xi8> to tensor<4x0x!quant.uniform<i8:f32:{0:2}, {{0.5}, {0.25}}>>
  func.return
}

// -----

func.func @sub_channel_rank(%x: tensor<4xi8>) {
  // C4 of quant.scast
  // expected-error @+1 {{rank of scales 2 must match the rank of the tensor 1}}
  %y = quant.scast %x : tensor<4xi8> to tensor<4x!quant.uniform<i8:f32:{0:2}, {{0.5}, {0.25}}>>
  func.return
}

// -----

func.func @sub_channel_axis(%x: tensor<4x1xi8>) {
  // C4 of quant.scast
  // expected-error @+1 {{quantized dimension 2 must be less than tensor rank 2}}
  %y = quant.scast %x : tensor<4x1xi8> to tensor<4x1x!quant.uniform<i8:f32:{2:2}, {{0.5}, {0.25}}>>
  func.return
}

// -----

func.func @sub_channel_division(%x: tensor<5x1xi8>) {
  // C4 of quant.scast
  // expected-error @+1 {{tensor dimension size 5 at axis 0 must be divisible by the corresponding block size 2}}
  %y = quant.scast %x : tensor<5x1xi8> to tensor<5x1x!quant.uniform<i8:f32:{0:2}, {{0.5}, {0.25}}>>
  func.return
}

// -----

func.func @sub_channel_size(%x: tensor<6x1xi8>) {
  // C4 of quant.scast
  // expected-error @+1 {{dimensions of scales [2, 1] should match the numbers of blocks [3, 1]}}
  %y = quant.scast %x : tensor<6x1xi8> to tensor<6x1x!quant.uniform<i8:f32:{0:2}, {{0.5}, {0.25}}>>
  func.return
}

// -----

func.func @sub_channel_whole_axis(%x: tensor<?x2xi8>) {
  // C4 of quant.scast
  // expected-error @+1 {{dimensions of scales [1, 2] should match the numbers of blocks [1, 1]}}
  %y = quant.scast %x : tensor<?x2xi8> to tensor<?x2x!quant.uniform<i8:f32:{0:2}, {{0.5, 0.25}}>>
  func.return
}

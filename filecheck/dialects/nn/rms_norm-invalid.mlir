// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @axis(%x: tensor<4x8xf32>, %s: tensor<8xf32>) -> tensor<4x8xf32> {
  // C1 of nn.rms_norm
  // expected-error @+1 {{axis must be 0 to 1, got 2}}
  %y = nn.rms_norm %x scale %s axis 2 epsilon 1.000000e-05 : f64 : (tensor<4x8xf32>, tensor<8xf32>) -> tensor<4x8xf32>
  func.return %y : tensor<4x8xf32>
}

// -----

func.func @shape(%x: tensor<4x8xf32>, %s: tensor<8xf32>) -> tensor<8x8xf32> {
  // C2 of nn.rms_norm
  // expected-error @+1 {{input and result must have one shape, and one float type or be quantized per tensor}}
  %y = nn.rms_norm %x scale %s axis 1 epsilon 1.000000e-05 : f64 : (tensor<4x8xf32>, tensor<8xf32>) -> tensor<8x8xf32>
  func.return %y : tensor<8x8xf32>
}

// -----

func.func @mixed(%x: tensor<4x8x!quant.uniform<i8:f32, 0.5>>, %s: tensor<8xf32>) -> tensor<4x8xf32> {
  // C2 of nn.rms_norm
  // expected-error @+1 {{input and result must have one shape, and one float type or be quantized per tensor}}
  %y = nn.rms_norm %x scale %s axis 1 epsilon 1.000000e-05 : f64 : (tensor<4x8x!quant.uniform<i8:f32, 0.5>>, tensor<8xf32>) -> tensor<4x8xf32>
  func.return %y : tensor<4x8xf32>
}

// -----

func.func @narrow_scale(%x: tensor<4x8x!quant.uniform<i8:f32, 0.5>>, %s: tensor<8x!quant.uniform<i8:f32, 0.25>>) -> tensor<4x8x!quant.uniform<i8:f32, 0.5>> {
  // C3 of nn.rms_norm
  // expected-error @+1 {{parameters must be 8 symmetric integers of 16 bits}}
  %y = nn.rms_norm %x scale %s axis 1 epsilon 1.000000e-05 : f64 : (tensor<4x8x!quant.uniform<i8:f32, 0.5>>, tensor<8x!quant.uniform<i8:f32, 0.25>>) -> tensor<4x8x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<4x8x!quant.uniform<i8:f32, 0.5>>
}

// -----

func.func @parameters(%x: tensor<4x8xf32>, %s: tensor<4xf32>) -> tensor<4x8xf32> {
  // C3 of nn.rms_norm
  // expected-error @+1 {{parameters must be tensor<8xf32>, got tensor<4xf32>}}
  %y = nn.rms_norm %x scale %s axis 1 epsilon 1.000000e-05 : f64 : (tensor<4x8xf32>, tensor<4xf32>) -> tensor<4x8xf32>
  func.return %y : tensor<4x8xf32>
}

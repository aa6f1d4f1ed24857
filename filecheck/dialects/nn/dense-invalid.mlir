// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @weight_rank(%x: tensor<1x8xf32>, %w: tensor<4x8x1xf32>) -> tensor<1x4xf32> {
  // C1 of nn.dense
  // expected-error @+1 {{input [1, 8] and weight [4, 8, 1] do not give a result of shape [1, 4]}}
  %y = nn.dense %x, %w : (tensor<1x8xf32>, tensor<4x8x1xf32>) -> tensor<1x4xf32>
  func.return %y : tensor<1x4xf32>
}

// -----

func.func @inner_dimension(%x: tensor<1x8xf32>, %w: tensor<4x7xf32>) -> tensor<1x4xf32> {
  // C1 of nn.dense
  // expected-error @+1 {{input [1, 8] and weight [4, 7] do not give a result of shape [1, 4]}}
  %y = nn.dense %x, %w : (tensor<1x8xf32>, tensor<4x7xf32>) -> tensor<1x4xf32>
  func.return %y : tensor<1x4xf32>
}

// -----

func.func @result_shape(%x: tensor<1x8xf32>, %w: tensor<4x8xf32>) -> tensor<2x4xf32> {
  // C1 of nn.dense
  // expected-error @+1 {{input [1, 8] and weight [4, 8] do not give a result of shape [2, 4]}}
  %y = nn.dense %x, %w : (tensor<1x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}

// -----

func.func @scalar(%x: tensor<f32>, %w: tensor<4x8xf32>) -> tensor<4xf32> {
  // C1 of nn.dense
  // expected-error @+1 {{input [] and weight [4, 8] do not give a result of shape [4]}}
  %y = nn.dense %x, %w : (tensor<f32>, tensor<4x8xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// -----

func.func @bias(%x: tensor<1x8xf32>, %w: tensor<4x8xf32>, %b: tensor<1xf32>) -> tensor<1x4xf32> {
  // C2 of nn.dense
  // expected-error @+1 {{bias must have shape [4], got [1]}}
  %y = nn.dense %x, %w bias %b : (tensor<1x8xf32>, tensor<4x8xf32>, tensor<1xf32>) -> tensor<1x4xf32>
  func.return %y : tensor<1x4xf32>
}

// -----

func.func @mixed_floats(%x: tensor<1x8xf32>, %w: tensor<4x8xf32>) -> tensor<1x4xf16> {
  // C3 of nn.dense
  // expected-error @+1 {{float operands and result must have one element type}}
  %y = nn.dense %x, %w : (tensor<1x8xf32>, tensor<4x8xf32>) -> tensor<1x4xf16>
  func.return %y : tensor<1x4xf16>
}

// -----

func.func @float_result(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5>>, %w: tensor<4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4xf32> {
  // C3 of nn.dense
  // expected-error @+1 {{expected one float type throughout, or per-tensor quantized input and result and symmetric quantized weights}}
  %y = nn.dense %x, %w : (tensor<1x8x!quant.uniform<i8:f32, 0.5>>, tensor<4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4xf32>
  func.return %y : tensor<1x4xf32>
}

// -----

func.func @bias_of_16_bit_input(%x: tensor<1x8x!quant.uniform<i16:f32, 0.5>>, %w: tensor<4x8x!quant.uniform<i8:f32, 0.5>>, %b: tensor<4x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x4x!quant.uniform<i16:f32, 0.5>> {
  // C3 of nn.dense
  // expected-error @+1 {{the bias of a quantized layer must be a symmetric i48 quantized type, got !quant.uniform<i32:f32, 0.25>}}
  %y = nn.dense %x, %w bias %b : (tensor<1x8x!quant.uniform<i16:f32, 0.5>>, tensor<4x8x!quant.uniform<i8:f32, 0.5>>, tensor<4x!quant.uniform<i32:f32, 0.25>>) -> tensor<1x4x!quant.uniform<i16:f32, 0.5>>
  func.return %y : tensor<1x4x!quant.uniform<i16:f32, 0.5>>
}

// -----

func.func @zero_point_of_16_bit_input(%x: tensor<1x8x!quant.uniform<i16:f32, 0.5:3>>, %w: tensor<4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x!quant.uniform<i16:f32, 0.5>> {
  // C3 of nn.dense
  // expected-error @+1 {{an input of more than 8 bits must have the zero point 0}}
  %y = nn.dense %x, %w : (tensor<1x8x!quant.uniform<i16:f32, 0.5:3>>, tensor<4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x!quant.uniform<i16:f32, 0.5>>
  func.return %y : tensor<1x4x!quant.uniform<i16:f32, 0.5>>
}

// -----

func.func @accumulator_scale(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5>>, %w: tensor<4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x!quant.uniform<i32:f32, 0.5>> {
  // C3 of nn.dense
  // expected-error @+1 {{the result's scale must be input scale times weight scale}}
  %y = nn.dense %x, %w : (tensor<1x8x!quant.uniform<i8:f32, 0.5>>, tensor<4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x!quant.uniform<i32:f32, 0.5>>
  func.return %y : tensor<1x4x!quant.uniform<i32:f32, 0.5>>
}

// -----

func.func @accumulator_width(%x: tensor<1x8x!quant.uniform<i16:f32, 0.5>>, %w: tensor<4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x!quant.uniform<i32:f32, 0.25>> {
  // C3 of nn.dense
  // expected-error @+1 {{the result of accumulators must be a symmetric i48 quantized type}}
  %y = nn.dense %x, %w : (tensor<1x8x!quant.uniform<i16:f32, 0.5>>, tensor<4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x!quant.uniform<i32:f32, 0.25>>
  func.return %y : tensor<1x4x!quant.uniform<i32:f32, 0.25>>
}

// -----

func.func @dynamic_result(%x: tensor<1x8xf32>, %w: tensor<4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x!quant.uniform<i8:f32, 0.5>> {
  // C3 of nn.dense
  // expected-error @+1 {{a layer that quantizes its input has f32 operands and result, and a symmetric weight of at most 8 bits}}
  %y = nn.dense %x, %w : (tensor<1x8xf32>, tensor<4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<1x4x!quant.uniform<i8:f32, 0.5>>
}

// -----

func.func @dynamic_weight(%x: tensor<1x8xf32>, %w: tensor<4x8x!quant.uniform<i16:f32, 0.5>>) -> tensor<1x4xf32> {
  // C3 of nn.dense
  // expected-error @+1 {{a layer that quantizes its input has f32 operands and result, and a symmetric weight of at most 8 bits}}
  %y = nn.dense %x, %w : (tensor<1x8xf32>, tensor<4x8x!quant.uniform<i16:f32, 0.5>>) -> tensor<1x4xf32>
  func.return %y : tensor<1x4xf32>
}

// -----

func.func @dynamic_weight_zero_point(%x: tensor<1x8xf32>, %w: tensor<4x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x4xf32> {
  // C3 of nn.dense
  // expected-error @+1 {{a layer that quantizes its input has f32 operands and result, and a symmetric weight of at most 8 bits}}
  %y = nn.dense %x, %w : (tensor<1x8xf32>, tensor<4x8x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x4xf32>
  func.return %y : tensor<1x4xf32>
}

// -----

func.func @dynamic_half(%x: tensor<1x8xf16>, %w: tensor<4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4xf16> {
  // C3 of nn.dense
  // expected-error @+1 {{a layer that quantizes its input has f32 operands and result, and a symmetric weight of at most 8 bits}}
  %y = nn.dense %x, %w : (tensor<1x8xf16>, tensor<4x8x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4xf16>
  func.return %y : tensor<1x4xf16>
}

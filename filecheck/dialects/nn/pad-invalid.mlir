// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @length(%x: tensor<2x2xf32>) -> tensor<4x2xf32> {
  // C1 of nn.pad
  // expected-error @+1 {{low and high must hold 2 non-negative integers, got [1] and [1]}}
  %y = nn.pad %x low [1] high [1] value 0.0 : f64 : (tensor<2x2xf32>) -> tensor<4x2xf32>
  func.return %y : tensor<4x2xf32>
}

// -----

func.func @negative_amount(%x: tensor<2xf32>) -> tensor<1xf32> {
  // C1 of nn.pad
  // expected-error @+1 {{low and high must hold 1 non-negative integers, got [0] and [-1]}}
  %y = nn.pad %x low [0] high [-1] value 0.0 : f64 : (tensor<2xf32>) -> tensor<1xf32>
  func.return %y : tensor<1xf32>
}

// -----

func.func @result_shape(%x: tensor<2xf32>) -> tensor<3xf32> {
  // C2 of nn.pad
  // expected-error @+1 {{result must have shape [4], got [3]}}
  %y = nn.pad %x low [1] high [1] value 0.0 : f64 : (tensor<2xf32>) -> tensor<3xf32>
  func.return %y : tensor<3xf32>
}

// -----

func.func @element_type(%x: tensor<2xf32>) -> tensor<4xf16> {
  // C3 of nn.pad
  // expected-error @+1 {{moving elements cannot change their type}}
  %y = nn.pad %x low [1] high [1] value 0.0 : f64 : (tensor<2xf32>) -> tensor<4xf16>
  func.return %y : tensor<4xf16>
}

// -----

func.func @per_axis(%x: tensor<2x2x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>) -> tensor<2x4x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>> {
  // C3 of nn.pad
  // expected-error @+1 {{elements that move must be quantized per tensor}}
  %y = nn.pad %x low [0, 1] high [0, 1] value 0.0 : f64 : (tensor<2x2x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>) -> tensor<2x4x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>
  func.return %y : tensor<2x4x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>
}

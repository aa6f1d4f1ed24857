// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @float_with_everything
// CHECK: %y = nn.dense %x, %w bias %b clamp <-1.5, inf> : (tensor<2x3x8xf32>, tensor<4x8xf32>, tensor<4xf32>) -> tensor<2x3x4xf32>
func.func @float_with_everything(%x: tensor<2x3x8xf32>, %w: tensor<4x8xf32>, %b: tensor<4xf32>) -> tensor<2x3x4xf32> {
  %y = nn.dense %x, %w bias %b clamp <-1.5, inf> : (tensor<2x3x8xf32>, tensor<4x8xf32>, tensor<4xf32>) -> tensor<2x3x4xf32>
  func.return %y : tensor<2x3x4xf32>
}

// CHECK-LABEL: func.func @float_without_bias
// CHECK: %y = nn.dense %x, %w : (tensor<8xf32>, tensor<4x8xf32>) -> tensor<4xf32>
func.func @float_without_bias(%x: tensor<8xf32>, %w: tensor<4x8xf32>) -> tensor<4xf32> {
  %y = nn.dense %x, %w : (tensor<8xf32>, tensor<4x8xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @quantized
// CHECK: %y = nn.dense %x, %w bias %b : (tensor<1x8x!quant.uniform<i8:f32, 0.5>>, tensor<2x8x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>, tensor<2x!quant.uniform<i32:f32:0, {0.25,0.125}>>) -> tensor<1x2x!quant.uniform<i8:f32, 0.05:3>>
func.func @quantized(%x: tensor<1x8x!quant.uniform<i8:f32, 0.5>>, %w: tensor<2x8x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>, %b: tensor<2x!quant.uniform<i32:f32:0, {0.25,0.125}>>) -> tensor<1x2x!quant.uniform<i8:f32, 0.05:3>> {
  %y = nn.dense %x, %w bias %b : (tensor<1x8x!quant.uniform<i8:f32, 0.5>>, tensor<2x8x!quant.uniform<i8<-127:127>:f32:0, {0.5,0.25}>>, tensor<2x!quant.uniform<i32:f32:0, {0.25,0.125}>>) -> tensor<1x2x!quant.uniform<i8:f32, 0.05:3>>
  func.return %y : tensor<1x2x!quant.uniform<i8:f32, 0.05:3>>
}

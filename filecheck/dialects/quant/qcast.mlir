// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @per_tensor
// CHECK: %q = quant.qcast %x : tensor<2x3xf32> to tensor<2x3x!quant.uniform<i8:f32, 0.5:3>>
func.func @per_tensor(%x: tensor<2x3xf32>) -> tensor<2x3x!quant.uniform<i8:f32, 0.5:3>> {
  %q = quant.qcast %x : tensor<2x3xf32> to tensor<2x3x!quant.uniform<i8:f32, 0.5:3>>
  func.return %q : tensor<2x3x!quant.uniform<i8:f32, 0.5:3>>
}

// CHECK-LABEL: func.func @scalar
// CHECK: %q = quant.qcast %x : f16 to !quant.uniform<u8:f16, 0.5>
func.func @scalar(%x: f16) -> !quant.uniform<u8:f16, 0.5> {
  %q = quant.qcast %x : f16 to !quant.uniform<u8:f16, 0.5>
  func.return %q : !quant.uniform<u8:f16, 0.5>
}

// CHECK-LABEL: func.func @per_axis_dynamic
// CHECK: %q = quant.qcast %x : tensor<?x3xf32> to tensor<?x3x!quant.uniform<i8:f32:0, {0.5,0.25}>>
func.func @per_axis_dynamic(%x: tensor<?x3xf32>) -> tensor<?x3x!quant.uniform<i8:f32:0, {0.5,0.25}>> {
  %q = quant.qcast %x : tensor<?x3xf32> to tensor<?x3x!quant.uniform<i8:f32:0, {0.5,0.25}>>
  func.return %q : tensor<?x3x!quant.uniform<i8:f32:0, {0.5,0.25}>>
}

// CHECK-LABEL: func.func @per_axis_unranked
// CHECK: %q = quant.qcast %x : tensor<*xf32> to tensor<*x!quant.uniform<i8:f32:0, {0.5}>>
func.func @per_axis_unranked(%x: tensor<*xf32>) -> tensor<*x!quant.uniform<i8:f32:0, {0.5}>> {
  %q = quant.qcast %x : tensor<*xf32> to tensor<*x!quant.uniform<i8:f32:0, {0.5}>>
  func.return %q : tensor<*x!quant.uniform<i8:f32:0, {0.5}>>
}

// CHECK-LABEL: func.func @sub_channel
// CHECK: %q = quant.qcast %x : tensor<4x2xf32> to tensor<4x2x!quant.uniform<i8:f32:{0:2}, {{[{][{]}}1.0}, {2.0}}>>
func.func @sub_channel(%x: tensor<4x2xf32>) -> tensor<4x2x!quant.uniform<i8:f32:{0:2}, {{1.0}, {2.0}}>> {
  %q = quant.qcast %x : tensor<4x2xf32> to tensor<4x2x!quant.uniform<i8:f32:{0:2}, {{1.0}, {2.0}}>>
  func.return %q : tensor<4x2x!quant.uniform<i8:f32:{0:2}, {{1.0}, {2.0}}>>
}

// CHECK-LABEL: func.func @calibrated
// CHECK: %q = quant.qcast %x : tensor<2xf32> to tensor<2x!quant.calibrated<f32<0.0:1.0>>>
func.func @calibrated(%x: tensor<2xf32>) -> tensor<2x!quant.calibrated<f32<0.0:1.0>>> {
  %q = quant.qcast %x : tensor<2xf32> to tensor<2x!quant.calibrated<f32<0.0:1.0>>>
  func.return %q : tensor<2x!quant.calibrated<f32<0.0:1.0>>>
}

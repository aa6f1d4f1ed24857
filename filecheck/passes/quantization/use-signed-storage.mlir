// RUN: intaglio-opt %s -p use-signed-storage | filecheck %s

// 131 - 128 = 3; who asks for the stored values gets them from floats.

// CHECK-LABEL: func.func @unsigned
// CHECK-NEXT: %[[Q:.*]] = quant.qcast %x : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, 0.5:3>> loc("input")
// CHECK-NEXT: %[[F:.*]] = quant.dcast %[[Q]]
// CHECK-NEXT: %[[U:.*]] = quant.qcast %[[F]] : tensor<4xf32> to tensor<4x!quant.uniform<u8:f32, 0.5:131>>
// CHECK-NEXT: %[[D:.*]] = quant.dcast %[[Q]] : tensor<4x!quant.uniform<i8:f32, 0.5:3>> to tensor<4xf32>
// CHECK-NEXT: %[[S:.*]] = quant.scast %[[U]]
// CHECK-NEXT: func.return %[[D]], %[[S]]
func.func @unsigned(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xui8>) {
  %q = quant.qcast %x : tensor<4xf32> to tensor<4x!quant.uniform<u8:f32, 0.5:131>> loc("input")
  %d = quant.dcast %q : tensor<4x!quant.uniform<u8:f32, 0.5:131>> to tensor<4xf32>
  %s = quant.scast %q : tensor<4x!quant.uniform<u8:f32, 0.5:131>> to tensor<4xui8>
  func.return %d, %s : tensor<4xf32>, tensor<4xui8>
}

// CHECK-LABEL: func.func @stored_argument
// CHECK-NEXT: %[[U:.*]] = quant.scast %u : tensor<4xui8> to tensor<4x!quant.uniform<u8:f32, 0.5:131>>
// CHECK-NEXT: %[[F:.*]] = quant.dcast %[[U]]
// CHECK-NEXT: %[[Q:.*]] = quant.qcast %[[F]] : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, 0.5:3>>
// CHECK-NEXT: %[[D:.*]] = quant.dcast %[[Q]]
// CHECK-NEXT: func.return %[[D]]
func.func @stored_argument(%u: tensor<4xui8>) -> tensor<4xf32> {
  %q = quant.scast %u : tensor<4xui8> to tensor<4x!quant.uniform<u8:f32, 0.5:131>>
  %d = quant.dcast %q : tensor<4x!quant.uniform<u8:f32, 0.5:131>> to tensor<4xf32>
  func.return %d : tensor<4xf32>
}

// CHECK-LABEL: func.func @constants
// CHECK-NEXT: nn.constant dense<[-125, 127]> : tensor<2xi8> as tensor<2x!quant.uniform<i8:f32:0, {0.5,0.25:-3}>> loc("w")
// CHECK: nn.constant dense<[-8, 7]> : tensor<2xi8> as tensor<2x!quant.uniform<i8<-8:7>:f32, 0.5>>
func.func @constants() -> (tensor<2xf32>, tensor<2xf32>) {
  %a = nn.constant dense<[3, 255]> : tensor<2xui8> as tensor<2x!quant.uniform<u8:f32:0, {0.5:128,0.25:125}>> loc("w")
  %x = quant.dcast %a : tensor<2x!quant.uniform<u8:f32:0, {0.5:128,0.25:125}>> to tensor<2xf32>
  %b = nn.constant dense<[-8, 7]> : tensor<2xi4> as tensor<2x!quant.uniform<i4:f32, 0.5>>
  %y = quant.dcast %b : tensor<2x!quant.uniform<i4:f32, 0.5>> to tensor<2xf32>
  func.return %x, %y : tensor<2xf32>, tensor<2xf32>
}

// CHECK-LABEL: func.func @negative_signed_or_wide
// CHECK-NEXT: quant.qcast %x : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, 0.5:3>>
// CHECK-NEXT: quant.qcast %x : tensor<4xf32> to tensor<4x!quant.uniform<u16:f32, 0.5:3>>
// CHECK-NEXT: func.return
func.func @negative_signed_or_wide(%x: tensor<4xf32>) -> (tensor<4x!quant.uniform<i8:f32, 0.5:3>>, tensor<4x!quant.uniform<u16:f32, 0.5:3>>) {
  %a = quant.qcast %x : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, 0.5:3>>
  %b = quant.qcast %x : tensor<4xf32> to tensor<4x!quant.uniform<u16:f32, 0.5:3>>
  func.return %a, %b : tensor<4x!quant.uniform<i8:f32, 0.5:3>>, tensor<4x!quant.uniform<u16:f32, 0.5:3>>
}

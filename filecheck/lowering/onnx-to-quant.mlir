// RUN: intaglio-opt %s -p onnx-to-quant | filecheck %s

// Models with parameters of quantization that are known become casts, in either form.
module attributes {onnx.opset_import = {"" = 17 : i64, "com.microsoft" = 1 : i64}} {
  // CHECK-LABEL: func.func @casts
  // CHECK: %[[Q:.*]] = quant.qcast %x : tensor<1x2xf32> to tensor<1x2x!quant.uniform<u8:f32, 0.5:3>>
  // CHECK-NEXT: %[[Y:.*]] = quant.dcast %[[Q]] : tensor<1x2x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x2xf32>
  // CHECK-NEXT: func.return %[[Y]]
  func.func @casts(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
    %s = onnx.initializer "s" = dense<0.5> : tensor<f32>
    %z = onnx.initializer "z" = dense<3> : tensor<ui8>
    %q = onnx.QuantizeLinear(%x, %s, %z) as "q" : (tensor<1x2xf32>, tensor<f32>, tensor<ui8>) -> tensor<1x2xui8>
    %y = onnx.DequantizeLinear(%q, %s, %z) as "y" : (tensor<1x2xui8>, tensor<f32>, tensor<ui8>) -> tensor<1x2xf32>
    func.return %y : tensor<1x2xf32>
  }

  // CHECK-LABEL: func.func @weights
  // CHECK: %[[W:.*]] = nn.constant dense<{{.*}}> : tensor<2x1xi8> as tensor<2x1x!quant.uniform<i8:f32:0, {0.5,0.25}>> loc("w")
  // CHECK-NEXT: quant.dcast %[[W]]
  // CHECK: %[[B:.*]] = nn.constant dense<{{.*}}> : tensor<2x4xi8> as tensor<2x4x!quant.uniform<i8:f32:{0:1, 1:2}, {{[{][{]}}0.5, 0.25}, {1.0, 2.0}}>> loc("b")
  // CHECK-NEXT: quant.dcast %[[B]]
  func.func @weights() -> (tensor<2x1xf32>, tensor<2x4xf32>) {
    %w = onnx.initializer "w" = dense<[[1], [-2]]> : tensor<2x1xi8>
    %s = onnx.initializer "s" = dense<[0.5, 0.25]> : tensor<2xf32>
    %d = onnx.DequantizeLinear(%w, %s) as "d" {axis = -2} : (tensor<2x1xi8>, tensor<2xf32>) -> tensor<2x1xf32>
    %b = onnx.initializer "b" = dense<[[1, 2, 3, 4], [5, 6, 7, 8]]> : tensor<2x4xi8>
    %t = onnx.initializer "t" = dense<[[0.5, 0.25], [1.0, 2.0]]> : tensor<2x2xf32>
    %e = onnx.DequantizeLinear(%b, %t) as "e" {axis = 1} : (tensor<2x4xi8>, tensor<2x2xf32>) -> tensor<2x4xf32>
    func.return %d, %e : tensor<2x1xf32>, tensor<2x4xf32>
  }

  // CHECK-LABEL: func.func @operator
  // CHECK: %[[S:.*]] = quant.scast %a : tensor<1x2xui8> to tensor<1x2x!quant.uniform<u8:f32, 0.5:3>>
  // CHECK-NEXT: %[[A:.*]] = quant.dcast %[[S]]
  // CHECK-NEXT: %[[T:.*]] = nn.constant dense<{{.*}}> : tensor<2x1xi8> as tensor<2x1x!quant.uniform<i8:f32, 0.125>>
  // CHECK-NEXT: %[[B:.*]] = quant.dcast %[[T]]
  // CHECK-NEXT: %[[U:.*]] = nn.constant dense<7> : tensor<1xi32> as tensor<1x!quant.uniform<i32:f32, 0.0625>>
  // CHECK-NEXT: %[[C:.*]] = quant.dcast %[[U]]
  // CHECK-NEXT: %[[F:.*]] = onnx.Gemm(%[[A]], %[[B]], %[[C]]) : (tensor<1x2xf32>, tensor<2x1xf32>, tensor<1xf32>) -> tensor<1x1xf32> loc("gemm")
  // CHECK-NEXT: %[[Q:.*]] = quant.qcast %[[F]] : tensor<1x1xf32> to tensor<1x1x!quant.uniform<u8:f32, 0.5:3>>
  // CHECK-NEXT: %[[Y:.*]] = quant.scast %[[Q]]
  // CHECK-NEXT: func.return %[[Y]]
  func.func @operator(%a: tensor<1x2xui8>) -> tensor<1x1xui8> {
    %sa = onnx.initializer "sa" = dense<0.5> : tensor<f32>
    %za = onnx.initializer "za" = dense<3> : tensor<ui8>
    %b = onnx.initializer "b" = dense<[[1], [-2]]> : tensor<2x1xi8>
    %sb = onnx.initializer "sb" = dense<0.125> : tensor<f32>
    %zb = onnx.initializer "zb" = dense<0> : tensor<i8>
    %c = onnx.initializer "c" = dense<[7]> : tensor<1xi32>
    %y = onnx.microsoft.QGemm(%a, %sa, %za, %b, %sb, %zb, %c, %sa, %za) as "y" : (tensor<1x2xui8>, tensor<f32>, tensor<ui8>, tensor<2x1xi8>, tensor<f32>, tensor<i8>, tensor<1xi32>, tensor<f32>, tensor<ui8>) -> tensor<1x1xui8> loc("gemm")
    func.return %y : tensor<1x1xui8>
  }

  // CHECK-LABEL: func.func @movement
  // CHECK: %[[Q:.*]] = quant.qcast %x
  // CHECK-NEXT: %[[D:.*]] = quant.dcast %[[Q]] : {{.*}} to tensor<1x2xf32>
  // CHECK-NEXT: %[[R:.*]] = onnx.Squeeze(%[[D]]) as "r" : (tensor<1x2xf32>) -> tensor<2xf32>
  // CHECK-NEXT: %[[P:.*]] = quant.qcast %[[R]] : tensor<2xf32> to tensor<2x!quant.uniform<u8:f32, 0.5:3>>
  // CHECK-NEXT: quant.dcast %[[P]]
  func.func @movement(%x: tensor<1x2xf32>) -> tensor<2xf32> {
    %s = onnx.initializer "s" = dense<0.5> : tensor<f32>
    %z = onnx.initializer "z" = dense<3> : tensor<ui8>
    %q = onnx.QuantizeLinear(%x, %s, %z) as "q" : (tensor<1x2xf32>, tensor<f32>, tensor<ui8>) -> tensor<1x2xui8>
    %r = onnx.Squeeze(%q) as "r" : (tensor<1x2xui8>) -> tensor<2xui8>
    %y = onnx.DequantizeLinear(%r, %s, %z) as "y" : (tensor<2xui8>, tensor<f32>, tensor<ui8>) -> tensor<2xf32>
    func.return %y : tensor<2xf32>
  }

  // CHECK-LABEL: func.func @integer_product
  // CHECK: %[[S:.*]] = quant.scast %a : tensor<1x2xui8> to tensor<1x2x!quant.uniform<u8:f32, 1.0:3>>
  // CHECK: onnx.MatMul({{.*}}) : (tensor<1x2xf32>, tensor<2x1xf32>) -> tensor<1x1xf32>
  // CHECK-NEXT: %[[Q:.*]] = quant.qcast %{{.*}} : tensor<1x1xf32> to tensor<1x1x!quant.uniform<i32:f32, 1.0>>
  // CHECK-NEXT: quant.scast %[[Q]] : tensor<1x1x!quant.uniform<i32:f32, 1.0>> to tensor<1x1xi32>
  func.func @integer_product(%a: tensor<1x2xui8>) -> tensor<1x1xi32> {
    %za = onnx.initializer "za" = dense<3> : tensor<ui8>
    %b = onnx.initializer "b" = dense<[[1], [-2]]> : tensor<2x1xi8>
    %y = onnx.MatMulInteger(%a, %b, %za) as "y" : (tensor<1x2xui8>, tensor<2x1xi8>, tensor<ui8>) -> tensor<1x1xi32>
    func.return %y : tensor<1x1xi32>
  }

  // CHECK-LABEL: func.func @negative_unknown_scale
  // CHECK-NEXT: onnx.QuantizeLinear(%x, %s)
  func.func @negative_unknown_scale(%x: tensor<2xf32>, %s: tensor<f32>) -> tensor<2xui8> {
    %q = onnx.QuantizeLinear(%x, %s) as "q" : (tensor<2xf32>, tensor<f32>) -> tensor<2xui8>
    func.return %q : tensor<2xui8>
  }

  // CHECK-LABEL: func.func @negative_scale_of_zero
  // CHECK: onnx.QuantizeLinear(%x, %{{.*}})
  func.func @negative_scale_of_zero(%x: tensor<2xf32>) -> tensor<2xui8> {
    %s = onnx.initializer "s" = dense<0.0> : tensor<f32>
    %q = onnx.QuantizeLinear(%x, %s) as "q" : (tensor<2xf32>, tensor<f32>) -> tensor<2xui8>
    func.return %q : tensor<2xui8>
  }

  // CHECK-LABEL: func.func @negative_channels_last
  // CHECK: onnx.microsoft.QLinearGlobalAveragePool
  func.func @negative_channels_last(%a: tensor<1x2x2x1xui8>) -> tensor<1x1x1x1xui8> {
    %s = onnx.initializer "s" = dense<0.5> : tensor<f32>
    %z = onnx.initializer "z" = dense<3> : tensor<ui8>
    %y = onnx.microsoft.QLinearGlobalAveragePool(%a, %s, %z, %s, %z) as "y" {channels_last = 1} : (tensor<1x2x2x1xui8>, tensor<f32>, tensor<ui8>, tensor<f32>, tensor<ui8>) -> tensor<1x1x1x1xui8>
    func.return %y : tensor<1x1x1x1xui8>
  }
}

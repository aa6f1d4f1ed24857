// RUN: intaglio-opt %s -p 'fold-constants{max-elements=8}' | filecheck %s

// CHECK-LABEL: func.func @chain
// CHECK-NEXT: %y = nn.constant dense<[5.000000e-01, 0.000000e+00]> : tensor<2xf32> loc("relu")
// CHECK-NEXT: func.return %y
func.func @chain() -> tensor<2xf32> {
  %a = nn.constant dense<[1.0, -2.0]> : tensor<2xf32>
  %b = nn.constant dense<0.5> : tensor<f32>
  %c = nn.mul %a, %b : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32> loc("mul")
  %y = nn.relu %c : (tensor<2xf32>) -> tensor<2xf32> loc("relu")
  func.return %y : tensor<2xf32>
}

// CHECK-LABEL: func.func @quantized
// CHECK-NEXT: %y = nn.constant dense<{{\[\[1\], \[-2\]\]}}> : tensor<2x1xi8> as tensor<2x1x!quant.uniform<i8:f32, 0.5>>
// CHECK-NEXT: func.return %y
func.func @quantized() -> tensor<2x1x!quant.uniform<i8:f32, 0.5>> {
  %a = nn.constant dense<[1, -2]> : tensor<2xi8> as tensor<2x!quant.uniform<i8:f32, 0.5>>
  %y = nn.reshape %a : (tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x1x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<2x1x!quant.uniform<i8:f32, 0.5>>
}

// CHECK-LABEL: func.func @onnx_operator
// CHECK-NEXT: %y = nn.constant dense<[2, 3]> : tensor<2xi64>
// CHECK-NEXT: func.return %y
func.func @onnx_operator() -> tensor<2xi64> {
  %x = nn.constant dense<0.0> : tensor<2x3xf32>
  %y = onnx.Shape(%x) : (tensor<2x3xf32>) -> tensor<2xi64>
  func.return %y : tensor<2xi64>
}

// Larger than max-elements, but not larger than what it is made from.
// CHECK-LABEL: func.func @as_large_as_before
// CHECK-NEXT: nn.constant
// CHECK-NEXT: func.return
func.func @as_large_as_before() -> tensor<10xf32> {
  %a = nn.constant dense<1.0> : tensor<10xf32>
  %y = nn.relu %a : (tensor<10xf32>) -> tensor<10xf32>
  func.return %y : tensor<10xf32>
}

// CHECK-LABEL: func.func @negative_too_large
// CHECK: nn.add
func.func @negative_too_large() -> tensor<3x3xf32> {
  %a = nn.constant dense<1.0> : tensor<3x1xf32>
  %b = nn.constant dense<1.0> : tensor<1x3xf32>
  %y = nn.add %a, %b : (tensor<3x1xf32>, tensor<1x3xf32>) -> tensor<3x3xf32>
  func.return %y : tensor<3x3xf32>
}

// CHECK-LABEL: func.func @negative_unknown_operand
// CHECK: nn.add
func.func @negative_unknown_operand(%x: tensor<2xf32>) -> tensor<2xf32> {
  %a = nn.constant dense<[1.0, -2.0]> : tensor<2xf32>
  %y = nn.add %a, %x : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// CHECK-LABEL: func.func @negative_cast
// CHECK: quant.qcast
func.func @negative_cast() -> tensor<2x!quant.uniform<i8:f32, 0.5>> {
  %a = nn.constant dense<[1.0, -2.0]> : tensor<2xf32>
  %y = quant.qcast %a : tensor<2xf32> to tensor<2x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<2x!quant.uniform<i8:f32, 0.5>>
}

// CHECK-LABEL: func.func @negative_check
// CHECK: check.expect_eq
func.func @negative_check() {
  %a = nn.constant dense<[1.0, -2.0]> : tensor<2xf32>
  check.expect_eq %a, %a : tensor<2xf32>
  func.return
}

// CHECK-LABEL: func.func @negative_random
// CHECK: onnx.RandomNormalLike
func.func @negative_random() -> tensor<2xf32> {
  %a = nn.constant dense<[1.0, -2.0]> : tensor<2xf32>
  %y = onnx.RandomNormalLike(%a) : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

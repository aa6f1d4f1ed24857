// RUN: intaglio-opt %s -p quantize --split-input-file | filecheck %s

// Scales and zero points by hand: (1.55 + 1.0) / 255 = 0.01 and -128 + 100 for the input, 1.27 / 127 and
// 2.54 / 127 for the weight, 0.01 * 0.01 and 0.01 * 0.02 for the bias. The change of layout stays float.

// CHECK:       [[w:!.*]] = !quant.uniform<i8<-127:127>:f32:0, {0.0099{{.*}},0.0199{{.*}}}>
// CHECK-NEXT:  [[b:!.*]] = !quant.uniform<i32:f32:0, {9.99{{.*}}e-05,0.00019{{.*}}}>
// CHECK-LABEL: func.func @linear
// CHECK-NEXT:  [[t:%.*]] = nn.transpose %x
// CHECK-NEXT:  [[x:%.*]] = quant.qcast [[t]] : tensor<1x8x8x2xf32> to tensor<1x8x8x2x!quant.uniform<i8:f32, 0.0099{{[0-9]*}}:-28>>
// CHECK-NEXT:  [[c:%.*]] = nn.constant dense<{{\[\[\[\[}}127, 0]]], [[[-127, 50]]]]> : tensor<2x1x1x2xi8> as tensor<2x1x1x2x[[w]]> loc("weight")
// CHECK-NEXT:  [[d:%.*]] = nn.constant dense<[5000, -1250]> : tensor<2xi32> as tensor<2x[[b]]>
// CHECK-NEXT:  [[y:%.*]] = nn.conv2d [[x]], [[c]] bias [[d]] strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 clamp <0.0, inf> : {{.*}} -> tensor<1x8x8x2x!quant.uniform<i8:f32, 0.0099{{[0-9]*}}:-128>> loc("conv")
// CHECK-NEXT:  [[z:%.*]] = nn.avg_pool2d [[y]] {{.*}} -> tensor<1x1x1x2x!quant.uniform<i8:f32, 0.0049{{[0-9]*}}:-128>>
// CHECK-NEXT:  [[r:%.*]] = nn.reshape [[z]] : {{.*}} -> tensor<1x2x!quant.uniform<i8:f32, 0.0049{{[0-9]*}}:-128>>
// CHECK-NEXT:  [[f:%.*]] = quant.dcast [[r]] : {{.*}} to tensor<1x2xf32>
// CHECK-NEXT:  [[s:%.*]] = nn.pow [[f]], [[f]] : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x2xf32>
// CHECK-NEXT:  func.return [[s]]
func.func @linear(%x: tensor<1x2x8x8xf32>) -> tensor<1x2xf32> {
  %t = nn.transpose %x permutation [0, 2, 3, 1] : (tensor<1x2x8x8xf32>) -> tensor<1x8x8x2xf32>
  %to = quant.observe %t {method = "min_max", range = array<f64: -1.0, 1.55>} : tensor<1x8x8x2xf32>
  %w = nn.constant dense<[[[[1.27, 0.0]]], [[[-2.54, 1.0]]]]> : tensor<2x1x1x2xf32> loc("weight")
  %b = nn.constant dense<[0.5, -0.25]> : tensor<2xf32>
  %y = nn.conv2d %to, %w bias %b strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1 clamp <0.0, inf> : (tensor<1x8x8x2xf32>, tensor<2x1x1x2xf32>, tensor<2xf32>) -> tensor<1x8x8x2xf32> loc("conv")
  %yo = quant.observe %y {method = "min_max", range = array<f64: 0.0, 2.55>} : tensor<1x8x8x2xf32>
  %z = nn.avg_pool2d %yo kernel [8, 8] strides [1, 1] pads [0, 0, 0, 0] count_include_pad false : (tensor<1x8x8x2xf32>) -> tensor<1x1x1x2xf32>
  %zo = quant.observe %z {method = "min_max", range = array<f64: 0.0, 1.275>} : tensor<1x1x1x2xf32>
  %r = nn.reshape %zo : (tensor<1x1x1x2xf32>) -> tensor<1x2xf32>
  %s = nn.pow %r, %r : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x2xf32>
  func.return %s : tensor<1x2xf32>
}

// -----

// One cast for all quantized uses of a value, and one back for all float uses.

// CHECK-LABEL: func.func @casts_once
// CHECK-NEXT:  [[x:%.*]] = quant.qcast %x : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, 0.5:-128>>
// CHECK-NEXT:  [[y:%.*]] = nn.mul [[x]], [[x]] : {{.*}} -> tensor<4x!quant.uniform<i8:f32, 2.0>>
// CHECK-NEXT:  [[f:%.*]] = quant.dcast [[y]]
// CHECK-NEXT:  [[z:%.*]] = nn.pow [[f]], %x
// CHECK-NEXT:  func.return [[f]], [[z]]
func.func @casts_once(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = quant.observe %x {method = "min_max", range = array<f64: 0.0, 127.5>} : tensor<4xf32>
  %1 = nn.mul %0, %0 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.observe %1 {method = "min_max", range = array<f64: -256.0, 254.0>} : tensor<4xf32>
  %3 = nn.pow %2, %0 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %2, %3 : tensor<4xf32>, tensor<4xf32>
}

// -----

// Inputs and result of a concat share the union of all their ranges: -1.0 to 1.55, the constant's 1.5 inside.

// CHECK-LABEL: func.func @concat
// CHECK-DAG:   quant.qcast %x : {{.*}} to tensor<1x!quant.uniform<i8:f32, [[scale:0.0099[0-9]*]]:-28>>
// CHECK-DAG:   quant.qcast %y : {{.*}} to tensor<1x!quant.uniform<i8:f32, 0.5{{[0-9]*}}:-128>>
// CHECK:       nn.constant dense<122> : tensor<1xi8> as tensor<1x!quant.uniform<i8:f32, [[scale]]:-28>>
// CHECK:       nn.relu {{.*}} -> tensor<1x!quant.uniform<i8:f32, [[scale]]:-28>>
// CHECK:       nn.concat {{.*}} -> tensor<3x!quant.uniform<i8:f32, [[scale]]:-28>>
func.func @concat(%x: tensor<1xf32>, %y: tensor<1xf32>) -> tensor<3xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -1.0, 0.5>} : tensor<1xf32>
  %1 = quant.observe %y {method = "min_max", range = array<f64: 1.0, 127.5>} : tensor<1xf32>
  %2 = nn.constant dense<1.5> : tensor<1xf32>
  %3 = nn.relu %1 : (tensor<1xf32>) -> tensor<1xf32>
  %4 = quant.observe %3 {method = "min_max", range = array<f64: 1.0, 1.55>} : tensor<1xf32>
  %5 = nn.concat %0, %2, %4 axis 0 : (tensor<1xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<3xf32>
  func.return %5 : tensor<3xf32>
}

// -----

// A constant operand has the parameters of its own values: 0 to 2.55.

// CHECK-LABEL: func.func @constant_operand
// CHECK:       nn.constant dense<[127, -28]> : tensor<2xi8> as tensor<2x!quant.uniform<i8:f32, 0.0099{{[0-9]*}}:-128>>
func.func @constant_operand(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -1.0, 1.0>} : tensor<1x2xf32>
  %1 = nn.constant dense<[2.55, 1.0]> : tensor<2xf32>
  %2 = nn.add %0, %1 : (tensor<1x2xf32>, tensor<2xf32>) -> tensor<1x2xf32>
  %3 = quant.observe %2 {method = "min_max", range = array<f64: 0.0, 3.5>} : tensor<1x2xf32>
  func.return %3 : tensor<1x2xf32>
}

// -----

// A range that is wider than the function's values is cut to them: 1 / 255.

// CHECK-LABEL: func.func @bounded_function
// CHECK:       nn.hard_sigmoid {{.*}} -> tensor<4x!quant.uniform<i8:f32, 0.00392{{[0-9]*}}:-128>>
func.func @bounded_function(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -1.0, 1.0>} : tensor<4xf32>
  %1 = nn.hard_sigmoid %0 alpha 0.2 : f64 beta 0.5 : f64 : (tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.observe %1 {method = "min_max", range = array<f64: -4.0, 4.0>} : tensor<4xf32>
  func.return %2 : tensor<4xf32>
}

// -----

// Without quantizable operations nothing changes but that observers go.

// CHECK-LABEL: func.func @negative_float_only
// CHECK-NEXT:  nn.pow %x
// CHECK-NEXT:  nn.reshape
// CHECK-NEXT:  func.return
func.func @negative_float_only(%x: tensor<1x4xf32>) -> tensor<2x2xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -1.0, 1.0>} : tensor<1x4xf32>
  %1 = nn.pow %0, %0 : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32>
  %2 = nn.reshape %1 : (tensor<1x4xf32>) -> tensor<2x2xf32>
  func.return %2 : tensor<2x2xf32>
}

// RUN: intaglio-opt %s -p quantize-dynamic --split-input-file | intaglio-opt --split-input-file | filecheck %s
// RUN: intaglio-opt %s -p 'quantize-dynamic{precision=a8w4 weight_per_tensor=true}' --split-input-file | filecheck %s --check-prefix=NARROW

// Weights become integers, 1.27 / 127 and 2.54 / 127; everything else stays float. Observers are of no use.

// CHECK-DAG:   [[t:!.*]] = !quant.uniform<i8<-127:127>:f32:0, {0.00999{{[0-9]*}},0.0{{199|200}}{{[0-9]*}}}>
// CHECK-LABEL: func.func @layers
// CHECK:       [[w:%.*]] = nn.constant dense<{{\[\[}}127, 0], [-127, 64]]> : tensor<2x2xi8> as tensor<2x2x[[t]]>
// CHECK:       [[y:%.*]] = nn.dense %x, [[w]] bias {{%.*}} clamp <0.0, inf> : (tensor<1x2xf32>, tensor<2x2x[[t]]>, tensor<2xf32>) -> tensor<1x2xf32>
// CHECK-NEXT:  nn.softmax [[y]]
// NARROW-LABEL: func.func @layers
// NARROW:       nn.constant dense<{{\[\[}}4, 0], [-7, 4]]> : tensor<2x2xi4> as tensor<2x2x!quant.uniform<i4<-7:7>:f32, 0.3628{{[0-9]*}}>>
func.func @layers(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -1.0, 1.0>} : tensor<1x2xf32>
  %w = nn.constant dense<[[1.27, 0.0], [-2.54, 1.28]]> : tensor<2x2xf32>
  %b = nn.constant dense<[0.5, -0.125]> : tensor<2xf32>
  %1 = nn.dense %0, %w bias %b clamp <0.0, inf> : (tensor<1x2xf32>, tensor<2x2xf32>, tensor<2xf32>) -> tensor<1x2xf32>
  %2 = nn.softmax %1 axis 1 : (tensor<1x2xf32>) -> tensor<1x2xf32>
  func.return %2 : tensor<1x2xf32>
}

// -----

// What is asked of a node counts.

// CHECK-LABEL: func.func @settings
// CHECK:       as tensor<2x2x!quant.uniform<i4<-7:7>:f32, {{[0-9.e-]*}}>>
// CHECK:       nn.dense
func.func @settings(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
  %w = nn.constant dense<[[1.27, 0.0], [-2.54, 1.28]]> : tensor<2x2xf32>
  %1 = nn.dense %x, %w {quant.precision = "a8w4", quant.per_channel = false} : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
  func.return %1 : tensor<1x2xf32>
}

// -----

// CHECK-LABEL: func.func @negative_float_was_asked_for
// CHECK:       nn.dense {{.*}} {quant.precision = "float"} : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
func.func @negative_float_was_asked_for(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
  %w = nn.constant dense<[[1.27, 0.0], [-2.54, 1.28]]> : tensor<2x2xf32>
  %1 = nn.dense %x, %w {quant.precision = "float"} : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
  func.return %1 : tensor<1x2xf32>
}

// -----

// CHECK-LABEL: func.func @negative_weights_that_are_computed
// CHECK:       nn.dense %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
func.func @negative_weights_that_are_computed(%x: tensor<1x2xf32>, %w: tensor<2x2xf32>) -> tensor<1x2xf32> {
  %1 = nn.dense %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
  func.return %1 : tensor<1x2xf32>
}

// -----

// CHECK-LABEL: func.func @negative_other_floats
// CHECK:       nn.dense {{.*}} : (tensor<1x2xf16>, tensor<2x2xf16>) -> tensor<1x2xf16>
func.func @negative_other_floats(%x: tensor<1x2xf16>) -> tensor<1x2xf16> {
  %w = nn.constant dense<1.0> : tensor<2x2xf16>
  %1 = nn.dense %x, %w : (tensor<1x2xf16>, tensor<2x2xf16>) -> tensor<1x2xf16>
  func.return %1 : tensor<1x2xf16>
}

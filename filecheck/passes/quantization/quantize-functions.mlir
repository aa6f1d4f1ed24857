// RUN: intaglio-opt %s -p quantize --split-input-file | filecheck %s

// The scale is 2.0 / 32767 a step, rounded up. A normalized element of a row of 4 has 15 - 1 bits after the point, so
// that the offset's step is that over 2^14, and 0.05 is 0.05 / (2 / 32767 / 2^14) of them.

// CHECK-LABEL: func.func @layer_norm
// CHECK:       [[x:%.*]] = quant.qcast %x
// CHECK:       [[s:%.*]] = nn.constant dense<[16383, -32767, 8192, 0]> : tensor<4xi16> as tensor<4x!quant.uniform<i16:f32, 6.1037{{[0-9]*}}e-05>> loc("scale")
// CHECK:       [[o:%.*]] = nn.constant dense<[1342136{{[0-9]*}}, 0, -{{[0-9]*}}, 0]> : tensor<4xi32> as tensor<4x!quant.uniform<i32:f32, 3.7254{{[0-9]*}}e-09>> loc("offset")
// CHECK:       nn.layer_norm [[x]] scale [[s]] offset [[o]] axis 1 epsilon 1.000000e-05 : f64 : {{.*}} -> tensor<2x4x!quant.uniform<i8:f32, 0.0156{{[0-9]*}}>>
func.func @layer_norm(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -1.0, 1.0>} : tensor<2x4xf32>
  %s = nn.constant dense<[1.0, -2.0, 0.5, 0.0]> : tensor<4xf32> loc("scale")
  %o = nn.constant dense<[0.05, 0.0, -0.01, 0.0]> : tensor<4xf32> loc("offset")
  %1 = nn.layer_norm %0 scale %s offset %o axis 1 epsilon 1.0e-05 : f64 : (tensor<2x4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %2 = quant.observe %1 {method = "min_max", range = array<f64: -2.0, 1.984375>} : tensor<2x4xf32>
  func.return %2 : tensor<2x4xf32>
}

// -----

// Probabilities are at most 1, whatever was calibrated.

// CHECK-LABEL: func.func @softmax
// CHECK:       nn.softmax {{.*}} -> tensor<4x!quant.uniform<i8:f32, 0.00392{{[0-9]*}}:-128>>
func.func @softmax(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -1.0, 1.0>} : tensor<4xf32>
  %1 = nn.softmax %0 axis 0 : (tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.observe %1 {method = "min_max", range = array<f64: -8.0, 8.0>} : tensor<4xf32>
  func.return %2 : tensor<4xf32>
}

// -----

// One over four is the largest stored factor.

// CHECK-LABEL: func.func @constant_divisor
// CHECK-NOT:   nn.div
// CHECK:       [[c:%.*]] = nn.constant dense<127> : tensor<i8> as tensor<!quant.uniform<i8:f32, 0.00098{{[0-9]*}}:-128>>
// CHECK:       nn.mul {{%.*}}, [[c]] clamp <0.0, inf>
func.func @constant_divisor(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -1.0, 1.0>} : tensor<4xf32>
  %c = nn.constant dense<4.0> : tensor<f32>
  %1 = nn.div %0, %c clamp <0.0, inf> : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %2 = quant.observe %1 {method = "min_max", range = array<f64: 0.0, 0.25>} : tensor<4xf32>
  func.return %2 : tensor<4xf32>
}

// -----

// What spans orders of magnitude has 16 bits, and a reciprocal is a quotient.

// CHECK-LABEL: func.func @reciprocal
// CHECK:       [[x:%.*]] = quant.qcast %x : tensor<4xf32> to tensor<4x!quant.uniform<i16:f32, {{.*}}>>
// CHECK:       [[one:%.*]] = nn.constant dense<32767> : tensor<1xi16>
// CHECK:       nn.div [[one]], [[x]] : {{.*}} -> tensor<4x!quant.uniform<i16:f32, {{.*}}>>
func.func @reciprocal(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: 0.5, 2.0>} : tensor<4xf32>
  %1 = nn.reciprocal %0 : (tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.observe %1 {method = "min_max", range = array<f64: 0.5, 2.0>} : tensor<4xf32>
  func.return %2 : tensor<4xf32>
}

// -----

// Truth values are quantized as they are converted.

// CHECK-LABEL: func.func @conversion
// CHECK-NEXT:  nn.cast %c : (tensor<4xi1>) -> tensor<4x!quant.uniform<i8:f32, 0.00392{{[0-9]*}}:-128>>
func.func @conversion(%c: tensor<4xi1>) -> tensor<4xf32> {
  %0 = nn.cast %c : (tensor<4xi1>) -> tensor<4xf32>
  %1 = quant.observe %0 {method = "min_max", range = array<f64: 0.0, 1.0>} : tensor<4xf32>
  func.return %1 : tensor<4xf32>
}

// -----

// Indices and conditions stay what they are; tables and choices share one range.

// CHECK-LABEL: func.func @lookup
// CHECK:       [[t:%.*]] = nn.constant dense<{{.*}}> : tensor<2x2xi8> as tensor<2x2x[[q:!quant.uniform<i8:f32, 0.0078[0-9]*>]]>
// CHECK:       [[g:%.*]] = nn.gather [[t]], %i axis 0 : (tensor<2x2x[[q]]>, tensor<3xi64>) -> tensor<3x2x[[q]]>
func.func @lookup(%i: tensor<3xi64>) -> tensor<3x2xf32> {
  %t = nn.constant dense<[[-1.0, 0.5], [0.9921875, 0.0]]> : tensor<2x2xf32>
  %0 = nn.gather %t, %i axis 0 : (tensor<2x2xf32>, tensor<3xi64>) -> tensor<3x2xf32>
  func.return %0 : tensor<3x2xf32>
}

// -----

// A divisor that may be anything stays one; parameters that are computed keep a normalization in floats.

// CHECK-LABEL: func.func @negative_computed
// CHECK:       nn.div {{.*}} -> tensor<4x!quant.uniform<i8:f32, {{.*}}>>
// CHECK:       nn.rms_norm {{.*}} : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
func.func @negative_computed(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: 0.5, 1.0>} : tensor<4xf32>
  %1 = nn.div %0, %0 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.observe %1 {method = "min_max", range = array<f64: 0.0, 1.0>} : tensor<4xf32>
  %3 = nn.rms_norm %2 scale %2 axis 0 epsilon 1.0e-05 : f64 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %3 : tensor<4xf32>
}

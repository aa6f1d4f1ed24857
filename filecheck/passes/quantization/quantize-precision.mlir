// RUN: intaglio-opt %s -p quantize --split-input-file | filecheck %s

// A result is stored as wide as its widest reader wants it; who wants less gets it by one requantize. 1.27 / 127 and
// 1.0 / 32767 by hand: no value of tanh is beyond 1.

// CHECK-LABEL: func.func @mixed
// CHECK-NEXT: [[x:%.*]] = quant.qcast %x : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, 0.0099{{[0-9]*}}:-1>>
// CHECK-NEXT: [[a:%.*]] = nn.tanh [[x]] {quant.precision = "a8w8"} : {{.*}} -> tensor<4x!quant.uniform<i16:f32, [[s16:3.05185[0-9e-]*]]>>
// CHECK-NEXT: [[r:%.*]] = quant.requantize [[a]] : tensor<4x!quant.uniform<i16:f32, [[s16]]>> to tensor<4x!quant.uniform<i8:f32, [[s8:0.0078[0-9]*]]:{{0|-1}}>>
// CHECK-NEXT: [[b:%.*]] = nn.sigmoid [[a]] {quant.precision = "a16w8"} : (tensor<4x!quant.uniform<i16:f32, [[s16]]>>) -> tensor<4x!quant.uniform<i16:f32,
// CHECK-NEXT: quant.dcast [[b]]
// CHECK-NEXT: [[c:%.*]] = nn.mul [[r]], [[r]] : {{.*}} -> tensor<4x!quant.uniform<i8:f32,
// CHECK-NEXT: quant.dcast [[c]]
// CHECK-NEXT: [[d:%.*]] = nn.sigmoid [[r]] {quant.precision = "a8w8"}
func.func @mixed(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -1.27, 1.28>} : tensor<4xf32>
  %1 = nn.tanh %0 {quant.precision = "a8w8"} : (tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.observe %1 {method = "min_max", range = array<f64: -1.0, 1.0>} : tensor<4xf32>
  %3 = nn.sigmoid %2 {quant.precision = "a16w8"} : (tensor<4xf32>) -> tensor<4xf32>
  %4 = quant.observe %3 {method = "min_max", range = array<f64: 0.0, 1.0>} : tensor<4xf32>
  %5 = nn.mul %2, %2 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %6 = quant.observe %5 {method = "min_max", range = array<f64: 0.0, 1.0>} : tensor<4xf32>
  %7 = nn.sigmoid %2 {quant.precision = "a8w8"} : (tensor<4xf32>) -> tensor<4xf32>
  %8 = quant.observe %7 {method = "min_max", range = array<f64: 0.0, 1.0>} : tensor<4xf32>
  func.return %4, %6, %8 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// -----

// Values with common parameters have one width, that of the widest reader of any of them. 16 bits hold twice the
// calibrated range: 2 * 327.67 / 32767.

// CHECK-LABEL: func.func @moved
// CHECK:      quant.qcast %x : tensor<4xf32> to tensor<4x!quant.uniform<i8
// CHECK:      [[y:%.*]] = nn.relu {{.*}} -> tensor<4x!quant.uniform<i16:f32, 0.0199{{[0-9]*}}>>
// CHECK-NEXT: [[z:%.*]] = nn.reshape [[y]] : {{.*}} -> tensor<2x2x!quant.uniform<i16:f32, 0.0199{{[0-9]*}}>>
// CHECK-NEXT: nn.tanh [[z]] {quant.precision = "a16w8"}
func.func @moved(%x: tensor<4xf32>) -> tensor<2x2xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: 0.0, 327.67>} : tensor<4xf32>
  %1 = nn.relu %0 : (tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.observe %1 {method = "min_max", range = array<f64: 0.0, 327.67>} : tensor<4xf32>
  %3 = nn.reshape %2 : (tensor<4xf32>) -> tensor<2x2xf32>
  %4 = nn.tanh %3 {quant.precision = "a16w8"} : (tensor<2x2xf32>) -> tensor<2x2xf32>
  %5 = quant.observe %4 {method = "min_max", range = array<f64: 0.0, 1.0>} : tensor<2x2xf32>
  func.return %5 : tensor<2x2xf32>
}

// -----

// 16 bits need not leave out what 8 bits do: they hold twice the extrema, 2 * 163.835 / 32767, and a clamp's bound if
// that is at most four times as far, 327.67 / 32767. One further away is no help: 2 * 32.767 / 32767.

// CHECK-LABEL: func.func @extrema
// CHECK:      nn.relu {{.*}} -> tensor<4x!quant.uniform<i16:f32, 0.0099999{{[0-9]*}}>>
// CHECK:      nn.clip {{.*}} -> tensor<4x!quant.uniform<i16:f32, 0.0099999{{[0-9]*}}>>
// CHECK:      nn.clip {{.*}} -> tensor<4x!quant.uniform<i16:f32, 0.00{{199999|200000}}{{[0-9]*}}>>
// CHECK-LABEL: func.func @negative_extrema_in_8_bits
// CHECK:      nn.relu {{.*}} -> tensor<4x!quant.uniform<i8:f32, 0.00999999{{[0-9]*}}:-128>>
func.func @extrema(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %0 = quant.observe %x {method = "min_max", range = array<f64: 0.0, 100.0>} : tensor<4xf32>
  %1 = nn.relu %0 {quant.precision = "a16w8"} : (tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.observe %1 {method = "mse", range = array<f64: 0.0, 2.55>, extrema = array<f64: 0.0, 163.835>} : tensor<4xf32>
  %3 = nn.clip %0 to <0.0, 327.67> {quant.precision = "a16w8"} : (tensor<4xf32>) -> tensor<4xf32>
  %4 = quant.observe %3 {method = "mse", range = array<f64: 0.0, 2.55>, extrema = array<f64: 0.0, 100.0>} : tensor<4xf32>
  %5 = nn.clip %0 to <0.0, 327.67> {quant.precision = "a16w8"} : (tensor<4xf32>) -> tensor<4xf32>
  %6 = quant.observe %5 {method = "mse", range = array<f64: 0.0, 2.55>, extrema = array<f64: 0.0, 32.767>} : tensor<4xf32>
  func.return %2, %4, %6 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
func.func @negative_extrema_in_8_bits(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: 0.0, 100.0>} : tensor<4xf32>
  %1 = nn.relu %0 : (tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.observe %1 {method = "mse", range = array<f64: 0.0, 2.55>, extrema = array<f64: 0.0, 163.835>} : tensor<4xf32>
  func.return %2 : tensor<4xf32>
}

// -----

// 4-bit weights: 0.7 / 7. A 16-bit input has a bias of 48 bits: 0.5 / (0.02 * 0.1). The accumulator may be the result.

// CHECK-DAG:   [[w:!.*]] = !quant.uniform<i4<-7:7>:f32:0, {0.1000000{{[0-9]*}},0.2000000{{[0-9]*}}}>
// CHECK-LABEL: func.func @layers
// CHECK:       nn.constant dense<{{\[\[}}7, 0], [-7, 5]]> : tensor<2x2xi4>
// CHECK:       nn.constant dense<[250, -63]> : tensor<2xi48>
// CHECK:       nn.dense {{.*}} {quant.precision = "a16w4"} : {{.*}} -> tensor<1x2x!quant.uniform<i16:f32
// CHECK-NEXT:  quant.dcast
// CHECK-NEXT:  [[acc:%.*]] = nn.dense {{.*}} {quant.output_int32, quant.per_channel = false} : {{.*}} -> tensor<1x2x!quant.uniform<i32:f32, {{[0-9.e-]*}}>>
// CHECK-NEXT:  quant.dcast [[acc]]
func.func @layers(%x: tensor<1x2xf32>) -> (tensor<1x2xf32>, tensor<1x2xf32>) {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -327.67, 327.67>} : tensor<1x2xf32>
  %w = nn.constant dense<[[0.7, 0.0], [-1.4, 1.0]]> : tensor<2x2xf32>
  %b = nn.constant dense<[0.5, -0.252]> : tensor<2xf32>
  %1 = nn.dense %0, %w bias %b {quant.precision = "a16w4"} : (tensor<1x2xf32>, tensor<2x2xf32>, tensor<2xf32>) -> tensor<1x2xf32>
  %2 = quant.observe %1 {method = "min_max", range = array<f64: -1.0, 1.0>} : tensor<1x2xf32>
  %3 = nn.dense %0, %w bias %b {quant.output_int32, quant.per_channel = false} : (tensor<1x2xf32>, tensor<2x2xf32>, tensor<2xf32>) -> tensor<1x2xf32>
  %4 = quant.observe %3 {method = "min_max", range = array<f64: -1.0, 1.0>} : tensor<1x2xf32>
  func.return %2, %4 : tensor<1x2xf32>, tensor<1x2xf32>
}

// -----

// bfloat16 next to integers: casts through f32. What moves elements goes with its input.

// CHECK-LABEL: func.func @bfloat16
// CHECK-NEXT: [[x:%.*]] = nn.cast %x : (tensor<4xf32>) -> tensor<4xbf16>
// CHECK-NEXT: [[y:%.*]] = nn.exp [[x]] {quant.precision = "bf16"} : (tensor<4xbf16>) -> tensor<4xbf16>
// CHECK-NEXT: [[z:%.*]] = nn.reshape [[y]] : (tensor<4xbf16>) -> tensor<2x2xbf16>
// CHECK-NEXT: [[f:%.*]] = nn.cast [[z]] : (tensor<2x2xbf16>) -> tensor<2x2xf32>
// CHECK-NEXT: [[q:%.*]] = quant.qcast [[f]] : tensor<2x2xf32> to tensor<2x2x!quant.uniform<i8
// CHECK-NEXT: [[t:%.*]] = nn.tanh [[q]] : {{.*}} -> tensor<2x2x!quant.uniform<i8
// CHECK-NEXT: [[g:%.*]] = quant.dcast [[t]]
// CHECK-NEXT: [[h:%.*]] = nn.cast [[g]] : (tensor<2x2xf32>) -> tensor<2x2xbf16>
// CHECK:      [[c:%.*]] = nn.constant dense<{{.*}}> : tensor<bf16>
// CHECK-NEXT: [[a:%.*]] = nn.add [[h]], [[c]] {quant.precision = "bf16"}
// CHECK-NEXT: [[r:%.*]] = nn.cast [[a]] : (tensor<2x2xbf16>) -> tensor<2x2xf32>
// CHECK-NEXT: func.return [[r]]
func.func @bfloat16(%x: tensor<4xf32>) -> tensor<2x2xf32> {
  %0 = nn.exp %x {quant.precision = "bf16"} : (tensor<4xf32>) -> tensor<4xf32>
  %1 = nn.reshape %0 : (tensor<4xf32>) -> tensor<2x2xf32>
  %2 = quant.observe %1 {method = "min_max", range = array<f64: 0.0, 3.0>} : tensor<2x2xf32>
  %3 = nn.tanh %2 : (tensor<2x2xf32>) -> tensor<2x2xf32>
  %4 = quant.observe %3 {method = "min_max", range = array<f64: 0.0, 1.0>} : tensor<2x2xf32>
  %c = nn.constant dense<1.00390625> : tensor<f32>
  %5 = nn.add %4, %c {quant.precision = "bf16"} : (tensor<2x2xf32>, tensor<f32>) -> tensor<2x2xf32>
  func.return %5 : tensor<2x2xf32>
}

// -----

// What is asked to stay float does; what only it has observed is not missed by what reads the values it hands on.

// CHECK-LABEL: func.func @negative_float
// CHECK-NEXT: [[p:%.*]] = nn.max_pool2d %x {{.*}} {quant.precision = "float"} : (tensor<1x2x2x1xf32>) -> tensor<1x1x1x1xf32>
// CHECK-NEXT: [[q:%.*]] = quant.qcast [[p]] : tensor<1x1x1x1xf32> to tensor<1x1x1x1x!quant.uniform<i8:f32, 0.1
// CHECK-NEXT: nn.tanh [[q]]
func.func @negative_float(%x: tensor<1x2x2x1xf32>) -> tensor<1x1x1x1xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: 0.0, 25.5>} : tensor<1x2x2x1xf32>
  %1 = nn.max_pool2d %0 kernel [2, 2] strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] {quant.precision = "float"} : (tensor<1x2x2x1xf32>) -> tensor<1x1x1x1xf32>
  %2 = nn.tanh %1 : (tensor<1x1x1x1xf32>) -> tensor<1x1x1x1xf32>
  %3 = quant.observe %2 {method = "min_max", range = array<f64: 0.0, 1.0>} : tensor<1x1x1x1xf32>
  func.return %3 : tensor<1x1x1x1xf32>
}

// -----

// The settings of single operations on zero points.

// CHECK-LABEL: func.func @symmetric
// CHECK: nn.tanh {{.*}} -> tensor<4x!quant.uniform<i8:f32, {{[0-9.e-]*}}>>
// CHECK: nn.tanh {{.*}} -> tensor<4x!quant.uniform<i8:f32, {{[0-9.e-]*}}:-128>>
func.func @symmetric(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: 0.0, 25.5>} : tensor<4xf32>
  %1 = nn.tanh %0 {quant.asymmetric = false} : (tensor<4xf32>) -> tensor<4xf32>
  %2 = quant.observe %1 {method = "min_max", range = array<f64: 0.0, 1.0>} : tensor<4xf32>
  %3 = nn.tanh %2 : (tensor<4xf32>) -> tensor<4xf32>
  %4 = quant.observe %3 {method = "min_max", range = array<f64: 0.0, 1.0>} : tensor<4xf32>
  func.return %4 : tensor<4xf32>
}

// -----

// The corners of a hard sigmoid are not those of a table of 513 entries: x * 0.25 + 0.5, limited. 8 bits have a table.

// CHECK-LABEL: func.func @corners
// CHECK:      [[a:%.*]] = nn.constant dense<32767> : tensor<i16> as tensor<!quant.uniform<i16:f32, 7.62{{.*}}e-06>>
// CHECK-NEXT: [[m:%.*]] = nn.mul {{%.*}}, [[a]] {quant.precision = "a16w8"}
// CHECK-NEXT: [[b:%.*]] = nn.constant dense<32767> : tensor<i16> as tensor<!quant.uniform<i16:f32, 1.52{{.*}}e-05>>
// CHECK-NEXT: [[s:%.*]] = nn.add [[m]], [[b]] clamp <0.0, 1.0> {quant.precision = "a16w8"} : {{.*}} -> tensor<4x!quant.uniform<i16:f32, 3.05{{.*}}e-05>> loc("gate")
// CHECK:      nn.hard_sigmoid {{.*}} loc("negative_gate")
func.func @corners(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -8.0, 8.0>} : tensor<4xf32>
  %1 = nn.hard_sigmoid %0 alpha 0.25 : f64 beta 0.5 : f64 {quant.precision = "a16w8"} : (tensor<4xf32>) -> tensor<4xf32> loc("gate")
  %2 = quant.observe %1 {method = "min_max", range = array<f64: 0.0, 1.0>} : tensor<4xf32>
  %3 = nn.hard_sigmoid %0 alpha 0.25 : f64 beta 0.5 : f64 : (tensor<4xf32>) -> tensor<4xf32> loc("negative_gate")
  %4 = quant.observe %3 {method = "min_max", range = array<f64: 0.0, 1.0>} : tensor<4xf32>
  func.return %2, %4 : tensor<4xf32>, tensor<4xf32>
}

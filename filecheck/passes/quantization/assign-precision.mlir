// RUN: intaglio-opt %s -p 'assign-precision{assignment=%S/Inputs/assignment.json nodes="stem/Abs=float","head/*=per_tensor"}' | filecheck %s

// Names count more than patterns, the option more than the file; the default is for what is left.

// CHECK-LABEL: func.func @network
// CHECK-NEXT: nn.relu %x {quant.precision = "bf16"} : {{.*}} loc("stem/Relu")
// CHECK-NEXT: nn.abs %{{.*}} {quant.precision = "float"} : {{.*}} loc("stem/Abs")
// CHECK-NEXT: nn.mul %{{.*}} {quant.precision = "a16w8"} : {{.*}} loc("stem/Mul")
// CHECK-NEXT: nn.sigmoid %{{.*}} {quant.precision = "a8w8"} : {{.*}} loc("body/Sigmoid")
// CHECK-NEXT: nn.constant
// CHECK-NEXT: nn.dense %{{.*}} {quant.precision = "a8w8", quant.output_int32, quant.per_channel = false} : {{.*}} loc("head/Gemm")
// CHECK-NEXT: func.return
func.func @network(%x: tensor<1x4xf32>) -> tensor<1x4xf32> {
  %0 = nn.relu %x : (tensor<1x4xf32>) -> tensor<1x4xf32> loc("stem/Relu")
  %1 = nn.abs %0 : (tensor<1x4xf32>) -> tensor<1x4xf32> loc("stem/Abs")
  %2 = nn.mul %1, %1 : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32> loc("stem/Mul")
  %3 = nn.sigmoid %2 : (tensor<1x4xf32>) -> tensor<1x4xf32> loc("body/Sigmoid")
  %w = nn.constant dense<1.0> : tensor<4x4xf32>
  %4 = nn.dense %3, %w : (tensor<1x4xf32>, tensor<4x4xf32>) -> tensor<1x4xf32> loc("head/Gemm")
  func.return %4 : tensor<1x4xf32>
}

// What an operation has already stays in the face of a default, and gives way to a request.

// CHECK-LABEL: func.func @negative_has_one_already
// CHECK-NEXT: nn.relu %x {quant.precision = "a16w16"}
// CHECK-NEXT: nn.mul %{{.*}} {quant.precision = "a16w8"}
func.func @negative_has_one_already(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = nn.relu %x {quant.precision = "a16w16"} : (tensor<4xf32>) -> tensor<4xf32> loc("kept")
  %1 = nn.mul %0, %0 {quant.precision = "a16w16"} : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> loc("stem/Other")
  func.return %1 : tensor<4xf32>
}

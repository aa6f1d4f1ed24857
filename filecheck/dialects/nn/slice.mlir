// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @forward
// CHECK: %y = nn.slice %x starts [0, 1] steps [1, 2] : (tensor<2x8xf32>) -> tensor<2x3xf32>
func.func @forward(%x: tensor<2x8xf32>) -> tensor<2x3xf32> {
  %y = nn.slice %x starts [0, 1] steps [1, 2] : (tensor<2x8xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @backward
// CHECK: %y = nn.slice %x starts [3] steps [-1] : (tensor<4xi64>) -> tensor<4xi64>
func.func @backward(%x: tensor<4xi64>) -> tensor<4xi64> {
  %y = nn.slice %x starts [3] steps [-1] : (tensor<4xi64>) -> tensor<4xi64>
  func.return %y : tensor<4xi64>
}

// CHECK-LABEL: func.func @empty
// CHECK: %y = nn.slice %x starts [4] steps [1] : (tensor<4xf32>) -> tensor<0xf32>
func.func @empty(%x: tensor<4xf32>) -> tensor<0xf32> {
  %y = nn.slice %x starts [4] steps [1] : (tensor<4xf32>) -> tensor<0xf32>
  func.return %y : tensor<0xf32>
}

// CHECK-LABEL: func.func @quantized
// CHECK: %y = nn.slice %x starts [2] steps [1] : (tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x!quant.uniform<i8:f32, 0.5>>
func.func @quantized(%x: tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x!quant.uniform<i8:f32, 0.5>> {
  %y = nn.slice %x starts [2] steps [1] : (tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x!quant.uniform<i8:f32, 0.5>>
  func.return %y : tensor<2x!quant.uniform<i8:f32, 0.5>>
}

// RUN: intaglio-opt %s | intaglio-opt | filecheck %s

// CHECK-LABEL: func.func @last_axis
// CHECK: %y = nn.softmax %x axis 1 : (tensor<1x10xf32>) -> tensor<1x10xf32>
func.func @last_axis(%x: tensor<1x10xf32>) -> tensor<1x10xf32> {
  %y = nn.softmax %x axis 1 : (tensor<1x10xf32>) -> tensor<1x10xf32>
  func.return %y : tensor<1x10xf32>
}

// CHECK-LABEL: func.func @half
// CHECK: %y = nn.softmax %x axis 0 : (tensor<4x3xf16>) -> tensor<4x3xf16>
func.func @half(%x: tensor<4x3xf16>) -> tensor<4x3xf16> {
  %y = nn.softmax %x axis 0 : (tensor<4x3xf16>) -> tensor<4x3xf16>
  func.return %y : tensor<4x3xf16>
}

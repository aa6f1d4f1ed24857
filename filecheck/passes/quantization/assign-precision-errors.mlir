// RUN: intaglio-opt %s -p 'assign-precision{nodes="conv=a16w8","relu=a8w8"}' --verify-diagnostics --split-input-file

// expected-error @unknown {{no operation comes from a node of the name 'relu'}}
func.func @unknown_name(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = nn.tanh %x : (tensor<4xf32>) -> tensor<4xf32> loc("conv")
  %1 = nn.tanh %0 : (tensor<4xf32>) -> tensor<4xf32> loc("relu1")
  func.return %1 : tensor<4xf32>
}

// -----

func.func @one_operation_two_precisions(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'conv' and 'relu' are one operation}}
  %0 = nn.tanh %x : (tensor<4xf32>) -> tensor<4xf32> loc(fused["conv", "relu"])
  func.return %0 : tensor<4xf32>
}

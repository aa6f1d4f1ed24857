// RUN: intaglio-opt %s --verify-diagnostics --split-input-file

func.func @dynamic_operand(%x: tensor<?x3xf32>) -> tensor<2x3xf32> {
  // expected-error @+1 {{shapes must be static, got tensor<?x3xf32>}}
  %y = nn.relu %x : (tensor<?x3xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

// -----

func.func @dynamic_throughout(%x: tensor<?xf32>) -> tensor<?xf32> {
  // expected-error @+1 {{shapes must be static, got tensor<?xf32>}}
  %y = nn.add %x, %x : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  func.return %y : tensor<?xf32>
}

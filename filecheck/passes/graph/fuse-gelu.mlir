// RUN: intaglio-opt %s -p fuse-gelu,eliminate-dead-code | filecheck %s

// As PyTorch's exporter writes it.
// CHECK-LABEL: func.func @exact
// CHECK-NEXT: nn.gelu %x approximate "none" : (tensor<4xf32>) -> tensor<4xf32> loc("half")
// CHECK-NEXT: func.return
func.func @exact(%x: tensor<4xf32>) -> tensor<4xf32> {
  %root = nn.constant dense<1.41421354> : tensor<f32>
  %one = nn.constant dense<1.0> : tensor<f32>
  %half = nn.constant dense<0.5> : tensor<f32>
  %a = nn.div %x, %root : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %b = nn.erf %a : (tensor<4xf32>) -> tensor<4xf32>
  %c = nn.add %b, %one : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %d = nn.mul %x, %c : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %y = nn.mul %d, %half : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32> loc("half")
  func.return %y : tensor<4xf32>
}

// The half comes first, and the input is a product itself.
// CHECK-LABEL: func.func @of_a_product
// CHECK-NEXT: %x = nn.mul %a, %b
// CHECK-NEXT: nn.gelu %x approximate "none"
// CHECK-NEXT: func.return
func.func @of_a_product(%a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> {
  %root = nn.constant dense<0.707106769> : tensor<f32>
  %one = nn.constant dense<1.0> : tensor<f32>
  %half = nn.constant dense<0.5> : tensor<f32>
  %x = nn.mul %a, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %c = nn.mul %root, %x : (tensor<f32>, tensor<4xf32>) -> tensor<4xf32>
  %d = nn.erf %c : (tensor<4xf32>) -> tensor<4xf32>
  %e = nn.add %one, %d : (tensor<f32>, tensor<4xf32>) -> tensor<4xf32>
  %f = nn.mul %half, %x : (tensor<f32>, tensor<4xf32>) -> tensor<4xf32>
  %y = nn.mul %f, %e : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// As JAX writes it.
// CHECK-LABEL: func.func @approximate
// CHECK-NEXT: nn.gelu %x approximate "tanh"
// CHECK-NEXT: func.return
func.func @approximate(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c0 = nn.constant dense<0.044715> : tensor<f32>
  %c1 = nn.constant dense<0.7978846> : tensor<f32>
  %one = nn.constant dense<1.0> : tensor<f32>
  %half = nn.constant dense<0.5> : tensor<f32>
  %a = nn.mul %c0, %x : (tensor<f32>, tensor<4xf32>) -> tensor<4xf32>
  %b = nn.mul %x, %a : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %c = nn.mul %x, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %d = nn.add %x, %c : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %e = nn.mul %c1, %d : (tensor<f32>, tensor<4xf32>) -> tensor<4xf32>
  %f = nn.tanh %e : (tensor<4xf32>) -> tensor<4xf32>
  %g = nn.add %one, %f : (tensor<f32>, tensor<4xf32>) -> tensor<4xf32>
  %h = nn.mul %half, %g : (tensor<f32>, tensor<4xf32>) -> tensor<4xf32>
  %y = nn.mul %x, %h : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// The gate is of another value.
// CHECK-LABEL: func.func @negative_other_input
// CHECK-NOT: nn.gelu
// CHECK: func.return
func.func @negative_other_input(%x: tensor<4xf32>, %z: tensor<4xf32>) -> tensor<4xf32> {
  %root = nn.constant dense<1.41421354> : tensor<f32>
  %one = nn.constant dense<1.0> : tensor<f32>
  %half = nn.constant dense<0.5> : tensor<f32>
  %a = nn.div %z, %root : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %b = nn.erf %a : (tensor<4xf32>) -> tensor<4xf32>
  %c = nn.add %b, %one : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %d = nn.mul %x, %c : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %y = nn.mul %d, %half : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @negative_constants
// CHECK-NOT: nn.gelu
// CHECK: func.return
func.func @negative_constants(%x: tensor<4xf32>) -> tensor<4xf32> {
  %root = nn.constant dense<1.5> : tensor<f32>
  %one = nn.constant dense<1.0> : tensor<f32>
  %half = nn.constant dense<0.5> : tensor<f32>
  %a = nn.div %x, %root : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %b = nn.erf %a : (tensor<4xf32>) -> tensor<4xf32>
  %c = nn.add %b, %one : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %d = nn.mul %x, %c : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %y = nn.mul %d, %half : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// The product is limited on the way.
// CHECK-LABEL: func.func @negative_clamp
// CHECK-NOT: nn.gelu
// CHECK: func.return
func.func @negative_clamp(%x: tensor<4xf32>) -> tensor<4xf32> {
  %root = nn.constant dense<1.41421354> : tensor<f32>
  %one = nn.constant dense<1.0> : tensor<f32>
  %half = nn.constant dense<0.5> : tensor<f32>
  %a = nn.div %x, %root : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %b = nn.erf %a : (tensor<4xf32>) -> tensor<4xf32>
  %c = nn.add %b, %one : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %d = nn.mul %x, %c clamp <0.0, inf> : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %y = nn.mul %d, %half : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

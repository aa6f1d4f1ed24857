// RUN: intaglio-opt %s -p 'quantize{activation-symmetric=true weight-per-tensor=true}' | filecheck %s

// 2.54 / 127 for the input and the whole weight; the smaller weight channel has half the steps.

// CHECK-LABEL: func.func @main
// CHECK-NEXT:  quant.qcast %x : {{.*}} to tensor<1x1x!quant.uniform<i8:f32, 0.0199{{[0-9]*}}>>
// CHECK-NEXT:  nn.constant dense<{{\[\[}}64], [127]]> : tensor<2x1xi8> as tensor<2x1x!quant.uniform<i8<-127:127>:f32, 0.0199{{[0-9]*}}>>
// CHECK-NEXT:  nn.constant dense<[2500, 0]> : tensor<2xi32> as tensor<2x!quant.uniform<i32:f32, 0.00039{{[0-9]*}}>>
// CHECK-NEXT:  nn.dense {{.*}} -> tensor<1x2x!quant.uniform<i8:f32, 0.0399{{[0-9]*}}>>
func.func @main(%x: tensor<1x1xf32>) -> tensor<1x2xf32> {
  %0 = quant.observe %x {method = "min_max", range = array<f64: -1.0, 2.54>} : tensor<1x1xf32>
  %w = nn.constant dense<[[1.27], [2.54]]> : tensor<2x1xf32>
  %b = nn.constant dense<[1.0, 0.0]> : tensor<2xf32>
  %1 = nn.dense %0, %w bias %b : (tensor<1x1xf32>, tensor<2x1xf32>, tensor<2xf32>) -> tensor<1x2xf32>
  %2 = quant.observe %1 {method = "min_max", range = array<f64: -5.08, 5.0>} : tensor<1x2xf32>
  func.return %2 : tensor<1x2xf32>
}

// RUN: intaglio-opt %s -p fuse-hard-swish,eliminate-dead-code | filecheck %s

// As PaddlePaddle and older PyTorch write it.
// CHECK-LABEL: func.func @mul_then_div
// CHECK-NEXT: %y = nn.hard_swish %x : (tensor<4xf32>) -> tensor<4xf32> loc("div")
// CHECK-NEXT: func.return %y
func.func @mul_then_div(%x: tensor<4xf32>) -> tensor<4xf32> {
  %three = nn.constant dense<3.0> : tensor<1xf32>
  %six = nn.constant dense<6.0> : tensor<1xf32>
  %a = nn.add %x, %three : (tensor<4xf32>, tensor<1xf32>) -> tensor<4xf32> loc("add")
  %b = nn.clip %a to <0.0, 6.0> : (tensor<4xf32>) -> tensor<4xf32> loc("clip")
  %c = nn.mul %x, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> loc("mul")
  %y = nn.div %c, %six : (tensor<4xf32>, tensor<1xf32>) -> tensor<4xf32> loc("div")
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @divided_gate
// CHECK-NEXT: nn.hard_swish %x
// CHECK-NEXT: func.return
func.func @divided_gate(%x: tensor<4xf32>) -> tensor<4xf32> {
  %three = nn.constant dense<3.0> : tensor<f32>
  %six = nn.constant dense<6.0> : tensor<f32>
  %a = nn.add %three, %x : (tensor<f32>, tensor<4xf32>) -> tensor<4xf32>
  %b = nn.clip %a to <0.0, 6.0> : (tensor<4xf32>) -> tensor<4xf32>
  %c = nn.div %b, %six : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %y = nn.mul %c, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// A sixth of x times the gate; the sixth is rounded.
// CHECK-LABEL: func.func @scaled_input
// CHECK-NEXT: nn.hard_swish %x
// CHECK-NEXT: func.return
func.func @scaled_input(%x: tensor<4xf32>) -> tensor<4xf32> {
  %three = nn.constant dense<3.0> : tensor<4xf32>
  %sixth = nn.constant dense<0.16667> : tensor<f32>
  %a = nn.add %x, %three : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %b = nn.clip %a to <0.0, 6.0> : (tensor<4xf32>) -> tensor<4xf32>
  %c = nn.mul %sixth, %x : (tensor<f32>, tensor<4xf32>) -> tensor<4xf32>
  %y = nn.mul %c, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// relu6 as relu and an upper limit, and the sum with the limits fused into it.
// CHECK-LABEL: func.func @relu6_in_parts
// CHECK-NEXT: nn.hard_swish %x
// CHECK-NEXT: func.return
func.func @relu6_in_parts(%x: tensor<4xf32>) -> tensor<4xf32> {
  %three = nn.constant dense<-3.0> : tensor<f32>
  %sixth = nn.constant dense<0.166666672> : tensor<f32>
  %a = nn.sub %x, %three clamp <-inf, 6.0> : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %b = nn.relu %a : (tensor<4xf32>) -> tensor<4xf32>
  %c = nn.mul %x, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %y = nn.mul %c, %sixth : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @hard_sigmoid_times_input
// CHECK-NEXT: nn.hard_swish %x
// CHECK-NEXT: func.return
func.func @hard_sigmoid_times_input(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = nn.hard_sigmoid %x alpha 0.16666667163372 : f64 beta 0.5 : f64 : (tensor<4xf32>) -> tensor<4xf32>
  %y = nn.mul %x, %a : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// The input is itself the result of an addition.
// CHECK-LABEL: func.func @input_is_a_sum
// CHECK: %x = nn.add
// CHECK-NEXT: nn.hard_swish %x
// CHECK-NEXT: func.return
func.func @input_is_a_sum(%w: tensor<4xf32>) -> tensor<4xf32> {
  %one = nn.constant dense<1.0> : tensor<f32>
  %three = nn.constant dense<3.0> : tensor<f32>
  %six = nn.constant dense<6.0> : tensor<f32>
  %x = nn.add %w, %one : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %a = nn.add %x, %three : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %b = nn.clip %a to <0.0, 6.0> : (tensor<4xf32>) -> tensor<4xf32>
  %c = nn.mul %x, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %y = nn.div %c, %six : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @hard_sigmoid
// CHECK-NEXT: %y = nn.hard_sigmoid %x alpha 2.500000e-01 : f64 beta 5.000000e-01 : f64 : (tensor<4xf32>) -> tensor<4xf32> loc("clip")
// CHECK-NEXT: func.return
func.func @hard_sigmoid(%x: tensor<4xf32>) -> tensor<4xf32> {
  %alpha = nn.constant dense<0.25> : tensor<f32>
  %beta = nn.constant dense<0.5> : tensor<f32>
  %a = nn.mul %x, %alpha : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %b = nn.add %a, %beta : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %y = nn.clip %b to <0.0, 1.0> : (tensor<4xf32>) -> tensor<4xf32> loc("clip")
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @hard_sigmoid_over_six
// CHECK-NEXT: nn.hard_sigmoid %x alpha 0.16666666666666666 : f64 beta 5.000000e-01 : f64
// CHECK-NEXT: func.return
func.func @hard_sigmoid_over_six(%x: tensor<4xf32>) -> tensor<4xf32> {
  %three = nn.constant dense<3.0> : tensor<f32>
  %six = nn.constant dense<6.0> : tensor<f32>
  %a = nn.add %x, %three : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %b = nn.clip %a to <0.0, 6.0> : (tensor<4xf32>) -> tensor<4xf32>
  %y = nn.div %b, %six : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @negative_other_slope
// CHECK: nn.hard_sigmoid
// CHECK-NEXT: nn.mul
func.func @negative_other_slope(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = nn.hard_sigmoid %x alpha 0.2 : f64 beta 0.5 : f64 : (tensor<4xf32>) -> tensor<4xf32>
  %y = nn.mul %x, %a : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @negative_gate_of_another_value
// CHECK: nn.hard_sigmoid %w
// CHECK-NEXT: nn.mul
func.func @negative_gate_of_another_value(%x: tensor<4xf32>, %w: tensor<4xf32>) -> tensor<4xf32> {
  %a = nn.hard_sigmoid %w alpha 0.1666666 : f64 beta 0.5 : f64 : (tensor<4xf32>) -> tensor<4xf32>
  %y = nn.mul %x, %a : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// Without the division it is six times hard-swish.
// CHECK-LABEL: func.func @negative_six_times
// CHECK: nn.add
// CHECK-NEXT: nn.clip
// CHECK-NEXT: nn.mul
func.func @negative_six_times(%x: tensor<4xf32>) -> tensor<4xf32> {
  %three = nn.constant dense<3.0> : tensor<f32>
  %a = nn.add %x, %three : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %b = nn.clip %a to <0.0, 6.0> : (tensor<4xf32>) -> tensor<4xf32>
  %y = nn.mul %x, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @negative_different_summands
// CHECK: nn.add
// CHECK-NEXT: nn.clip
func.func @negative_different_summands(%x: tensor<2xf32>) -> tensor<2xf32> {
  %summand = nn.constant dense<[0.5, 0.6]> : tensor<2xf32>
  %a = nn.add %x, %summand : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %y = nn.clip %a to <0.0, 1.0> : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// The input is broadcast: its hard-swish would be smaller than the result.
// CHECK-LABEL: func.func @negative_broadcast_input
// CHECK: nn.mul
func.func @negative_broadcast_input(%x: tensor<1xf32>) -> tensor<4xf32> {
  %three = nn.constant dense<3.0> : tensor<4xf32>
  %six = nn.constant dense<6.0> : tensor<f32>
  %a = nn.add %x, %three : (tensor<1xf32>, tensor<4xf32>) -> tensor<4xf32>
  %b = nn.clip %a to <0.0, 6.0> : (tensor<4xf32>) -> tensor<4xf32>
  %c = nn.mul %x, %b : (tensor<1xf32>, tensor<4xf32>) -> tensor<4xf32>
  %y = nn.div %c, %six : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @negative_plain_clip
// CHECK-NEXT: nn.clip
func.func @negative_plain_clip(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = nn.clip %x to <0.0, 1.0> : (tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @negative_sigmoid
// CHECK-NEXT: nn.sigmoid
// CHECK-NEXT: nn.mul
func.func @negative_sigmoid(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = nn.sigmoid %x : (tensor<4xf32>) -> tensor<4xf32>
  %y = nn.mul %x, %a : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

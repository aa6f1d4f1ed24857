// RUN: intaglio-opt %s -p reduce-to-pool | filecheck %s

// CHECK-LABEL: func.func @mean_of_an_image
// CHECK-NEXT: nn.avg_pool2d %x kernel [7, 5] strides [1, 1] pads [0, 0, 0, 0] count_include_pad false : (tensor<2x7x5x4xf32>) -> tensor<2x1x1x4xf32> loc("mean")
// CHECK-NEXT: func.return
func.func @mean_of_an_image(%x: tensor<2x7x5x4xf32>) -> tensor<2x1x1x4xf32> {
  %y = nn.reduce_mean %x axes [1, 2] : (tensor<2x7x5x4xf32>) -> tensor<2x1x1x4xf32> loc("mean")
  func.return %y : tensor<2x1x1x4xf32>
}

// CHECK-LABEL: func.func @maximum_of_a_sequence
// CHECK-NEXT: [[VIEW:%.+]] = nn.reshape %x : (tensor<2x9x4xf32>) -> tensor<2x9x1x4xf32>
// CHECK-NEXT: [[POOL:%.+]] = nn.max_pool2d [[VIEW]] kernel [9, 1] strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<2x9x1x4xf32>) -> tensor<2x1x1x4xf32>
// CHECK-NEXT: nn.reshape [[POOL]] : (tensor<2x1x1x4xf32>) -> tensor<2x1x4xf32>
// CHECK-NEXT: func.return
func.func @maximum_of_a_sequence(%x: tensor<2x9x4xf32>) -> tensor<2x1x4xf32> {
  %y = nn.reduce_max %x axes [1] : (tensor<2x9x4xf32>) -> tensor<2x1x4xf32>
  func.return %y : tensor<2x1x4xf32>
}

// CHECK-LABEL: func.func @negative_last_dimension
// CHECK-NEXT: nn.reduce_mean
func.func @negative_last_dimension(%x: tensor<2x9x4xf32>) -> tensor<2x9x1xf32> {
  %y = nn.reduce_mean %x axes [2] : (tensor<2x9x4xf32>) -> tensor<2x9x1xf32>
  func.return %y : tensor<2x9x1xf32>
}

// CHECK-LABEL: func.func @negative_dimensions_apart
// CHECK-NEXT: nn.reduce_max
func.func @negative_dimensions_apart(%x: tensor<2x9x4x3xf32>) -> tensor<1x9x1x3xf32> {
  %y = nn.reduce_max %x axes [0, 2] : (tensor<2x9x4x3xf32>) -> tensor<1x9x1x3xf32>
  func.return %y : tensor<1x9x1x3xf32>
}

// CHECK-LABEL: func.func @negative_sum
// CHECK-NEXT: nn.reduce_sum
func.func @negative_sum(%x: tensor<2x9x4xf32>) -> tensor<2x1x4xf32> {
  %y = nn.reduce_sum %x axes [1] : (tensor<2x9x4xf32>) -> tensor<2x1x4xf32>
  func.return %y : tensor<2x1x4xf32>
}

// CHECK-LABEL: func.func @negative_empty
// CHECK-NEXT: nn.reduce_max
func.func @negative_empty(%x: tensor<2x0x4xf32>) -> tensor<2x1x4xf32> {
  %y = nn.reduce_max %x axes [1] : (tensor<2x0x4xf32>) -> tensor<2x1x4xf32>
  func.return %y : tensor<2x1x4xf32>
}

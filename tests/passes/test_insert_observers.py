"""`insert-observers` leaves what the network computes alone, and a second time there is nothing to do."""

import pytest
from xdsl.dialects.builtin import ModuleOp

from intaglio.dialects.quant import ObserveOp
from intaglio.errors import UserError
from intaglio.passes.calibration.insert_observers import InsertObservers

NETWORK = """
!map = tensor<1x4x4x2xf32>
!vector = tensor<1x1x1x2xf32>
func.func @main(%x: tensor<1x2x4x4xf32>, %k: tensor<1xf32>) -> (!vector, tensor<1x8x1x2xf32>) {
  %t = nn.transpose %x permutation [0, 2, 3, 1] : (tensor<1x2x4x4xf32>) -> !map
  %w = nn.constant dense<0.5> : tensor<2x3x3x2xf32>
  %a = nn.conv2d %t, %w strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] groups 1 clamp <0.0, inf>
    : (!map, tensor<2x3x3x2xf32>) -> !map
  %b = nn.add %a, %t : (!map, !map) -> !map
  %c = nn.avg_pool2d %b kernel [4, 4] strides [1, 1] pads [0, 0, 0, 0] count_include_pad false
    : (!map) -> !vector
  %d = nn.mul %c, %k : (!vector, tensor<1xf32>) -> !vector
  %p = nn.max_pool2d %b kernel [1, 4] strides [1, 4] pads [0, 0, 0, 0] dilations [1, 1]
    : (!map) -> tensor<1x4x1x2xf32>
  %e = nn.concat %p, %p axis 1 : (tensor<1x4x1x2xf32>, tensor<1x4x1x2xf32>) -> tensor<1x8x1x2xf32>
  func.return %d, %e : !vector, tensor<1x8x1x2xf32>
}
"""


def test_the_network_computes_the_same(apply_checked):
    after: ModuleOp = apply_checked(NETWORK, InsertObservers())
    # The layout change of the input, the scalar input, and four results: convolution, sum, average, product.
    assert sum(isinstance(op, ObserveOp) for op in after.walk()) == 6


def test_unknown_method(apply_checked):
    with pytest.raises(UserError, match="no calibration method 'kl'"):
        apply_checked(NETWORK, InsertObservers(method="kl"))

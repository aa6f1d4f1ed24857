"""Quantizer groups: what is tied, what is counted, and where values pass between groups."""

from __future__ import annotations

from intaglio.ir.parsing import parse_module
from intaglio.search.groups import quantizer_groups

LAYERS = """
!map = tensor<1x4x4x8xf32>
!weight = tensor<8x1x1x8xf32>
func.func @main(%x: !map) -> tensor<1x2x2x8xf32> {
  %w = nn.constant dense<0.5> : !weight
  %a = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1
    : (!map, !weight) -> !map loc("first")
  %o = quant.observe %a {method = "min_max"} : !map
  %b = nn.conv2d %o, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1
    : (!map, !weight) -> !map loc("second")
  %s = nn.sigmoid %b : (!map) -> !map loc("gate")
  %m = nn.mul %b, %s : (!map, !map) -> !map loc("gate")
  %p = nn.max_pool2d %m kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1]
    : (!map) -> tensor<1x2x2x8xf32> loc("pool")
  %t = nn.tanh %p : (tensor<1x2x2x8xf32>) -> tensor<1x2x2x8xf32> loc("last")
  func.return %t : tensor<1x2x2x8xf32>
}
"""


def test_groups_follow_names_and_shared_weights() -> None:
    found = quantizer_groups(parse_module(LAYERS))
    assert [group.names for group in found.groups] == [("first", "second"), ("gate",), ("last",)]
    assert [group.kinds for group in found.groups] == [
        ("nn.conv2d", "nn.conv2d"),
        ("nn.sigmoid", "nn.mul"),
        ("nn.tanh",),
    ]
    assert [group.macs for group in found.groups] == [2 * 16 * 8 * 8, 0, 0]
    assert found.macs == 2048
    assert [group.elements for group in found.groups] == [256, 256, 32]


def test_edges_look_through_operations_without_a_group() -> None:
    found = quantizer_groups(parse_module(LAYERS))
    # The second convolution is read by the gate, once however often; the pool between gate and tanh has no group.
    assert found.edges == ((0, 1, 128), (1, 2, 128))

"""`assign-devices` and what is reported of its result."""

import pytest

from intaglio.errors import UserError
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.passes.partition.assign_devices import AssignDevices
from intaglio.passes.partition.outline_regions import OutlineRegions
from intaglio.passes.partition.placement import Placement, fail_on_host, placement

NETWORK = """
!q = !quant.uniform<i8:f32, 0.5>
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = quant.qcast %x : tensor<4xf32> to tensor<4x!q> loc("x")
  %1 = nn.tanh %0 : (tensor<4x!q>) -> tensor<4x!q> loc("tanh")
  %2 = quant.dcast %1 : tensor<4x!q> to tensor<4xf32> loc("tanh")
  %3 = nn.softmax %2 axis 0 : (tensor<4xf32>) -> tensor<4xf32> loc("softmax")
  func.return %3 : tensor<4xf32>
}
"""
WITHOUT_SOFTMAX = NETWORK.replace("%3 = nn.softmax", "%4 = nn.softmax").replace("return %3", "return %2")
UNKNOWN = "Operations are of the kinds that the accelerator executes, got "
IN_FLOATS = "Activations are tensors of int8, or of int16 with the zero point 0, quantized per tensor, got f32"


def assigned(text: str, target: str = "gen1"):
    module = parse_module(text)
    AssignDevices(target=target).apply(make_context(), module)
    return module


def test_placement_names_device_and_reason_before_and_after_outlining():
    module = assigned(NETWORK)
    expected = [
        Placement("x", "quant.qcast", "host", UNKNOWN + "quant.qcast", False),
        Placement("tanh", "nn.tanh", "accelerator", None, True),
        Placement("tanh", "quant.dcast", "host", UNKNOWN + "quant.dcast", False),
        Placement("softmax", "nn.softmax", "host", IN_FLOATS, True),
    ]
    assert placement(module) == expected
    OutlineRegions().apply(make_context(), module)
    assert placement(module) == [expected[0], *expected[2:], expected[1]]


def test_fail_on_host_names_what_computes_there():
    with pytest.raises(UserError, match=r'execute 1 operations: nn\.softmax "softmax" \(Activations are'):
        fail_on_host(assigned(NETWORK))
    with pytest.raises(UserError, match="The target is the host"):
        fail_on_host(assigned(NETWORK, "host"))


def test_casts_and_layout_are_no_fallback():
    text = NETWORK.replace('%3 = nn.softmax %2 axis 0 : (tensor<4xf32>) -> tensor<4xf32> loc("softmax")', "")
    module = assigned(text.replace("return %3", "return %2"))
    fail_on_host(module)
    assert [place.device for place in placement(module)] == ["host", "accelerator", "host"]


def test_assigning_again_replaces_the_reasons():
    module = assigned(NETWORK, "host")
    AssignDevices().apply(make_context(), module)
    assert placement(module) == placement(assigned(NETWORK))


def test_unknown_target():
    with pytest.raises(UserError, match="no target 'gen9'"):
        assigned(NETWORK, "gen9")

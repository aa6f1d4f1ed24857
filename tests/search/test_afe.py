"""AFE's mixed precision: int8 first, then as few int16 nodes as the target needs."""

from __future__ import annotations

from typing import Any

import pytest

from intaglio.analysis.metrics import metric
from intaglio.errors import UserError
from intaglio.network import load
from intaglio.params import default_quantization
from intaglio.precision import Precision
from intaglio.search.afe import noise_based_mixed_precision_quantization, quantize_with_accuracy_feedback

PARAMS = default_quantization.with_channel_equalization(False)


def test_as_few_nodes_become_int16_as_the_target_needs(tiny: Any) -> None:
    messages: list[str] = []
    network = load(tiny.model)
    narrow = network.quantize(tiny.calibration, PARAMS).evaluate(tiny.evaluation, "top1")
    wide = network.quantize(tiny.calibration, PARAMS.with_precision("int16")).evaluate(tiny.evaluation, "top1")
    assert narrow < wide
    step = noise_based_mixed_precision_quantization(
        PARAMS, metric("top1"), target_accuracy=wide, report=messages.append
    )
    model = step(load(tiny.model), tiny.calibration, tiny.calibration, tiny.evaluation)
    assert model.evaluate(tiny.evaluation, "top1") >= wide
    assert messages[0].startswith("mixed precision: 0 of 0 to ")
    assert len(messages) >= 2


def test_an_int8_network_that_is_good_enough_stays_int8(tiny: Any) -> None:
    model = quantize_with_accuracy_feedback(
        load(tiny.model), tiny.calibration, tiny.calibration, tiny.evaluation, PARAMS, metric("top1"), 0.1
    )
    assert "i16" not in str(model.module)


@pytest.mark.parametrize("fast_mode", [False, True])
def test_a_target_out_of_reach_is_an_error(fast_mode: bool, tiny: Any) -> None:
    step = noise_based_mixed_precision_quantization(PARAMS, metric("top1"), 1.5, fast_mode=fast_mode)
    with pytest.raises(UserError, match=r"the target accuracy 1.5 cannot be reached with \d nodes in int16"):
        step(load(tiny.model), tiny.calibration, tiny.calibration, tiny.evaluation)


def test_it_starts_from_int8_only() -> None:
    with pytest.raises(UserError, match="starts from int8, not from a16w16"):
        noise_based_mixed_precision_quantization(PARAMS.with_precision(Precision("int", 16, 16)), metric("top1"), 0.9)

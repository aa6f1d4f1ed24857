"""Operations on bfloat16: each level of programs computes the same in every element, what operations mean closely."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lowering.operator_cases import FAMILIES
from tests.lowering.test_resizing import FAMILIES as RESIZING

TARGETS = ("gen2-d16", "gen2", "gen2-d64")

ON_THE_HOST = {"softmax", "layer_norm", "rms_norm", "matmul", *RESIZING, "requantize", "roots"}
IN_BFLOAT16 = [name for name in FAMILIES if name not in ON_THE_HOST]


@pytest.mark.parametrize("family", IN_BFLOAT16)
def test_single_operations(family: str, regions: Any) -> None:
    for seed in range(4):
        builder = regions.builder(seed, *family.encode(), is_float=True)
        module = builder.module(FAMILIES[family](builder), target=TARGETS[seed % len(TARGETS)])
        regions.check_all_levels(module)

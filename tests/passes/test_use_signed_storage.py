"""The pass use-signed-storage: what is stored otherwise stands for the same values."""

from __future__ import annotations

import numpy as np

from intaglio.dialects.quant import QuantizeCastOp
from intaglio.interpreter import Interpreter
from intaglio.ir.parsing import parse_module
from intaglio.passes.quantization.use_signed_storage import UseSignedStorage

SOURCE = """
func.func @main(%x: tensor<4x3xf32>, %u: tensor<4x3xui8>)
    -> (tensor<4x3xf32>, tensor<4x3xui8>, tensor<4x3xf32>, tensor<3xf32>) {
  %q = quant.qcast %x : tensor<4x3xf32> to tensor<4x3x!quant.uniform<u8:f32, 0.013:131>>
  %d = quant.dcast %q : tensor<4x3x!quant.uniform<u8:f32, 0.013:131>> to tensor<4x3xf32>
  %s = quant.scast %q : tensor<4x3x!quant.uniform<u8:f32, 0.013:131>> to tensor<4x3xui8>
  %v = quant.scast %u : tensor<4x3xui8> to tensor<4x3x!quant.uniform<u8:f32, 0.7:0>>
  %e = quant.dcast %v : tensor<4x3x!quant.uniform<u8:f32, 0.7:0>> to tensor<4x3xf32>
  %w = nn.constant dense<[0, 7, 15]> : tensor<3xui4> as tensor<3x!quant.uniform<u4:f32:0, {0.5:1,0.25:2,1.0:3}>>
  %f = quant.dcast %w : tensor<3x!quant.uniform<u4:f32:0, {0.5:1,0.25:2,1.0:3}>> to tensor<3xf32>
  func.return %d, %s, %e, %f : tensor<4x3xf32>, tensor<4x3xui8>, tensor<4x3xf32>, tensor<3xf32>
}
"""


def test_values_do_not_change(apply_checked):
    module = apply_checked(SOURCE, UseSignedStorage())
    casts = [op for op in module.walk() if isinstance(op, QuantizeCastOp)]
    assert [str(cast.result.type).count("i8:f32") for cast in casts] == [1, 0, 1]


def test_every_stored_value_comes_back():
    source = parse_module(SOURCE.replace("4x3x", "256x3x"))
    module = source.clone()
    UseSignedStorage().apply(None, module)  # type: ignore[arg-type]
    stored = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    real = (0.013 * (stored.astype(np.float64) - 131)).astype(np.float32)
    results = Interpreter(module).run("main", [real, stored])
    np.testing.assert_array_equal(results[1], stored)
    np.testing.assert_array_equal(results[2], np.float32(0.7) * stored)

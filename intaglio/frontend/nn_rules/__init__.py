"""The rules of `nn_exporter`, one function per `nn` op, by family; importing this package registers them."""

from intaglio.frontend.nn_rules import elementwise, layers, movement, normalization, quantized

__all__ = ["elementwise", "layers", "movement", "normalization", "quantized"]

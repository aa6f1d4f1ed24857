"""Intaglio: from a trained ONNX model to an accelerator instruction stream, every stage as textual IR."""

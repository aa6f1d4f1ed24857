"""The rules of `onnx-to-nn`, one function per ONNX operator, by family.

A rule starts with its guards and returns None when `nn` cannot express the node, which then stays an `onnx` op.
"""

"""ONNX files to the `onnx` dialect."""

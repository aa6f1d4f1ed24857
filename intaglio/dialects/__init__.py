"""What the IR can say: `onnx`, `nn`, `quant`, `npu`, `isa`, `check`."""

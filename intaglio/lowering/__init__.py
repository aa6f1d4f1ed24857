"""One level down: onnx to nn, nn to npu, npu to isa, isa to bytes; host functions to TVM Relax."""

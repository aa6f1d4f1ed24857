"""The arithmetic of quantized inference, written once."""

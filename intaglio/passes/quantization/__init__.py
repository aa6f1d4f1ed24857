"""From float to quantized types."""

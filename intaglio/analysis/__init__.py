"""How much quantization costs: the error of every layer, the accuracy of the whole, and pages that show them."""

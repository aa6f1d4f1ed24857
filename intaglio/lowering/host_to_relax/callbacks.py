"""Global names of the functions that host libraries call and `intaglio.runtime.host_library` registers."""

LAUNCH = "intaglio.launch"
"""`(region, number of inputs, inputs ..., results ...)`: run an accelerator region."""

CONVOLUTION = "intaglio.convolution"
"""`(zero point, strides (2), pads (4), dilations (2), groups, input, weight, result)`: sums without bias."""

DYNAMIC_QUANTIZATION = "intaglio.dynamic_quantization"
"""`(values, stored values minus their zero point (int16), scale (float64))`: quantize by the values' own range."""

MATRIX_PRODUCT = "intaglio.matrix_product"
"""`(zero point of lhs, zero point of rhs, is rhs transposed, lhs, rhs, result)`."""

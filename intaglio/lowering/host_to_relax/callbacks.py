"""Global names of the functions that host libraries call and `intaglio.runtime.host_library` registers."""

LAUNCH = "intaglio.launch"
"""`(region, number of inputs, inputs ..., results ...)`: run an accelerator region."""

CONVOLUTION = "intaglio.convolution"
"""`(zero point, strides (2), pads (4), dilations (2), groups, input, weight, result)`: sums without bias."""

MATRIX_PRODUCT = "intaglio.matrix_product"
"""`(zero point of lhs, zero point of rhs, is rhs transposed, lhs, rhs, result)`."""

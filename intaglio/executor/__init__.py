"""Fast execution of modules, equal to the interpreter bit for bit.

`Executor` prepares a function once and runs it on samples and batches. Quantized operations have kernels compiled to
machine code, exact as the integers that they compute; whatever has none runs by the interpreter's rule. Every value
of a batch has the samples on a new first axis.
"""

from intaglio.executor.executor import BatchResult, Executor, Value

__all__ = ["BatchResult", "Executor", "Value"]

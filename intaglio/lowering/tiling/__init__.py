"""From quantized `nn` operations to tasks of the accelerator: analysis and planning apart from emission.

| module | what it does |
|---|---|
| `geometry` | windows, blocks of output positions, and the input regions they need |
| `layers` | what the accelerator has to know of each operation |
| `network` | a region function as layers and the tensors between them |
| `values` | what reading an operation asks of its operands and results |
| `transposed`, `reductions` | transposed convolutions and reductions as layers of other kinds |
| `fusion` | sums taken together with the convolution before them |
| `residency`, `cascades` | which tensors stay in the scratchpad, and which layers are computed stripe by stripe |
| `blocks` | the blocks in which tensors that do not stay are streamed |
| `packing` | constants in the order in which the machine reads them |
| `emitter` | buffers, constants, transfers, and views of tensors in the scratchpad |
| `matrix`, `vector` | the tasks of one layer, by family |
| `products`, `rows` | products of two activations; softmax and normalizations |
| `moving` | operations that only move elements |
| `schedule` | all of it in order, for one region |
| `description` | what was decided and why, in words |
"""

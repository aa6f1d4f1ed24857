"""From quantized `nn` operations to tasks of the accelerator: analysis and planning apart from emission.

| module | what it does |
|---|---|
| `geometry` | windows, blocks of output positions, and the input regions they need |
| `layers` | what the accelerator has to know of each operation |
| `network` | a region function as layers and the tensors between them |
| `residency` | which tensors stay in the scratchpad, and the blocks in which the others are streamed |
| `packing` | constants in the order in which the machine reads them |
| `emitter` | buffers, constants, transfers, and views of tensors in the scratchpad |
| `matrix`, `vector` | the tasks of one layer, by family |
| `schedule` | all of it in order, for one region |
"""

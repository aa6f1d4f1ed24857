"""The accelerator in software: it sees only words and memory, as the machine would.

```python
program = Program(binary)          # decodes and checks: ProgramError names the instruction
outputs = program.run([image])     # functional, exact
print(program.profile().cycles)    # the clock
```

In the order of what happens: `decode` resolves sticky state into `steps`, `checks` proves a program free of
races and bad addresses, `execute` runs it, `costs` and `clock` time it, `profile` sums up.
"""

from intaglio.targets.simulator.clock import Event
from intaglio.targets.simulator.costs import cost_of
from intaglio.targets.simulator.profile import LayerProfile, Profile
from intaglio.targets.simulator.program import Program
from intaglio.targets.simulator.steps import Step

__all__ = [
    "Event",
    "LayerProfile",
    "Profile",
    "Program",
    "Step",
    "cost_of",
]

"""Hardware descriptions, the instruction encoding, the simulator and its clock."""

"""The executable meaning of every operation."""

"""Splitting a network between the accelerator and the host."""

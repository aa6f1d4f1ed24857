"""Passes over accelerator tasks: addresses and order."""

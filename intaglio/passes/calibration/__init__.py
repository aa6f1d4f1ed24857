"""Observers and the ranges they record."""

"""Passes from one level to the same level, one pass a file, found by discovery."""

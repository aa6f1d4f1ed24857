"""Mixed precision: the fewest expensive layers for a target accuracy.

`mixed_precision` is the interface, `engine` the search, `network` evaluates; `aimet` and `afe` have the functions that
users of those systems know.
"""

"""The compiled package and running it."""

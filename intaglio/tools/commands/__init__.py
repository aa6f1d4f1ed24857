"""The commands of `intaglio`: every module has one, called `command`."""

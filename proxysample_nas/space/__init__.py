"""The search space, from a string to a module."""

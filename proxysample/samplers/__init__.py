"""The samplers: one family of scorers a file."""

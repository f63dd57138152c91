"""Pick the part of a training set worth keeping."""

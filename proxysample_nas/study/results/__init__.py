"""Results as rows, read from the store alone."""

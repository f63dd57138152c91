"""Judge a cell by training it."""

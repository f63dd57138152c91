"""Each kind of experiment as one class, the list of them, and what they work with."""

"""What an experiment does, and what it works with."""

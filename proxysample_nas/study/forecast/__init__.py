"""What is done and left, and how long the rest takes."""

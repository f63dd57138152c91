"""Features of samples: rows read block by block, and the frozen networks that make them."""

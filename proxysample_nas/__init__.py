"""Neural architecture search on proxy datasets, NAS-Bench-201 style."""

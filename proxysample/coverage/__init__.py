"""Kept sets that cover the data: greedy orders, near duplicates and densities on features."""

"""Datasets of any kind, read into arrays."""

"""Batches of images that live on the device."""

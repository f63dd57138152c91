"""Which sampler pays on a dataset: each trains the same model, and all are compared."""

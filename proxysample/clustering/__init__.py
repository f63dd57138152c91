"""K-Means over numpy, scikit-learn, faiss and torch, on features that need not fit in memory."""

from __future__ import annotations

from proxysample.clustering.backends import BACKENDS
from proxysample.clustering.kmeans import Clustering, cluster, cluster_from_random_starts

__all__ = ["BACKENDS", "Clustering", "cluster", "cluster_from_random_starts"]

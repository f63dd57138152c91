"""Data and samplers of which it is known beforehand what comes of them."""

from __future__ import annotations

import numpy as np

from proxysample import ArrayDataset, Sampler, Splits

N_CLASSES, N_TRAIN, N_TEST = 4, 400, 600


def planted_data(seed: int = 0) -> tuple[Splits, np.ndarray]:
    """Vectors in well parted classes; of the training labels 2 in 5 are wrong, and known to be."""
    rng = np.random.default_rng(seed)
    centres = 3 * np.eye(N_CLASSES, 8)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(n) % N_CLASSES
        return (centres[labels] + rng.normal(size=(n, 8))).astype(np.float32), labels

    images, labels = draw(N_TRAIN)
    is_wrong = np.zeros(N_TRAIN, dtype=bool)
    is_wrong[rng.choice(N_TRAIN, 2 * N_TRAIN // 5, replace=False)] = True
    given = np.where(is_wrong, (labels + 1) % N_CLASSES, labels)
    splits = Splits("planted", ArrayDataset(images, given), ArrayDataset(*draw(N_TEST)))
    return splits, is_wrong


class Planted(Sampler):
    """Keep by a score that was given, class by class."""

    id = "planted"
    needs_labels = True
    per_class = True
    reads = "labels"

    def __init__(self, given, *, name=""):
        self.given = given
        self.name = name

    def _score(self, samples, codes):
        return np.asarray(self.given, dtype=np.float64)


class Alike(Sampler):
    """Keep at random within each class, and say that it is something else."""

    id = "alike"
    needs_labels = True
    per_class = True
    reads = "labels"

    def __init__(self, *, random_state=None):
        self.random_state = random_state

    def _score(self, samples, codes):
        return np.random.default_rng([77, self.random_state or 0]).random(len(samples))

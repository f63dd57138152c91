"""Keep a quarter of a torch dataset, and see what that does to a classifier.

    .venv/bin/python examples/shrink_your_dataset.py

Trains scikit-learn's logistic regression on all of the digits' training part, and on a quarter
picked by samplers that need nothing but pixels and labels, and prints the test accuracy of each.
It takes seconds; the other samplers of `list_samplers` run a backbone or a training first.
"""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from proxysample import create_sampler, load_dataset
from proxysample.registry import takes_parameter

SAMPLERS = (
    "rs", "cc-rs", "km-or", "cc-or", "herding", "k-center", "facility-location", "moderate",
    "prototypes",
)  # fmt: skip


def main() -> None:
    splits = load_dataset("digits")
    train, test = splits.train, splits.require_test()

    def accuracy(indices: np.ndarray) -> float:
        classifier = LogisticRegression(max_iter=5000)
        classifier.fit(_features(train.images[indices]), train.targets[indices])
        return 100 * classifier.score(_features(test.images), test.targets)

    everything = np.arange(len(train))
    print(f"{'all':17} {len(everything):5} samples  {accuracy(everything):.1f} %")
    for name in SAMPLERS:
        seed = {"random_state": 0} if takes_parameter(name, "random_state") else {}
        kept = create_sampler(name, **seed).select(train, r=0.25)
        print(f"{name:17} {len(kept):5} samples  {accuracy(kept):.1f} %")


def _features(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) / 255


if __name__ == "__main__":
    main()

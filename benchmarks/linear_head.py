"""What a kept part of CIFAR-100 is worth to a linear head on features, against a random part.

Every sampler sees the features of the 50,000 training images alone. A linear head on their first
256 principal components is trained on what it keeps, by the same number of epochs at every r, and
its accuracy is that on the 10,000 test images. Nothing was tuned: settings are the samplers'
defaults, and the head's were fixed beforehand. `cc-rs` draws anew for each seed; for the others the
seed is of the head. Differences are to `cc-rs` of the same seed, with 95 % t intervals.

    python benchmarks/linear_head.py --dataset npz:.data/cifar100.npz --folder results/features
"""

from __future__ import annotations

import argparse
import platform
import time

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

from proxysample import create_sampler, embed, load_dataset
from proxysample.registry import takes_parameter

N_COMPONENTS, EPOCHS, BATCH, RATE, MOMENTUM, DECAY = 256, 30, 128, 0.05, 0.9, 5e-4
SAMPLERS: list[tuple[str, dict[str, object]]] = [
    ("herding", {}),
    ("d2", {}),
    ("facility-location", {}),
    ("moderate", {}),
    ("prototypes", {}),
    ("k-center", {}),
    ("semdedup", {}),
    ("cc-or", {}),
    ("km-or", {"random_state": 0}),
]


class Head:
    """A linear classifier on principal components, trained anew for each kept set."""

    def __init__(self, features: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> None:
        centred = features - features.mean(axis=0)
        *_, directions = np.linalg.svd(centred[:8_000], full_matrices=False)
        self._mean, self._directions = features.mean(axis=0), directions[:N_COMPONENTS].T
        self._scale = float((centred @ self._directions).std())
        self.n_classes = int(labels.max()) + 1

    def project(self, features: npt.NDArray[np.float32]) -> torch.Tensor:
        """Bring features to the head's coordinates."""
        return torch.from_numpy((features - self._mean) @ self._directions / self._scale).float()

    def train(
        self, inputs: torch.Tensor, labels: torch.Tensor, kept: torch.Tensor, seed: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Train on the kept rows by SGD with a cosine schedule."""
        order = torch.Generator().manual_seed(seed)
        weights = torch.zeros(N_COMPONENTS, self.n_classes, requires_grad=True)
        bias = torch.zeros(self.n_classes, requires_grad=True)
        optimizer = torch.optim.SGD([weights, bias], RATE, MOMENTUM, weight_decay=DECAY)
        n_steps = EPOCHS * -(-len(kept) // BATCH)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
        for _ in range(EPOCHS):
            for rows in kept[torch.randperm(len(kept), generator=order)].split(BATCH):
                outputs = inputs[rows] @ weights + bias
                loss = torch.nn.functional.cross_entropy(outputs, labels[rows])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
        return weights.detach(), bias.detach()


def main(arguments: list[str] | None = None) -> None:
    """Train and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="npz:.data/cifar100.npz")
    parser.add_argument("--folder", default="results/features", help="where features are kept")
    parser.add_argument("--features", help="an .npy of features instead, training part first")
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.05, 0.1, 0.25, 0.5])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(arguments)

    splits = load_dataset(options.dataset)
    train, test = splits.train, splits.require_test()
    if options.features is None:
        parts = [np.asarray(embed(part, folder=options.folder)) for part in (train, test)]
    else:
        both = np.load(options.features, mmap_mode="r")
        parts = [np.array(both[: len(train)]), np.array(both[len(train) :])]
    labels, test_labels = (
        torch.as_tensor(np.asarray(part.targets), dtype=torch.int64) for part in (train, test)
    )
    head = Head(parts[0], labels.numpy())
    inputs, test_inputs = (head.project(part) for part in parts)

    def accuracy(kept: npt.NDArray[np.int64], seed: int) -> float:
        weights, bias = head.train(inputs, labels, torch.from_numpy(kept), seed)
        right = (test_inputs @ weights + bias).argmax(dim=1) == test_labels
        return 100 * float(right.float().mean())

    seeds = range(options.seeds)
    print(
        f"{len(train):,} training and {len(test):,} test images, {parts[0].shape[1]} features, "
        f"{options.seeds} seeds, equal epochs; {platform.machine()}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    full = [accuracy(np.arange(len(train)), seed) for seed in seeds]
    print(f"full data: {np.mean(full):.1f}\n")
    print("| sampler | " + " | ".join(f"r = {r:g}" for r in options.ratios) + " | scoring CPU s |")
    print("|---" * (len(options.ratios) + 2) + "|")
    drawn = [
        create_sampler("cc-rs", random_state=seed).rank(parts[0], y=labels.numpy())
        for seed in seeds
    ]
    random = {
        r: np.array([accuracy(drawn[seed].select(r), seed) for seed in seeds])
        for r in options.ratios
    }
    words = [f"{random[r].mean():.1f} ± {random[r].std(ddof=1):.1f}" for r in options.ratios]
    print("| cc-rs | " + " | ".join(words) + " | 0.0 |", flush=True)
    t = float(stats.t.ppf(0.975, options.seeds - 1))
    for name, parameters in SAMPLERS:
        start = time.process_time()
        own = {"features": parts[0]} if takes_parameter(name, "features") else {}
        sampler = create_sampler(name, **own, **parameters)
        ranking = sampler.rank(parts[0], y=labels.numpy())
        spent = time.process_time() - start
        words = []
        for r in options.ratios:
            kept = ranking.select(r)
            found = np.array([accuracy(kept, seed) for seed in seeds])
            gains = found - random[r]
            half = t * gains.std(ddof=1) / np.sqrt(options.seeds)
            words.append(f"{found.mean():.1f} ({gains.mean():+.1f} ± {half:.1f})")
        print(f"| {name} | " + " | ".join(words) + f" | {spent:.1f} |", flush=True)


if __name__ == "__main__":
    main()

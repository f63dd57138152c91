"""Measure how far three readings of one autoencoder ranking agree on the real CIFAR-100.

The paper's text ranks by mean squared error, its code trains with binary cross-entropy and scores
with the two arguments of that swapped. Printed are rank correlations, the overlap of the kept
sets, and how many pixels of each kept set are exactly black or white, as Markdown. A second
seed of the first loss shows how much of a disagreement is chance. Cross-entropy is also taken
above its floor: of a perfect reconstruction it is not zero but the entropy of the image's values.

    python benchmarks/autoencoder_agreement.py --images 5000 --epochs 20
"""

from __future__ import annotations

import argparse
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import spearmanr
from torch import Tensor

from proxysample import AutoencoderLoss, Ranking, load_dataset
from proxysample.data.reading import Samples
from proxysample.features.batches import ImageTensors
from proxysample.samplers.autoencoder import reconstruction_losses
from proxysample.samplers.networks import binary_cross_entropy, swapped_binary_cross_entropy

RATIOS = (0.25, 0.5, 0.75)
OTHER_SEED = "mse, other seed"

Images = npt.NDArray[np.uint8]


def rank_all(images: Images, options: argparse.Namespace) -> tuple[dict[str, Ranking], str]:
    """Train three autoencoders, rank by five scores, and tell what the swapped one is made of."""
    shared = {"epochs": options.epochs, "device": options.device, "progress": options.progress}
    mse, bce, other = (
        AutoencoderLoss(loss=loss, random_state=seed, **shared).fit(images)
        for loss, seed in (
            ("mse", options.random_state),
            ("bce", options.random_state),
            ("mse", options.random_state + 1),
        )
    )
    # The swapped score belongs to the network that "bce" trained: `protocol="paper"` with the
    # same seed trains it over again.
    tensors = ImageTensors(Samples(images), next(bce.network_.parameters()).device)
    swapped = reconstruction_losses(bce.network_, tensors, swapped_binary_cross_entropy)
    floor = reconstruction_losses(torch.nn.Identity(), tensors, binary_cross_entropy)
    saturated = reconstruction_losses(bce.network_, tensors, swapped_loss_of_saturated_values)
    rankings = {
        "mse": mse.ranking_,
        "bce": bce.ranking_,
        "bce, swapped": Ranking(swapped),
        "bce above its floor": Ranking(bce.scores_ - floor),
        OTHER_SEED: other.ranking_,
    }
    makeup = (
        f"Values that are exactly 0 or 255 make up {percent(saturated.sum() / swapped.sum())} of "
        "the swapped scores; the rank correlation of their part with the whole score is "
        f"{spearmanr(saturated, swapped).statistic:.3f}."
    )
    return rankings, makeup


def swapped_loss_of_saturated_values(reconstruction: Tensor, images: Tensor) -> Tensor:
    """Give the swapped loss of values that are exactly 0 or 1, and zero elsewhere."""
    saturated = (images == 0) | (images == 1)
    return swapped_binary_cross_entropy(reconstruction, images) * saturated


def agreement(rankings: dict[str, Ranking]) -> list[list[str]]:
    """Compare every pair: rank correlation and shared part of the kept sets."""
    rows = []
    for (first, a), (second, b) in combinations(rankings.items(), 2):
        if OTHER_SEED in (first, second) and first != "mse":
            continue
        correlation = spearmanr(a.scores, b.scores).statistic
        shared = [
            len(np.intersect1d(a.select(r), b.select(r), assume_unique=True)) / len(a.select(r))
            for r in RATIOS
        ]
        rows.append([f"{first} / {second}", f"{correlation:.3f}", *map(percent, shared)])
    return rows


def saturation(images: Images, rankings: dict[str, Ranking]) -> list[list[str]]:
    """Tell what share of the kept sets' values is exactly 0 or 255."""
    shares = ((images == 0) | (images == 255)).reshape(len(images), -1).mean(axis=1)
    rows = [["all images", "", *[percent(shares.mean())] * len(RATIOS)]]
    for name, ranking in rankings.items():
        kept = [percent(shares[ranking.select(r)].mean()) for r in RATIOS]
        rows.append([name, f"{spearmanr(ranking.scores, shares).statistic:.3f}", *kept])
    return rows


def percent(share: float) -> str:
    """Write a share as percent."""
    return f"{100 * share:.1f} %"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Write a table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Rank, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Formatter)
    parser.add_argument("--data", default=".data/cifar100.npz", help="CIFAR-100 as .npz")
    parser.add_argument("--images", type=int, default=5000, help="how many, drawn at random")
    parser.add_argument("--epochs", type=int, default=20, help="of each of three trainings")
    parser.add_argument("--random-state", type=int, default=0, help="seed")
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto")
    parser.add_argument("--threads", type=int, default=2, help="on the CPU")
    parser.add_argument("--progress", action="store_true", help="show progress bars")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train = load_dataset(f"npz:{Path(options.data)}").train
    n_images = min(options.images, len(train))
    chosen = np.random.default_rng(options.random_state).permutation(len(train))[:n_images]
    images = train.images[np.sort(chosen)]
    started = time.perf_counter()
    rankings, makeup = rank_all(images, options)
    seconds = time.perf_counter() - started
    ratios = [f"r = {r:g}" for r in RATIOS]
    print(
        f"{n_images:,} images of {options.data}, {options.epochs} epochs, three trainings in "
        f"{seconds:.0f} s\n\nRank correlation (Spearman), and the part of the kept sets that "
        f"both have (r by chance):\n\n"
        + markdown(["scores", "correlation", *ratios], agreement(rankings))
        + "\n\nValues that are exactly 0 or 255 in the kept sets, and the rank correlation of "
        "an image's score with its own share of them:\n\n"
        + markdown(["kept by", "correlation", *ratios], saturation(images, rankings))
        + f"\n\n{makeup}"
    )


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keep the text's lines, and show the defaults."""


if __name__ == "__main__":
    main()

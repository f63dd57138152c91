"""Scores that are known beforehand, so that what has to come out is known too."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np

from proxysample.data.datasets import ArrayDataset

N = 8
CONFIGURATIONS = [f"c{number}" for number in range(N)]


def dataset(n=100):
    """Ten classes of one value each and some noise: cc-or keeps values near the class mean."""
    rng = np.random.default_rng(0)
    targets = np.arange(n) % 2
    return ArrayDataset(rng.normal(size=(n, 3)), targets)


def spread_of(train):
    values, targets = np.asarray(train.images), np.asarray(train.targets)
    means = np.stack([values[targets == one].mean(axis=0) for one in (0, 1)])
    return float(np.abs(values - means[targets]).mean())


def planted(configuration, train, held_out, seed, passes=1.0):
    """Rank rightly on wide data, wrongly on narrow ones, and nearly rightly on whatever is random.

    The full data and random parts of them have a spread of about 0.8.
    """
    quality = float(configuration[1:])
    spread = spread_of(train)
    if spread < 0.6:
        return -quality
    if spread > 1.0:
        return quality
    rng = np.random.default_rng([seed, len(train), int(quality)])
    return quality + 0.8 * rng.normal()


def noted(configuration, train, held_out, seed, passes=1.0):
    """Write down what was asked for, and give the quality."""
    with Path(os.environ["NOTES"]).open("a") as stream:
        stream.write(f"{configuration} {len(train)} {len(held_out)} {seed} {passes:g}\n")
    limit = os.environ.get("KILL_AFTER")
    if limit and len(Path(os.environ["NOTES"]).read_text().splitlines()) >= int(limit):
        os.kill(os.getpid(), signal.SIGKILL)
    return float(configuration[1:]) + seed

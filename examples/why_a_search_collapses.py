"""Search one cell in several ways, and watch skip connections come or stay away.

    .venv/bin/python examples/why_a_search_collapses.py

Runs DARTS on the digits' training part, plainly, on a quarter of it, and with each remedy of
docs/collapse.md; evaluates every cell on the test part by a short training from scratch; and prints
a table. Two processes of one thread each, a few minutes.
"""

from __future__ import annotations

import itertools
import math
import multiprocessing
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch

from proxysample import create_sampler, load_dataset
from proxysample_nas.searchers import DARTS, SearchCollapseWarning
from proxysample_nas.training.trainer import CellTrainer

SEEDS = (0, 1)
RATIO = 0.25
# Settings that favour a collapse: many cells in a row, and an architecture that learns fast.
SEARCH: dict[str, Any] = {
    "n_nodes": 4,
    "channels": 4,
    "cells_per_stage": 2,
    "epochs": 24,
    "learning_rate": 0.1,
    "architecture_learning_rate": 0.1,
    "augmentation": None,
}


def steps_on_all_data() -> int:
    """Count the updates of a plain search's epoch: half of the data trains the weights."""
    return math.ceil(len(load_dataset("digits").train) / 2 / DARTS().batch_size)


# The share of the training data, and the changes to the settings.
WAYS: dict[str, tuple[float, dict[str, Any]]] = {
    "plain": (1.0, {}),
    "quarter of the data": (RATIO, {}),
    "quarter, equal steps": (RATIO, {"steps_per_epoch": steps_on_all_data()}),
    "beta_regularization=50": (1.0, {"beta_regularization": 50.0}),
    "stop_at_skips=4": (1.0, {"stop_at_skips": 4}),
    "stop_when_stable=5": (1.0, {"stop_when_stable": 5}),
    'selection="perturbation"': (1.0, {"selection": "perturbation", "perturbation_epochs": 2}),
}


def run(way: str, seed: int) -> str:
    """Search and evaluate one cell; give its row of the table."""
    torch.set_num_threads(1)
    ratio, changes = WAYS[way]
    splits = load_dataset("digits")
    train, test = splits.train, splits.require_test()
    proxy = train if ratio == 1 else create_sampler("cc-or").subset(train, r=ratio)
    searcher = DARTS(**SEARCH, **changes, random_state=seed, device="cpu", progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SearchCollapseWarning)
        result = searcher.search(proxy)
    trainer = CellTrainer(
        channels=8,
        cells_per_stage=2,
        epochs=8,
        batch_size=64,
        learning_rate=0.1,
        augmentation=None,
        seeds=(0, 1),
        device="cpu",
        progress=False,
    )
    accuracy = trainer.evaluate(result.cell, train, test).mean
    skips = "".join(str(record.n_skip_connections) for record in result.history)
    return (
        f"{way:24} {seed:4}  {skips:24} {result.n_steps:7} "
        f"{result.cell.n_skip_connections:5} {accuracy:9.1f} {result.seconds:7.0f}"
    )


def main() -> None:
    start = time.perf_counter()
    print(
        f"{'search':24} seed  {'skips, each epoch':24} updates  cell  accuracy seconds\n"
        f"{'':24}       {'(of 6 edges)':24}         skips         %"
    )
    jobs = list(itertools.product(WAYS, SEEDS))
    # Started anew, so that no process inherits the threads of another.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=2, mp_context=context) as executor:
        for row in executor.map(run, *zip(*jobs, strict=True)):
            print(row, flush=True)
    print(f"\n{time.perf_counter() - start:.0f} seconds in all")


if __name__ == "__main__":
    main()

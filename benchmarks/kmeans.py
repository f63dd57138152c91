"""Compare the default K-Means with the paper's, on the real CIFAR-100: inertia and seconds.

The paper takes the best of 100 random starts by scikit-learn. Some of them are measured here, each
run to its end on all threads, and the time of 100 is extrapolated; the default is measured as a
whole, from reading and standardising to the scores. Runs of the two alternate in one process, so
that whatever else the machine does meets both alike. The first run of the default is not counted
where it is on a GPU: it sets the device up.

    python benchmarks/kmeans.py --starts 5 --seeds 3
    python benchmarks/kmeans.py --starts 1 --seeds 3 --backend torch --device cuda
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from proxysample import KMeansOutlierRemoval, load_dataset
from proxysample.clustering.backends import BACKENDS

PAPER_STARTS = 100


@dataclass(frozen=True)
class Run:
    """What one K-Means came to, and what it took."""

    inertia: float
    n_iter: int
    seconds: float
    cpu_seconds: float


def measure(fit: Callable[[], Any]) -> Run:
    """Time a fit of anything with `inertia_` and `n_iter_`."""
    started, cpu_started = time.perf_counter(), time.process_time()
    fitted = fit()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    return Run(fitted.inertia_, fitted.n_iter_, seconds, cpu_seconds)


def run_both(options: argparse.Namespace) -> tuple[list[Run], list[Run]]:
    """Alternate random starts of scikit-learn with runs of the default."""
    images = read_images(options)
    flat = images.reshape(len(images), -1).astype(np.float32)
    features = StandardScaler(copy=False).fit_transform(flat)
    paper, default = [], []
    if options.device.startswith("cuda"):
        default_sampler(options, 0).fit(images[: 20 * options.n_clusters])
    for number in range(max(options.starts, options.seeds)):
        if number < options.seeds:
            sampler = default_sampler(options, number)
            default.append(measure(lambda sampler=sampler: sampler.fit(images)))
            print(row("default", number, default[-1]), flush=True)
        if number < options.starts:
            start = KMeans(
                options.n_clusters, init="random", n_init=1, max_iter=300, random_state=number
            )
            paper.append(measure(lambda start=start: start.fit(features)))
            print(row("paper, one start", number, paper[-1]), flush=True)
    return paper, default


def read_images(options: argparse.Namespace) -> np.ndarray[Any, Any]:
    """Read the images, or blur noise around 50 pictures where there are none."""
    if options.data != "synthetic":
        images: np.ndarray[Any, Any] = load_dataset(f"npz:{options.data}").train.images
        return images[: options.limit]
    random = np.random.default_rng(0)
    n = options.limit or 50_000
    coarse = random.integers(0, 256, (50, 8, 8, 3), dtype=np.uint8)
    pictures = coarse.repeat(4, axis=1).repeat(4, axis=2)[random.integers(50, size=n)]
    noise: np.ndarray[Any, Any] = random.integers(0, 256, pictures.shape, dtype=np.uint8)
    return pictures // 2 + noise // 2


def default_sampler(options: argparse.Namespace, seed: int) -> KMeansOutlierRemoval:
    """Set the default up, on the backend and device that were asked for."""
    return KMeansOutlierRemoval(
        n_clusters=options.n_clusters,
        backend=options.backend,
        device=options.device,
        random_state=seed,
    )


def row(name: str, seed: int, run: Run) -> str:
    """Write one run as a row of the table."""
    return (
        f"| {name} | {seed} | {run.inertia:,.0f} | {run.n_iter} "
        f"| {run.seconds:.1f} | {run.cpu_seconds:.1f} |"
    )


def summary(paper: Sequence[Run], default: Sequence[Run]) -> str:
    """Write what the runs say about the two."""
    median = statistics.median(run.inertia for run in paper)
    worst = max(run.inertia for run in default)
    lines = [
        f"Inertia: median of {len(paper)} random starts {median:,.0f}, best "
        f"{min(run.inertia for run in paper):,.0f}; worst of {len(default)} seeds of the default "
        f"{worst:,.0f} ({100 * (worst / median - 1):+.2f} % of the median)."
    ]
    for unit in ("seconds", "cpu_seconds"):
        all_starts = PAPER_STARTS * statistics.mean(getattr(run, unit) for run in paper)
        once = statistics.mean(getattr(run, unit) for run in default)
        lines.append(
            f"{unit.replace('_', ' ').capitalize()}: {PAPER_STARTS} random starts "
            f"{all_starts:,.0f} (extrapolated), the default {once:.1f}: "
            f"1/{all_starts / once:.0f} of them."
        )
    return "\n\n".join(lines)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", default=".data/cifar100.npz", help="an .npz of images, or synthetic"
    )
    parser.add_argument("--limit", type=int, help="use the first images only")
    parser.add_argument("--n-clusters", type=int, default=100)
    parser.add_argument("--starts", type=int, default=5, help="random starts measured")
    parser.add_argument("--seeds", type=int, default=3, help="runs of the default")
    parser.add_argument("--backend", default="auto", choices=BACKENDS, help="of the default")
    parser.add_argument("--device", default="cpu", help="of the default, such as cuda")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a Markdown table of all runs, and the ratios."""
    options = parse(arguments)
    print(f"{options.data}, the default by {options.backend} on {options.device}\n")
    print("| | seed | inertia | passes | seconds | CPU seconds |")
    print("|---|---|---|---|---|---|")
    print("\n" + summary(*run_both(options)))


if __name__ == "__main__":
    main()

"""Peak memory of every sampler on a small and a large dataset that is decoded image by image.

Each sampler runs in a process of its own, on images of 224 x 224 x 3 that are computed from their
index when they are asked for, as a dataset of files decodes them. The peak is that of the process
(``ru_maxrss``); the pages of files that the system holds for it do not count.

    python benchmarks/streaming.py                       # 20,000 against 200,000
    python benchmarks/streaming.py --sizes 2000 20000    # in minutes
    python benchmarks/streaming.py --samplers tl km-or --side 16 --image-size 16  # in a minute
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np

SIDE = 224
N_CLASSES = 10
SAMPLERS = ("rs", "cc-rs", "cc-or", "km-or", "ae", "tl")
MOST_MEGABYTES = 1_500
MOST_DIFFERENCE = 0.1


class Photos:
    """Images that are made when they are asked for: a class's pattern, moved and lit otherwise."""

    def __init__(self, n_images: int, side: int) -> None:
        self.targets = [index % N_CLASSES for index in range(n_images)]
        self._side = side
        self._patterns = np.random.default_rng(0).integers(
            0, 200, (N_CLASSES, 2 * side, 2 * side, 3), dtype=np.uint8
        )

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[np.ndarray[Any, Any], int]:
        label = self.targets[index]
        side = self._side
        top, left = index * 7_919 % side, index * 104_729 % side
        image = self._patterns[label, top : top + side, left : left + side]
        return image + np.uint8(index % 56), label


def create(name: str, options: argparse.Namespace) -> Any:
    """Give a sampler with a small network, or few passes."""
    from torch import nn

    from proxysample import create_sampler

    shared: dict[str, Any] = {"num_workers": options.num_workers, "cache": options.cache or True}
    sized = {**shared, "image_size": options.image_size}
    if name in ("rs", "cc-rs"):
        return create_sampler(name, random_state=0)
    if name == "cc-or":
        return create_sampler(name, **sized)
    if name == "km-or":
        return create_sampler(name, n_clusters=10, n_init=1, max_iter=3, random_state=0, **sized)
    if name == "ae":
        return create_sampler(
            name, epochs=1, training_batch_size=256, latent_channels=4, random_state=0, **sized
        )
    network = nn.Sequential(nn.AvgPool2d(options.side // 8), nn.Flatten())
    return create_sampler(name, backbone=network, epochs=1, random_state=0, **shared)


def measure(options: argparse.Namespace) -> None:
    """Select in this process, and print what it took."""
    dataset = Photos(options.sizes[0], options.side)
    sampler = create(options.samplers[0], options)
    start = time.perf_counter()
    kept = sampler.select(dataset, 0.1)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"kept": len(kept), "seconds": seconds, "megabytes": peak}))


def measured(name: str, n_images: int, options: argparse.Namespace) -> dict[str, float]:
    """Measure in a new process."""
    words = ["--measure", "--samplers", name, "--sizes", str(n_images)]
    words += ["--side", str(options.side), "--image-size", str(options.image_size)]
    words += ["--num-workers", str(options.num_workers)]
    words += ["--cache", options.cache] if options.cache else []
    done = subprocess.run(
        [sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Print a table, and end with an error where the memory follows the number of images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS), choices=SAMPLERS)
    parser.add_argument("--side", type=int, default=SIDE, help="of the images, a multiple of 8")
    parser.add_argument("--image-size", type=int, default=64, help="of samplers on pixels")
    parser.add_argument("--num-workers", type=int, default=0)
    parser.add_argument("--cache", default="", help="folder of the temporary file")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options)
        return
    failed = False
    print(f"{'sampler':8} {'images':>8} {'seconds':>8} {'peak MB':>8} {'of the first':>13}")
    for name in options.samplers:
        first = 0.0
        for n_images in options.sizes:
            found = measured(name, n_images, options)
            first = first or found["megabytes"]
            ratio = found["megabytes"] / first
            failed |= ratio > 1 + MOST_DIFFERENCE or found["megabytes"] > MOST_MEGABYTES
            print(
                f"{name:8} {n_images:8,} {found['seconds']:8.1f} {found['megabytes']:8.0f} "
                f"{ratio:13.3f}",
                flush=True,
            )
    if failed:
        raise SystemExit("the memory follows the number of images, or is too much")


if __name__ == "__main__":
    main()

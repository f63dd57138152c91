"""Compare the throughput of embed with the bare forward passes of its backbone, in one run.

Two datasets: synthetic photos as JPEG files, decoded in workers while the network computes, and an
array of small images as CIFAR has. The bare passes get tensors that are decoded already. Both
take turns, so that whatever else the machine does meets both.

    python benchmarks/embed.py --photos 512 --small 2048 --threads 1 --num-workers 1
    python benchmarks/embed.py --device cuda --untrained --photos 4096 --small 50000 --num-workers 8
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from proxysample import embed, load_dataset
from proxysample.data.images import Fitting
from proxysample.data.reading import Samples
from proxysample.device import deterministic_kernels, resolve_device
from proxysample.features.backbones import Backbone, as_backbone
from proxysample.features.embedding import Embedder


def write_photos(folder: Path, n_photos: int) -> None:
    """Write smooth random pictures of 320x240 in two classes."""
    from PIL import Image

    random = np.random.default_rng(0)
    for index in range(n_photos):
        file = folder / "ab"[index % 2] / f"{index:06}.jpg"
        file.parent.mkdir(exist_ok=True)
        coarse = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC).save(file, quality=90)


def load_network(options: argparse.Namespace) -> Backbone:
    """Load the network: with its weights, or with random ones, which take as long."""
    if not options.untrained:
        return as_backbone(options.backbone)
    import timm

    network = timm.create_model(options.backbone, pretrained=False, num_classes=0)
    return Backbone(network, mean=(0.5,) * 3, std=(0.5,) * 3, native=Fitting(224, 0.875))


def decoded(dataset: Any, backbone: Backbone, device: torch.device) -> tuple[list[Any], bool]:
    """Decode a dataset to the batches that embed gives the network."""
    embedder = Embedder(Samples(dataset), backbone, device)
    batches = [batch.clone() for batch in embedder._batches([slice(0, len(dataset))])]
    return batches, embedder.form is not None and embedder.form.fitting is not None


def seconds_bare(backbone: Backbone, batches: list[Any], is_fitted: bool) -> float:
    """Time the forward passes alone."""
    started = time.perf_counter()
    with torch.inference_mode(), deterministic_kernels():
        for batch in batches:
            backbone(batch, is_fitted)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def seconds_embedded(dataset: Any, options: argparse.Namespace) -> float:
    """Time embed from the beginning to the finished store, loading of the network left out."""
    backbone = load_network(options)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        embed(
            dataset,
            folder=folder,
            backbone=backbone,
            device=options.device,
            num_workers=options.num_workers,
        )
        return time.perf_counter() - started


def row(name: str, dataset: Any, options: argparse.Namespace) -> str:
    """Measure both in turn, and write a row of the table."""
    device = resolve_device(options.device)
    backbone = load_network(options).to(device)
    batches, is_fitted = decoded(dataset, backbone, device)
    seconds_bare(backbone, batches[:1], is_fitted)
    bare, embedded = [], []
    for _ in range(options.repeats):
        bare.append(seconds_bare(backbone, batches, is_fitted))
        embedded.append(seconds_embedded(dataset, options))
    n = len(dataset)
    ratios = [b / e for b, e in zip(bare, embedded, strict=True)]
    size = "x".join(map(str, batches[0].shape[1:]))
    return (
        f"| {name} | {n:,} | {size} | {n / statistics.median(bare):.1f} "
        f"| {n / statistics.median(embedded):.1f} | {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}) |"
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=512)
    parser.add_argument("--small", type=int, default=2048)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--untrained", action="store_true", help="with random weights")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1, help="of the network on a CPU")
    parser.add_argument("--num-workers", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a Markdown table."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    print(
        f"{options.backbone} on {resolve_device(options.device)}, {options.threads} threads, "
        f"{options.num_workers} workers, torch {torch.__version__}; median of n = "
        f"{options.repeats}\n"
    )
    print("| dataset | images | decoded to | bare, images/s | embed, images/s | ratio |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder), options.photos)
        print(row("photos", load_dataset(f"folder:{folder}").train, options), flush=True)
    shape = (options.small, 32, 32, 3)
    small = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    print(row("small images", small, options), flush=True)


if __name__ == "__main__":
    main()

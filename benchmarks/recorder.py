"""What recording costs beside a training step of ResNet-18, and what it keeps in memory.

A step is forward, backward and SGD on a batch of 32 x 32 images. An epoch of the recorder is a
`record` a batch and one `end_epoch`, over 50,000 samples; its cost is told a step. Outputs and
labels are on the device already, as a training has them, and indices on the host. On a GPU both
are waited for, so that what the recorder leaves to the device is counted.

    python benchmarks/recorder.py --classes 100 --steps 5
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import timm
import torch

from proxysample import DynamicsRecorder


def resnet18(n_classes: int) -> torch.nn.Module:
    """ResNet-18 as it is trained on CIFAR: a first convolution of 3 x 3, no pooling after it."""
    network = timm.create_model("resnet18", num_classes=n_classes)
    network.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = torch.nn.Identity()
    module: torch.nn.Module = network
    return module


def seconds(function: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Tell the time of the clock and of the processor, all that the device does included."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start, busy = time.perf_counter(), time.process_time()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, time.process_time() - busy


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3, help="of the recorder")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    print(
        f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"{options.samples:,} samples, batches of {options.batch}; CPU seconds in brackets\n"
    )
    print("| classes | a step, ms | recording, ms a step | share | without tdds | 30 epochs |")
    print("|---" * 6 + "|")
    for n_classes in options.classes:
        train, train_busy = step_cost(n_classes, options.batch, options.steps, device)
        sizes = options.samples, n_classes, options.batch, options.epochs
        with_changes = epoch_cost(*sizes, device, changes=True)
        without = epoch_cost(*sizes, device, changes=False)
        # Nine measures an epoch, probabilities of the last epoch and sums of the next.
        memory = 30 * options.samples * (8 + 1 + 8 * 4) + 2 * 4 * options.samples * n_classes
        # The clock of a busy machine tells little; that of the processor nothing of a GPU.
        which = 1 if device.type == "cpu" else 0
        share = with_changes[which] / (train, train_busy)[which]
        print(
            f"| {n_classes} | {1e3 * train:.1f} ({1e3 * train_busy:.1f}) "
            f"| {1e3 * with_changes[0]:.3f} ({1e3 * with_changes[1]:.3f}) "
            f"| {share:.3%} "
            f"| {1e3 * without[0]:.3f} ({1e3 * without[1]:.3f}) | {memory / 1e6:.0f} MB |",
            flush=True,
        )


def step_cost(n_classes: int, batch: int, steps: int, device: torch.device) -> tuple[float, float]:
    """Train some steps, and give the median of what one costs."""
    network = resnet18(n_classes).to(device)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, 0.9)
    images = torch.randn(batch, 3, 32, 32, device=device)
    labels = torch.randint(n_classes, (batch,), device=device)

    def step() -> None:
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    seconds(step, device)
    found = [seconds(step, device) for _ in range(steps)]
    clock, busy = (statistics.median(one) for one in zip(*found, strict=True))
    return clock, busy


def epoch_cost(
    n_samples: int, n_classes: int, batch: int, epochs: int, device: torch.device, *, changes: bool
) -> tuple[float, float]:
    """Record epochs, and give the median of what one costs, a step."""
    recorder = DynamicsRecorder(n_samples, n_classes, changes=changes)
    generator = np.random.default_rng(0)
    labels = torch.from_numpy(generator.integers(n_classes, size=n_samples))
    outputs = torch.randn(n_samples, n_classes, device=device)
    on_device = labels.to(device)

    order = torch.from_numpy(generator.permutation(n_samples))
    there = order.to(device)
    batches = list(
        zip(
            order.split(batch),
            outputs[there].split(batch),
            on_device[there].split(batch),
            strict=True,
        )
    )

    def epoch() -> None:
        for rows, some, classes in batches:
            recorder.record(rows, some, classes)
        recorder.end_epoch()

    seconds(epoch, device)
    found = [seconds(epoch, device) for _ in range(epochs)]
    n_steps = -(-n_samples // batch)
    clock, busy = (statistics.median(one) / n_steps for one in zip(*found, strict=True))
    return clock, busy


if __name__ == "__main__":
    main()

"""Show what each sampler costs on a dataset: seconds, processor seconds and peak memory.

Each sampler runs in a process of its own, with its default parameters, and keeps a quarter. The
peak counts all of the process; the memory at the start is what the dataset and the imports take.

    python benchmarks/samplers.py --dataset npz:.data/cifar100.npz
    python benchmarks/samplers.py --dataset npz:.data/cifar100.npz --sampler ae --param epochs=1
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.scale import peak_megabytes
from proxysample import create_sampler, list_samplers, load_dataset
from proxysample.registry import takes_parameter
from proxysample.wording import parse_parameters


def measure(dataset: str, name: str, words: list[str]) -> None:
    """Rank and select in this process, and print what it took as JSON."""
    train = load_dataset(dataset).train
    seed = {"random_state": 0} if takes_parameter(name, "random_state") else {}
    sampler = create_sampler(name, **(seed | parse_parameters(words)))
    at_start = peak_megabytes()
    started, cpu_started = time.perf_counter(), time.process_time()
    kept = sampler.select(train, 0.25)
    print(
        json.dumps(
            {
                "sampler": repr(sampler),
                "n": len(train),
                "kept": len(kept),
                "seconds": time.perf_counter() - started,
                "cpu_seconds": time.process_time() - cpu_started,
                "at_start": at_start,
                "peak": peak_megabytes(),
            }
        )
    )


def row(dataset: str, name: str, words: list[str]) -> str:
    """Measure in a new process and write a row of the table."""
    command = [sys.executable, __file__, "--measure", "--dataset", dataset, "--sampler", name]
    command += [part for word in words for part in ("--param", word)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout)
    return (
        f"| {name} | `{found['sampler']}` | {found['n']:,} | {found['kept']:,} "
        f"| {found['seconds']:.1f} | {found['cpu_seconds']:.1f} | {found['at_start']:.0f} "
        f"| {found['peak']:.0f} |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--sampler", action="append", choices=list_samplers())
    parser.add_argument("--param", action="append", default=[])
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        measure(options.dataset, options.sampler[0], options.param)
        return
    print("| | sampler | samples | kept | seconds | CPU seconds | MB at start | peak MB |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.sampler or list_samplers():
        print(row(options.dataset, name, options.param), flush=True)


if __name__ == "__main__":
    main()

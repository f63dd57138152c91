"""Show seconds and peak memory of cc-or and km-or as the number of samples grows.

The data are a store of float16 features in groups, as embed keeps them, made once; each run is a
process of its own, which ranks the first n rows of its memory map and keeps a quarter of them. The
peak counts all of the process: imports, arrays, and the pages of the memory map that it has read.

    python benchmarks/scale.py --sizes 10000 100000 1000000 10000000
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROWS_PER_BLOCK = 8192
N_GROUPS = 150


def write_data(folder: Path, n_rows: int, n_columns: int) -> None:
    """Write features and labels of classes of uneven sizes."""
    from proxysample.features.store import FORMAT, key_of
    from proxysample.features.store_writer import StorePlan, StoreWriter

    random = np.random.default_rng(0)
    middles = random.normal(0, 2, (N_GROUPS, n_columns))
    shares = random.dirichlet(np.full(N_GROUPS, 20.0))
    groups = random.choice(N_GROUPS, n_rows, p=shares)
    made_of = {"dataset": "groups", "n_samples": n_rows, "n_features": n_columns}
    plan = StorePlan(
        FORMAT, key_of(made_of), n_rows, n_columns, "float16", ROWS_PER_BLOCK, {"device": "cpu"}
    )
    with StoreWriter(folder, plan) as writer:
        for block in writer.missing:
            labels = groups[plan.rows_of(block)]
            noise = random.standard_normal((len(labels), n_columns), dtype=np.float32)
            writer.write(block, middles[labels] + noise)
        writer.finish(made_of, {}, groups, None)


def measure(folder: Path, name: str, n_rows: int, n_clusters: int) -> None:
    """Rank and select in this process, and print what it took as JSON."""
    from proxysample import Features, create_sampler

    store = Features.open(folder)
    assert store.labels is not None
    features, labels = store[:n_rows], store.labels[:n_rows]
    chosen = {"n_clusters": n_clusters, "random_state": 0} if name == "km-or" else {}
    sampler = create_sampler(name, **chosen)
    imported = peak_megabytes()
    started, cpu_started = time.perf_counter(), time.process_time()
    kept = sampler.select(features, 0.25, y=labels)
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - started,
                "cpu_seconds": time.process_time() - cpu_started,
                "imported": imported,
                "peak": peak_megabytes(),
                "kept": len(kept),
            }
        )
    )


def peak_megabytes() -> float:
    """Give the most memory that this process has held so far, in units of 2**20 bytes."""
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kibibytes / (2**20 if sys.platform == "darwin" else 2**10)


def row(folder: Path, name: str, n_rows: int, n_clusters: int) -> str:
    """Measure in a new process and write a row of the table."""
    command = [sys.executable, __file__, "--measure", name, "--folder", str(folder)]
    command += ["--sizes", str(n_rows), "--n-clusters", str(n_clusters)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(printed)
    return (
        f"| {name} | {n_rows:,} | {found['kept']:,} | {found['seconds']:.1f} "
        f"| {found['cpu_seconds']:.1f} | {1e6 * found['cpu_seconds'] / n_rows:.1f} "
        f"| {found['imported']:.0f} | {found['peak']:.0f} |"
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10**k for k in range(4, 8)])
    parser.add_argument("--sampler", action="append", choices=["cc-or", "km-or"])
    parser.add_argument("--n-columns", type=int, default=64)
    parser.add_argument("--n-clusters", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="where the data go; default: a temporary one")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def print_table(options: argparse.Namespace, folder: Path) -> None:
    """Write the data, and print a row for each sampler and size."""
    # In a process of its own: on Linux the peak of a process counts that of its parent.
    command = [sys.executable, __file__, "--write", "--folder", str(folder)]
    command += ["--sizes", str(max(options.sizes)), "--n-columns", str(options.n_columns)]
    subprocess.run(command, check=True)
    print("| | samples | kept | seconds | CPU seconds | CPU us a sample | MB at start | peak MB |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.sampler or ["cc-or", "km-or"]:
        for n_rows in options.sizes:
            print(row(folder, name, n_rows, options.n_clusters), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a Markdown table."""
    options = parse(arguments)
    if options.write:
        write_data(options.folder, options.sizes[0], options.n_columns)
    elif options.measure:
        measure(options.folder, options.measure, options.sizes[0], options.n_clusters)
    elif options.folder:
        print_table(options, options.folder)
    else:
        with tempfile.TemporaryDirectory() as folder:
            print_table(options, Path(folder))


if __name__ == "__main__":
    main()

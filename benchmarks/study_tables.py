"""Time how a study's tables are read from its store, here and in another checkout.

The store is that of the preset ``paper``: every experiment has ended, each search in a cell of its
own and with a history of some epochs. Both checkouts read the same file in turn, each time in a
process of its own, so that whatever else the machine does meets both alike.

    git worktree add ../before 484fa2e
    python benchmarks/study_tables.py --before ../before --repeats 3
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, os.environ.get("CHECKOUT", str(HERE)))

SEARCHER = "darts-v1"


def write_store(folder: Path, n_epochs: int) -> int:
    """Write all results of the paper's study but its transfers; give their number."""
    from proxysample_nas.space.cell import Cell
    from proxysample_nas.space.operations import NAS_BENCH_201
    from proxysample_nas.study import preset
    from tests.proxysample_nas.study.written_store import CIFAR100, write_results

    draws = random.Random(0)
    cells: dict[tuple[str, int], Cell] = {}

    def cell_of(setting: Any, seed: int) -> tuple[Cell, float]:
        words = [draws.choice(NAS_BENCH_201.operations) for _ in range(10)]
        return cells.setdefault((repr(setting), seed), Cell(tuple(words))), 3_600.0

    configuration = json.loads(dataclasses.replace(preset("paper"), transfers=()).to_json())
    results = write_results(
        folder,
        cell_of,
        lambda *_: [draws.uniform(50, 75) for _ in range(3)],
        info=dataclasses.replace(CIFAR100, split="test half"),
        **configuration,
    )
    weights = [[draws.random() for _ in NAS_BENCH_201.operations] for _ in range(10)]
    history = [{"epoch": epoch, "architecture_weights": weights} for epoch in range(n_epochs)]
    with sqlite3.connect(results.store.path) as connection:
        connection.execute(
            "UPDATE experiments SET result = json_set(result, '$.history', json(?)) "
            "WHERE kind = 'search'",
            [json.dumps(history)],
        )
    return len(results.store.states())


def measure(folder: Path) -> None:
    """Print, as JSON, what each way of reading takes in this process's checkout."""
    from proxysample_nas.study import Study

    counts = {"connections": 0, "queries": 0}
    connect = sqlite3.connect

    def count(*given: Any, **named: Any) -> sqlite3.Connection:
        counts["connections"] += 1
        connection: sqlite3.Connection = connect(*given, **named)
        connection.set_trace_callback(tell)
        return connection

    def tell(statement: str) -> None:
        counts["queries"] += statement.startswith("SELECT")

    sqlite3.connect = count  # type: ignore[assignment]
    study = Study.open(folder)
    searchers = [one.label for one in study.configuration.searchers]
    first = next(one.label for one in study.configuration.searchers if one.name == SEARCHER)
    ways: dict[str, Callable[[], object]] = {
        "rows of one searcher": lambda: study.rows(first),
        "one table": lambda: study.table(first),
        "rows of every searcher": lambda: [study.rows(one) for one in searchers],
        "all results": study.results,
        "status": study.status,
    }
    print(json.dumps({name: timed(way, counts) for name, way in ways.items()}))


def timed(way: Callable[[], object], counts: dict[str, int]) -> dict[str, float]:
    """Give the seconds of a call, those of the processor, and how often it asked the store."""
    counts.update(connections=0, queries=0)
    start, of_processor = time.perf_counter(), time.process_time()
    way()
    seconds = {
        "seconds": time.perf_counter() - start,
        "processor": time.process_time() - of_processor,
    }
    return seconds | counts


def measured_in(checkout: Path, folder: Path) -> Mapping[str, Mapping[str, float]]:
    """Run `measure` with the packages of a checkout."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", str(folder)],
        env=os.environ | {"CHECKOUT": str(checkout.resolve())},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: Mapping[str, Mapping[str, float]] = json.loads(done.stdout)
    return found


def main() -> None:
    """Write a store, read it in turn, print a line for each way of reading."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="another checkout to compare with")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=50, help="length of a search's history")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure is not None:
        measure(given.measure)
        return
    checkouts = ({} if given.before is None else {"before": given.before}) | {"after": HERE}
    with tempfile.TemporaryDirectory() as folder:
        n_experiments = write_store(Path(folder), given.epochs)
        found: dict[str, list[Mapping[str, Mapping[str, float]]]] = {name: [] for name in checkouts}
        for _ in range(given.repeats):
            for name, checkout in checkouts.items():
                found[name].append(measured_in(checkout, Path(folder)))
    processor = platform.processor() or platform.machine()
    print(
        f"{n_experiments:,} experiments, histories of {given.epochs} epochs; {processor}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}, SQLite "
        f"{sqlite3.sqlite_version}; median and range of n = {given.repeats}\n"
    )
    print("| what is read | checkout | seconds | of the processor | connections | queries |")
    print("|---|---|---|---|---|---|")
    for way in found["after"][0]:
        for name, runs in found.items():
            last = runs[-1][way]
            written = [
                _written([run[way][clock] for run in runs]) for clock in ("seconds", "processor")
            ]
            print(
                f"| {way} | {name} | {' | '.join(written)} | {last['connections']:,} | "
                f"{last['queries']:,} |"
            )


def _written(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.3f} ({min(seconds):.3f} to {max(seconds):.3f})"


if __name__ == "__main__":
    main()

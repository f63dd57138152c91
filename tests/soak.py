"""Work that is killed at random, two at a time: nothing is lost, changed or left behind.

``make soak`` runs it for an hour and prints what became of it, in Markdown. Every piece of work is
first run undisturbed; then two runners start pieces side by side, often the same one, and kill them
at moments that are spread over the time of the processor that each takes. At the end all is run to
its end, and compared with what the undisturbed runs gave. Beside them one process does a small part
of everything again and again, so that whatever it does not give back shows.
"""

from __future__ import annotations

import argparse
import csv
import gc
import hashlib
import io
import json
import multiprocessing
import os
import platform
import random
import shutil
import signal
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .forked import Forked, forkserver

SECONDS_TO_END = 120.0
"""How long what was told to end, and what has lost its parent, may take on a busy machine."""

SECONDS_BETWEEN_LOOKS = 0.1

# Of a copy of a process that has its imports behind it: as if it had begun by itself.
BEGINNING = """
import os, tempfile
from multiprocessing import resource_tracker
os.setsid()
tempfile.tempdir = None
resource_tracker._resource_tracker._fd = resource_tracker._resource_tracker._pid = None
"""

COMMAND = (
    BEGINNING
    + """
import atexit, sys
from {package}.cli import main
sys.argv[:] = {words!r}
try:
    main()
finally:
    # What a process of its own does on leaving.
    atexit._run_exitfuncs()
"""
)

# One process that goes on: each turn has to give the same, and to give back what it took.
RESIDENT = (
    BEGINNING
    + """
import gc, json, sys, warnings
from pathlib import Path
from torch import nn
import proxysample as ps
from proxysample_nas.searchers.random_search import RandomSearch
from proxysample_nas.study import Study

warnings.simplefilter("ignore")
place = Path(sys.argv[1])
os.environ["TMPDIR"] = str(place / "tmp")
(place / "tmp").mkdir()
digits = ps.load_dataset("digits").train


def turn(folder):
    yield ps.Herding().select(digits, r=0.1).tolist()
    yield ps.KMeansOutlierRemoval(n_clusters=5, random_state=0).select(digits, r=0.1).tolist()
    yield str(ps.embed(digits, backbone=nn.Flatten(), folder=folder / "features").key)
    compared = ps.compare(
        "digits", ["herding"], [0.1], "head:epochs=1", seeds=1, draws=1, features="pixels"
    )
    yield compared.to_frame()["accuracy"].tolist()
    searcher = RandomSearch(
        n_samples=1, n_nodes=2, channels=2, cells_per_stage=1, epochs=1, random_state=0
    )
    yield str(searcher.search(digits).cell)
    study = Study(
        dataset="digits", n_train=60, samplers=["rs"], ratios=[0.5], channels=[2], seeds=[777],
        searchers=["random:n_samples=1,n_nodes=2,channels=2,cells_per_stage=1,epochs=1"],
        training={"epochs": 1, "cells_per_stage": 1}, augmentation={"flip": False},
        folder=folder / "study",
    )
    yield study.run(progress=False)
    yield study.to_frame()["accuracy"].tolist()


def state():
    gc.collect()
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        "memory, MB": round(int(fields["VmRSS"].split()[0]) / 1024),
        "open descriptors": len(os.listdir("/proc/self/fd")),
        "threads": int(fields["Threads"]),
        "processes begun": len(children),
        "temporary files": len(os.listdir(tempfile.gettempdir())),
    }


while not (place / "stop").exists():
    with tempfile.TemporaryDirectory() as folder:
        given = [*turn(Path(folder))]
    with (place / "turns").open("a") as stream:
        stream.write(json.dumps([given, state()]) + "\\n")
"""
)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def without_times(value: Any) -> Any:
    """Leave out what another run may give otherwise: seconds, and on what it ran."""
    if isinstance(value, dict):
        return {
            name: without_times(one)
            for name, one in value.items()
            if "seconds" not in name and name not in ("machine", "provenance")
        }
    return [without_times(one) for one in value] if isinstance(value, list) else value


def results_in(folder: Path) -> dict[str, Any]:
    """Give all results in a folder by the names of their files."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".npy":
            found[name] = digest(path.read_bytes())
        elif path.suffix == ".json":
            found[name] = without_times(json.loads(path.read_text()))
        elif path.suffix == ".csv":
            with path.open(newline="") as stream:
                found[name] = [without_times(row) for row in csv.DictReader(stream)]
        elif path.suffix == ".sqlite":
            found[name] = {key: _outcome(*row) for key, row in experiments_in(path).items()}
    return found


def _outcome(status: str, result: str | None, payload: bytes | None, _: float) -> list[Any]:
    return [status, without_times(json.loads(result or "{}")), payload and _ranking(payload)]


def _ranking(payload: bytes) -> str:
    from proxysample import Ranking

    ranking = Ranking.read(io.BytesIO(payload), "a payload")
    return digest(ranking.scores.tobytes() + ranking.order.tobytes())


def experiments_in(path: Path) -> dict[str, tuple[Any, ...]]:
    """Read the experiments of a store past the library."""
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master").fetchall():
            return {}
        query = "SELECT key, status, result, payload, finished FROM experiments"
        return {row[0]: row[1:] for row in connection.execute(query)}


@dataclass
class Work:
    """A command that gives the same whenever it is run to its end, and where it is run now."""

    name: str
    package: str
    words: list[str]
    more: list[list[str]]
    """Words that some runs have, and that do not change what comes out."""
    is_shared: bool = True
    """Whether two may be at one folder at a time."""
    seconds: float = 0.0
    """Of the processor, undisturbed."""
    expected: dict[str, Any] = field(default_factory=dict)
    n_folders: int = 0
    n_at_work: int = 0
    ends: Counter[str] = field(default_factory=Counter)

    def begin(self, folder: Path, draw: random.Random) -> Run:
        """Start the command, in a session of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        words = [*self.words, *draw.choice(self.more)]
        given = [word.replace("FOLDER", str(folder)) for word in words]
        code = COMMAND.format(package=self.package, words=["command", *given])
        output = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"output-{self.name}-"))
        return Run(Forked(code, (), output), output)


STUDY = (
    "study run --dataset digits --n-train 120 --sampler rs --sampler km-or:n_clusters=5 "
    "-r 0.5 --searcher darts-v1:n_nodes=3,channels=4,cells_per_stage=1,epochs=10 "
    "--searcher random:n_nodes=3,n_samples=2,channels=4,cells_per_stage=1,epochs=1 "
    "--channels 4 --seed 777 --seed 888 --train epochs=3 --train cells_per_stage=1 "
    "--train batch_size=64 --augment flip=false -q -o FOLDER/study"
)
COMPARISON = (
    "compare --dataset digits --features pixels --sampler herding --sampler k-center "
    "--sampler ae:epochs=5 -r 0.1 -r 0.3 --evaluator head:epochs=5 --seeds 3 -q "
    "-o FOLDER/comparison"
)
SEARCH = (
    "search --dataset digits --searcher {} --param n_nodes=3 --param channels=4 "
    "--param cells_per_stage=1 --param epochs=4 --checkpoint FOLDER/search.safetensors "
    "-o FOLDER/search.json --overwrite -q"
)
SELECTION = (
    "select --dataset digits --sampler {} -r 0.1 -r 0.3 -q --overwrite -o FOLDER/kept-{{r}}.npy"
)
WORKERS = [["--workers", "1"], ["--workers", "1"], ["--workers", "2"]]


def all_work() -> list[Work]:
    """List what is run."""

    def search(name: str) -> Work:
        words = SEARCH.format(name).split()
        # Two that keep one search in one file would be at the same for nothing.
        return Work(f"search by {name}", "proxysample_nas", words, [[]], is_shared=False)

    def selection(name: str) -> Work:
        words = SELECTION.format(name).split()
        return Work(f"select by {name.partition(':')[0]}", "proxysample", words, [[]])

    embedding = ["embed", "--dataset", "digits", "-q", "-o", "FOLDER/features"]
    return [
        Work("embed", "proxysample", embedding, [[], ["--num-workers", "2"]]),
        selection("km-or"),
        selection("ae"),
        Work("compare", "proxysample", COMPARISON.split(), WORKERS),
        *map(search, ("darts-v1", "gdas", "enas")),
        Work("study", "proxysample_nas", STUDY.split(), WORKERS),
    ]


@dataclass
class Run:
    """A command at work."""

    process: Forked
    output: Path
    seconds: float = 0.0
    """Of the processor, by it and all that it has begun, as of the last look."""

    def members(self) -> Iterator[tuple[int, float]]:
        """Give the processes of its session and what each has taken, whosever children they are."""
        ticks = os.sysconf("SC_CLK_TCK")
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid and fields[0] != "Z":
                yield int(path.parent.name), (int(fields[11]) + int(fields[12])) / ticks

    def look(self) -> bool:
        """See how far it is; False once it has ended."""
        self.seconds = max(self.seconds, sum(seconds for _, seconds in self.members()))
        return self.process.poll() is None

    def wait(self, most: float) -> bool:
        """Wait until it has ended; False where it has not."""
        until = time.monotonic() + most
        while self.look():
            if time.monotonic() > until:
                return False
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return True

    def orphans(self) -> list[int]:
        """Give the processes that it has left, once these have had time to see it."""
        until = time.monotonic() + SECONDS_TO_END
        while left := [pid for pid, _ in self.members()]:
            if time.monotonic() > until:
                return left
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return []


class Soak:
    """Two runners that start work and kill it, and what became of all of it."""

    def __init__(self, place: Path, seed: int) -> None:
        self.place = place
        self.seed = seed
        self.work = all_work()
        self.wrong: list[str] = []
        self.n_orphans = 0
        self.slowest_end = 0.0
        self._lock = threading.Lock()

    def run_undisturbed(self) -> None:
        """Run each piece of work to its end, to know what it gives and takes."""
        with ThreadPoolExecutor(2) as pool:
            for _ in pool.map(self._run_undisturbed, self.work):
                pass

    def _run_undisturbed(self, one: Work) -> None:
        folder = self.place / "undisturbed" / one.name.replace(" ", "-")
        run = one.begin(folder, random.Random(self.seed))
        if not run.wait(3600) or run.process.poll():
            raise SystemExit(f"{one.name} fails undisturbed: {run.process.stderr}")
        one.seconds, one.expected = run.seconds, results_in(folder)
        print(f"{one.name}: {one.seconds:.1f} s of the processor", flush=True)  # noqa: T201

    def run_for(self, minutes: float) -> None:
        """Have two runners kill, until the time is over."""
        until = time.monotonic() + 60 * minutes
        runners = [threading.Thread(target=self._kill, args=(number, until)) for number in (1, 2)]
        for runner in runners:
            runner.start()
        for runner in runners:
            runner.join()

    def finish(self) -> None:
        """Run all that was begun to its end, and compare."""
        with ThreadPoolExecutor(2) as pool:
            for _ in pool.map(self._finish, self.work):
                pass

    def _finish(self, one: Work) -> None:
        for number in range(one.n_folders + 1):
            folder = self._folder(one, number)
            if not folder.exists():
                continue
            run = one.begin(folder, random.Random(self.seed))
            if not run.wait(3600) or run.process.poll():
                self._tell(one, f"cannot be ended: {run.process.stderr[-2000:]}")
            self._compare(one, folder)
            self.n_orphans += len(run.orphans())
            if left := [str(path) for path in folder.rglob("unfinished/*")]:
                self._tell(one, f"leaves {left}")

    def _folder(self, one: Work, number: int) -> Path:
        return self.place / f"{one.name.replace(' ', '-')}-{number}"

    def _tell(self, one: Work, words: str) -> None:
        with self._lock:
            self.wrong.append(f"{one.name}: {words}")
        print(f"WRONG: {one.name}: {words}", flush=True)  # noqa: T201

    def _compare(self, one: Work, folder: Path) -> None:
        found = results_in(folder)
        if found == one.expected:
            one.ends["compared"] += 1
            return
        differing = sorted(
            name
            for name in found.keys() | one.expected.keys()
            if found.get(name) != one.expected.get(name)
        )
        self._tell(one, f"{folder} has other results: {differing}")

    def _kill(self, number: int, until: float) -> None:
        draw = random.Random(self.seed * 1000 + number)
        while time.monotonic() < until:
            with self._lock:
                free = [one for one in self.work if one.is_shared or not one.n_at_work]
                one = draw.choice(free)
                one.n_at_work += 1
                folder = self._folder(one, one.n_folders)
            try:
                self._run_once(one, folder, draw)
            except Exception as error:
                self._tell(one, f"the soak itself fails: {error!r}")
                raise
            finally:
                with self._lock:
                    one.n_at_work -= 1

    def _run_once(self, one: Work, folder: Path, draw: random.Random) -> None:
        before = self._finished(folder)
        run = one.begin(folder, draw)
        is_left_alone = draw.random() < 0.1
        most = float("inf") if is_left_alone else draw.uniform(0, 1.05 * one.seconds)
        number = draw.choice((signal.SIGKILL, signal.SIGTERM))
        while run.look() and run.seconds < most:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        is_killed = run.process.poll() is None
        if is_killed:
            run.process.send_signal(number)
            told = time.monotonic()
            if not run.wait(SECONDS_TO_END):
                self._tell(one, f"does not end by {number.name}")
                run.process.kill()
                run.wait(SECONDS_TO_END)
            self.slowest_end = max(self.slowest_end, time.monotonic() - told)
        self._check_end(one, run, number if is_killed else None)
        for orphan in run.orphans():
            self.n_orphans += 1
            os.kill(orphan, signal.SIGKILL)
        after = self._finished(folder)
        if lost := [key for key, row in before.items() if after.get(key) != row]:
            self._tell(one, f"{folder} has lost, or changed, {lost}")
        if run.process.poll() == 0:
            self._compare(one, folder)
            with self._lock:
                # What it does next, it does from the beginning.
                if folder == self._folder(one, one.n_folders):
                    one.n_folders += 1
        shutil.rmtree(run.output)

    def _check_end(self, one: Work, run: Run, number: signal.Signals | None) -> None:
        code = run.process.poll()
        fitting = {None: (0,), signal.SIGKILL: (0, -9), signal.SIGTERM: (0, -15, 143)}[number]
        if code not in fitting:
            told = number.name if number else "nothing"
            self._tell(one, f"ends in {code} by {told}: {run.process.stderr[-2000:]}")
        with self._lock:
            one.ends[number.name if number and code else "to its end"] += 1

    def _finished(self, folder: Path) -> dict[str, tuple[Any, ...]]:
        found: dict[str, tuple[Any, ...]] = {}
        for path in folder.glob("*/*.sqlite"):
            found |= experiments_in(path)
        return found

    def table(self) -> str:
        """Write what became of each piece of work."""
        lines = [
            "| work | CPU s, undisturbed | SIGKILL | SIGTERM | ran to its end | same results |",
            "|---|---|---|---|---|---|",
        ]
        for one in self.work:
            ends = one.ends
            lines.append(
                f"| {one.name} | {one.seconds:.1f} | {ends['SIGKILL']} | {ends['SIGTERM']} | "
                f"{ends['to its end']} | {ends['compared']} |"
            )
        total: Counter[str] = sum((one.ends for one in self.work), Counter())
        lines.append(
            f"| all | | {total['SIGKILL']} | {total['SIGTERM']} | {total['to its end']} | "
            f"{total['compared']} |"
        )
        return "\n".join(lines)


def state_here(mark: str) -> dict[str, int]:
    """Count what could be left behind: of this process, and of all that it has begun."""
    # Forgets those that have ended.
    multiprocessing.active_children()
    gc.collect()
    n_processes = 0
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            n_processes += mark.encode() in path.read_bytes()
        except OSError:
            continue
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "processes": n_processes,
        "files in shared memory": len(list(Path("/dev/shm").iterdir())),
        "temporary files": len(list(Path(os.environ["TMPDIR"]).iterdir())),
        "open descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "memory, MB": round(int(fields["VmRSS"].split()[0]) / 1024),
    }


def resources(rows: list[tuple[str, dict[str, int], dict[str, int]]]) -> str:
    """Write states before and after as a table."""
    lines = ["| of what | | before | after |", "|---|---|---|---|"]
    lines += [
        f"| {of} | {name} | {number:,} | {after[name]:,} |"
        for of, before, after in rows
        for name, number in before.items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Soak, and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="soak-")).resolve()
    # Whatever is begun from here on inherits both.
    mark = f"PROXYSAMPLE_SOAK={place.name}"
    os.environ["PROXYSAMPLE_SOAK"] = place.name
    os.environ["TMPDIR"] = str(place / "tmp")
    (place / "tmp").mkdir()
    soak = Soak(place, given.seed)
    soak.run_undisturbed()
    (place / "resident").mkdir()
    resident = Forked(RESIDENT, [str(place / "resident")], place / "resident")
    turns = place / "resident" / "turns"
    while not turns.exists():
        if resident.poll() is not None:
            raise SystemExit(f"the process that goes on fails: {resident.stderr}")
        time.sleep(SECONDS_BETWEEN_LOOKS)
    before = state_here(mark)
    began = time.monotonic()
    soak.run_for(given.minutes)
    minutes = (time.monotonic() - began) / 60
    soak.finish()
    after = state_here(mark)
    (place / "resident" / "stop").touch()
    code = resident.wait()
    told = [json.loads(line) for line in turns.read_text().splitlines()]
    if code or any(one != told[0][0] for one, _ in told):
        soak.wrong.append(f"the process that goes on ends in {code}: {resident.stderr[-2000:]}")
    # Imports of the first turns stay.
    settled = told[min(2, len(told) - 1)][1]
    rows = [("all", before, after), (f"one process, {len(told)} turns", settled, told[-1][1])]
    print(  # noqa: T201
        f"\n{minutes:.0f} minutes of killing on {os.cpu_count()} cores ({platform.machine()}, "
        f"Python {platform.python_version()}), seed {given.seed}; load of the machine "
        f"{os.getloadavg()[2]:.0f}. Left without a parent: {soak.n_orphans} processes. The "
        f"slowest end by a signal took {soak.slowest_end:.1f} s.\n\n{soak.table()}\n\n"
        f"{resources(rows)}\n"
    )
    for line in soak.wrong:
        print(f"WRONG: {line}")  # noqa: T201
    if soak.wrong or soak.n_orphans:
        raise SystemExit(f"see {place}")
    shutil.rmtree(place)


if __name__ == "__main__":
    forkserver()
    main()

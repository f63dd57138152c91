from __future__ import annotations

import gc
import multiprocessing.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

# Test processes run side by side; threads that wait for one another's cores turn milliseconds
# into seconds. Before anything imports torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from _pytest.doctest import DoctestModule

# Before anything imports trio, among whose objects it looks around where it comes second.
from hypothesis import settings

from proxysample.registry import loaded_registries

from .forked import Forked, forkserver

if TYPE_CHECKING:
    from proxysample.experiments.ray import RaySession

# How long a case takes says nothing on a machine that is shared.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

MEMORY = Path("/dev/shm")
ENOUGH = 4 << 30


def pytest_configure() -> None:
    """Have the files of tests lie in memory, where there is room, and keep what is compiled.

    Stores and checkpoints wait for the disk with each thing they keep, and what becomes of them
    when the power fails is not what is tested. Each process would compile all tests and packages
    for itself; those that are started from here take over what the environment says.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage meanwhile, and never again in what is made: it all stays.

    Later neither as often: each look at all that the packages have made takes a tenth of a second.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000, 10, 10)
        gc.enable()


# What takes seconds to start. Tests that need it come first, one after another: so that few
# processes start it, and none is left waiting for another's long test at the end.
STARTED = ("no_running_ray", "running_ray", "kernel", "forked", "forked_workers")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what takes long to start."""

    def place(item: pytest.Item) -> int:
        found = [place for place, name in enumerate(STARTED) if needs(item, name)]
        return min(found, default=len(STARTED))

    items.sort(key=place)


def needs(item: pytest.Item, fixture: str) -> bool:
    """Tell whether a test uses a fixture, or has it named by a parameter."""
    of_a_test = isinstance(item, pytest.Function) and hasattr(item, "callspec")
    given = item.callspec.params.values() if of_a_test else ()
    # A parameter may be an array, which compares as none.
    named = [one for one in given if isinstance(one, str)]
    return fixture in (*named, *getattr(item, "fixturenames", ()))


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Stop the shared Ray after the last test that needs it."""
    if nextitem is None or not needs(nextitem, "running_ray"):
        stop_shared_ray()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Look for no examples in the docstrings of tests: there are none."""
    return [found for found in (yield) if not isinstance(found, DoctestModule)]


@pytest.fixture
def command_line(capsys, monkeypatch):
    """Run a command line's ``main`` as its script would: exit code, stdout and stderr."""

    def run(main: Callable[[], None], *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["command", *words])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return run


@pytest.fixture
def at_a_terminal(capsys, monkeypatch):
    """Have what is printed to stderr, as ``capsys`` captures it, count as shown to somebody."""
    # Of the class: what captures is another object in a test than in its fixtures.
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda stream: stream is sys.stderr)
    return capsys


@pytest.fixture
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Forked]]:
    """Start a process that runs a program as ``python -c`` does; what still runs is killed."""
    folder = tmp_path_factory.mktemp("forked")
    started = []

    def start(code: str, *words: str) -> Forked:
        own = folder / str(len(started))
        own.mkdir()
        started.append(Forked(code, words, own))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A study's workers begin at once, as copies of a process that has imported everything."""
    original = multiprocessing.get_context

    def get_context(method: str | None = None) -> object:
        return forkserver() if method == "spawn" else original(method)

    monkeypatch.setattr(multiprocessing, "get_context", get_context)


# The Ray of this process's tests, while there is one; the library uses one that runs.
SHARED_RAY: list[RaySession] = []


RAYS_MODULES = (
    str(Path(__file__).parent / "proxysample" / "experiments" / "plugin"),
    str(Path(__file__).parents[1] / "examples"),
)
"""Where workers of the shared Ray are to look, whichever test starts it."""


def stop_shared_ray() -> None:
    while SHARED_RAY:
        SHARED_RAY.pop().close()


@pytest.fixture
def running_ray() -> None:
    """Have a Ray of two CPUs, which takes seconds to start."""
    pytest.importorskip("ray", reason="Ray is not installed: proxysample[ray]")
    from proxysample.experiments.ray import RaySession

    if not SHARED_RAY:
        paths = [*RAYS_MODULES, *filter(None, [os.environ.get("PYTHONPATH")])]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", os.pathsep.join(paths))
            SHARED_RAY.append(RaySession(None, 2))


@pytest.fixture
def no_running_ray() -> None:
    """Have none, so that the library starts its own."""
    stop_shared_ray()


@pytest.fixture(scope="session", autouse=True)
def nothing_stays_in_the_temporary_folder(tmp_path_factory: pytest.TempPathFactory):
    """What this process makes without saying where lies with the tests' own files."""
    # One that is removed as Python ends, after the tests' files.
    multiprocessing.util.get_temp_dir()
    tempfile.tempdir = str(tmp_path_factory.mktemp("temporary"))
    yield
    tempfile.tempdir = None


def described_operations() -> dict[str, object]:
    """Give what stores have told of operations that nobody has registered."""
    operations = sys.modules.get("proxysample_nas.space.operations")
    return {} if operations is None else operations._DESCRIBED


@pytest.fixture(autouse=True)
def nothing_stays_registered():
    """Take back what a test registers, and what it has read of operations of others."""
    before = {registry.kind: registry.registered for registry in loaded_registries()}
    described = set(described_operations())
    yield
    for name in described_operations().keys() - described:
        del described_operations()[name]
    for registry in loaded_registries():
        for name in registry.registered.keys() - before.get(registry.kind, {}).keys():
            registry.unregister(name)


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    """Install a package into a folder on the path: a module, and what an installer writes."""

    def install(name: str, module: str, entry_points: str, folder=tmp_path) -> None:
        (folder / f"{name}.py").write_text(dedent(module))
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(dedent(entry_points))

    monkeypatch.syspath_prepend(str(tmp_path))
    yield install
    for module in {path.stem for path in tmp_path.glob("*.py")} & sys.modules.keys():
        del sys.modules[module]

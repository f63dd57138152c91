from __future__ import annotations

import os
import sys
from collections.abc import Callable
from textwrap import dedent

# Test processes run side by side; threads that wait for one another's cores turn milliseconds
# into seconds. Before anything imports torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from proxysample.registry import loaded_registries


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


@pytest.fixture(autouse=True)
def nothing_stays_registered():
    """Take back what a test registers."""
    before = {registry.kind: registry.registered for registry in loaded_registries()}
    yield
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

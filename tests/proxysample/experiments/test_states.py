"""What becomes of a store on disk: removed, moved, copied, half written, of another user."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from sums_plugin import KINDS, Count, SumsContext, open_store, run

from proxysample import InputError
from proxysample.experiments.claims import Claims, LiveRunner
from proxysample.experiments.store import Store


@dataclass(frozen=True, eq=False)
class Losing(Count):
    """Loses the folder that it runs in, and goes on."""

    way: ClassVar[str]

    def run(self, context: SumsContext):
        folder = context.path.parent
        if self.way == "removed":
            shutil.rmtree(folder)
        elif self.way == "moved":
            folder.rename(folder.with_name("elsewhere"))
        else:
            (folder / "sums.sqlite").unlink()
        context.path = folder.parent / "numbers.json"
        return super().run(context)


@pytest.mark.parametrize("way", ["removed", "moved", "removed alone"])
def test_a_store_that_is_lost_while_it_runs_is_told_and_not_begun_anew(way, folder, monkeypatch):
    monkeypatch.setattr(Losing, "way", way, raising=False)
    there = folder / "study"
    there.mkdir()
    shutil.copy(folder / "numbers.json", there)
    with pytest.raises(InputError, match=r"sums\.sqlite is gone: it was removed or moved"):
        run(there, [Losing({"steps": 1})])
    assert not list(folder.glob("study/*.sqlite*"))
    assert there.exists() == (way == "removed alone")
    if way == "moved":
        # Where it is now it goes on with what had finished, whoever still lives.
        moved = folder / "elsewhere"
        kept = open_store(moved).states()
        assert len(kept) == 3
        assert run(moved) == 0
        assert kept.items() <= open_store(moved).states().items()


def test_a_copy_made_while_it_runs_goes_on_and_leaves_the_first_alone(folder):
    first = Claims(open_store(folder).database)
    with LiveRunner(first, "first", 1) as live:
        assert live.claim("1f")
        (folder / "copy").mkdir()
        shutil.copy(folder / "sums.sqlite", folder / "copy")
        copy = Claims(open_store(folder / "copy").database)
        with LiveRunner(copy, "second", 1) as other:
            assert other.remove_gone() == ["first"]
            assert other.claim("1f")
        # A folder is another one's when it is copied, and the same when it is moved.
        (folder / "sums.sqlite").rename(folder / "moved.sqlite")
        moved = Claims(Store(folder / "moved.sqlite", KINDS, noun="sum").database)
        with LiveRunner(moved, "third", 1) as other:
            assert other.remove_gone() == []
            assert not other.claim("1f")
        (folder / "moved.sqlite").rename(folder / "sums.sqlite")
        assert [one.runner for one in first.held()] == ["first"]


def test_a_copy_of_two_moments_is_whole_or_refused(folder):
    store = open_store(folder)
    for number in range(12):
        store.put("count", {"number": number}, {"steps": 1}, bytes(3000))
    with LiveRunner(Claims(store.database), "first", 1):
        before = store.path.read_bytes()
    store.put("count", {"number": 99}, {"steps": 1}, bytes(3000))
    after = store.path.read_bytes()
    copy = folder / "copy.sqlite"
    told = []
    for place in range(4096, len(after), 4096):
        copy.write_bytes(before[:place] + after[place:])
        try:
            copied = Store(copy, KINDS, noun="sum", must_exist=True)
            with LiveRunner(Claims(copied.database), "second", 1):
                assert len(copied.results("count")) in (12, 13)
            copied.database.check_whole()
        except InputError as error:
            told.append(str(error))
    assert any("copied while it was written to" in one for one in told)
    assert len(told) < len(after) // 4096 - 1


def half_written(path: Path) -> None:
    """Leave a store as a process that is killed in the middle of a write leaves it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        rows = [[str(number), "x" * 3000] for number in range(30)]
        connection.executemany("INSERT INTO facts VALUES (?, ?)", rows)
        left = [one.read_bytes() for one in (path, path.with_name(f"{path.name}-journal"))]
        connection.execute("ROLLBACK")
    path.write_bytes(left[0])
    path.with_name(f"{path.name}-journal").write_bytes(left[1])


def test_what_a_killed_process_has_half_written_is_undone(folder):
    store = open_store(folder)
    store.put("count", {"steps": 1}, {"steps": 1})
    before = store.path.read_bytes()
    half_written(store.path)
    assert store.path.read_bytes() != before
    assert len(open_store(folder, must_exist=True).states()) == 1
    assert store.info("1") is None
    assert [one.name for one in folder.glob("*.sqlite*")] == ["sums.sqlite"]


@pytest.mark.parametrize("name", ["sums.sqlite-wal", "sums.sqlite-shm", "sums.sqlite-journal"])
def test_a_file_beside_it_that_is_none_of_its_own_changes_nothing(name, folder):
    open_store(folder).put("count", {"steps": 1}, {"steps": 1})
    (folder / name).write_bytes(b"\7" * 9000)
    store = open_store(folder, must_exist=True)
    store.put("count", {"steps": 2}, {"steps": 2})
    assert len(store.results("count")) == 2


def test_a_store_is_of_all_whom_the_mask_lets_in(folder):
    before = os.umask(0o002)
    try:
        open_store(folder)
    finally:
        os.umask(before)
    assert (folder / "sums.sqlite").stat().st_mode & 0o777 == 0o664


# Whoever may only read: another user, where this one may do everything.
READER = """
import os, sys
from pathlib import Path
import numpy as np
from torch import nn
from proxysample import InputError, embed
from proxysample.experiments.claims import Claims, is_gone
from proxysample.experiments.store import Contents, Store

if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
folder, images = Path(sys.argv[1]), np.arange(24, dtype=np.uint8).reshape(6, 2, 2)


def opened(name):
    return Store(folder / name, {"count": Contents()}, noun="sum")


def tell(act):
    try:
        print(act())
    except InputError as error:
        print("refused:", error)


tell(lambda: len(opened("sums.sqlite").states()))
tell(lambda: [is_gone(one, 0.0) for one in Claims(opened("sums.sqlite").database).runners()])
tell(lambda: opened("sums.sqlite").put("count", {"a": 2}, {"steps": 1}))
tell(lambda: opened("half.sqlite"))
tell(lambda: opened("new.sqlite"))
tell(lambda: embed(images, [0, 1] * 3, folder=folder, backbone=nn.Flatten()).labels.tolist())
tell(lambda: embed(images, [1, 0] * 3, folder=folder, backbone=nn.Flatten()))
tell(lambda: embed(images + 1, folder=folder, backbone=nn.Flatten()))
"""


def test_another_user_reads_and_is_told_what_cannot_be_written(forked):
    import numpy as np
    from torch import nn

    from proxysample import embed

    # Where another user may look: not in the folder of the tests.
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        place = Path(name)
        for path in ("sums.sqlite", "half.sqlite"):
            Store(place / path, KINDS, noun="sum").put("count", {"a": 1}, {"steps": 1})
        half_written(place / "half.sqlite")
        images = np.arange(24, dtype=np.uint8).reshape(6, 2, 2)
        embed(images, [0, 1] * 3, folder=place, backbone=nn.Flatten())
        paths = [place, *place.rglob("*")]
        with LiveRunner(Claims(Store(place / "sums.sqlite", KINDS, noun="sum").database), "a", 1):
            for path in paths:
                path.chmod(0o555 if path.is_dir() else 0o444)
            process = forked(READER, name)
            code = process.wait(60)
            for path in paths:
                path.chmod(0o755 if path.is_dir() else 0o644)
    assert code == 0, process.stderr
    told = process.stdout.splitlines()
    assert told[:2] == ["1", "[False]"]
    assert told[5] == str([0, 1] * 3)
    for line, words in (
        (2, "sums.sqlite: attempt to write a readonly database"),
        (3, "a process that wrote to it was killed"),
        (4, "new.sqlite cannot be used as a sum's store: permission denied"),
        (6, "embed into a folder of your own"),
        (7, "cannot be made: permission denied"),
    ):
        assert told[line].startswith("refused:"), told[line]
        assert words in told[line]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_store_is_in_its_folder(is_there, folder):
    there, outside = folder / "study", folder / "outside.sqlite"
    there.mkdir()
    shutil.copy(folder / "numbers.json", there)
    if is_there:
        open_store(there).path.rename(outside)
    (there / "sums.sqlite").symlink_to(outside)
    with pytest.raises(InputError, match=r"sums\.sqlite is a link that leads out of"):
        open_store(there)
    assert outside.exists() == is_there

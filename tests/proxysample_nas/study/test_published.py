from __future__ import annotations

import gzip
import os
import random
import sys
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import pytest

from proxysample import InputError
from proxysample_nas.space.cell import Cell, all_cells
from proxysample_nas.study.experiments.published import MOST_BYTES, PublishedAccuracies

HEADER = "index,arch,cifar10_test_200ep,cifar100_test_200ep,cifar100_test_12ep,cifar100_valid_12ep"
LEFT = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"
# The same function of the input as the other, in another row.
RIGHT = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|avg_pool_3x3~1|none~2|"
TABLE = f"{HEADER}\n0,{LEFT},94.5,73.25,60,59.5\n1,{RIGHT},94.25,73,0,100\n"


def written(folder, table):
    path = folder / "accuracies.csv"
    # A file that is written over would be flushed to the disk.
    path.unlink(missing_ok=True)
    path.write_bytes(table if isinstance(table, bytes) else table.encode())
    return path


def test_a_cell_is_looked_up_by_dataset_and_epochs(tmp_path):
    published = PublishedAccuracies.read(written(tmp_path, TABLE))
    left, right = Cell.from_string(LEFT), Cell.from_string(RIGHT)
    assert len(published) == 2
    assert published.accuracy(left, "cifar10") == 94.5
    assert published.accuracy(left, "cifar100") == 73.25
    assert published.accuracy(left, "cifar100", epochs=12) == 60
    assert left.unique_form() == right.unique_form()
    assert published.accuracy(right, "cifar100") == 73


def test_compression_changes_nothing_and_any_byte_the_fingerprint(tmp_path):
    plain = PublishedAccuracies.read(written(tmp_path, TABLE))
    packed = tmp_path / "accuracies.csv.gz"
    packed.write_bytes(gzip.compress(TABLE.encode()))
    assert PublishedAccuracies.read(packed).fingerprint == plain.fingerprint
    other = PublishedAccuracies.read(written(tmp_path, TABLE.replace("73.25", "73.26")))
    assert other.fingerprint != plain.fingerprint


@pytest.mark.parametrize(
    ("cell", "dataset", "epochs", "message"),
    [
        (LEFT, "cifar1000", 200, "did you mean 'cifar100'"),
        (LEFT, "imagenet16", 200, "unknown dataset"),
        (LEFT, "cifar100", 100, "after 12 and 200 epochs, not after 100"),
        (LEFT, "cifar10", 12, "cifar10 after 200 epochs, not after 12"),
        ("|none~0|+|none~0|skip_connect~1|", "cifar10", 200, "n_nodes=4"),
        (str(Cell.filled("none", 4)), "cifar10", 200, "no row of the cell"),
    ],
)
def test_what_is_not_there_is_an_error(tmp_path, cell, dataset, epochs, message):
    published = PublishedAccuracies.read(written(tmp_path, TABLE))
    with pytest.raises(InputError, match=message):
        published.accuracy(Cell.from_string(cell), dataset, epochs)


def test_dataset_and_epochs_can_be_checked_before_there_is_a_cell(tmp_path):
    published = PublishedAccuracies.read(written(tmp_path, TABLE))
    published.check("cifar100", 12)
    with pytest.raises(InputError, match="not after 13"):
        published.check("cifar100", 13)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"", "has the columns"),
        (HEADER, "holds no cells"),
        (TABLE.replace("arch", "cell"), "index, arch"),
        (TABLE.replace("cifar10_test", "svhn_test"), "'svhn_test_200ep' is no column"),
        (TABLE.replace("cifar10_test_200ep", "cifar100_test_200ep"), "has the columns"),
        (f"index,arch,cifar10_valid_12ep\n0,{LEFT},3\n", "no test accuracies"),
        (TABLE.replace("~2|", "~3|", 1), "row 1: position .* expected source 2"),
        (TABLE.replace(LEFT, "|none~0|"), "row 1: the cell has 2 nodes"),
        (TABLE.replace(RIGHT, LEFT), "rows 1 and 2 are both of"),
        (TABLE.replace("73.25", "much"), "no number.*much"),
        (TABLE.replace("73.25", ""), "no number"),
        (TABLE.replace("73.25", "100.01"), "row 1: cifar100_test_200ep is 100.01"),
        (TABLE.replace(",0,100", ",-1,100"), "row 2: cifar100_test_12ep is -1"),
        (TABLE.replace("59.5", "nan"), "row 1: cifar100_valid_12ep is nan"),
        (TABLE[:-5], "row 2 has 5 columns of 6"),
        (TABLE + '"', "no CSV file"),
        (TABLE.encode("utf-16"), "no CSV file"),
        (gzip.compress(TABLE.encode(), mtime=0)[:-12], "end-of-stream"),
        (gzip.compress(TABLE.encode(), mtime=0)[:12] + b"\xff" * 40, "decompress"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(tmp_path, table, message):
    with pytest.raises(InputError, match=message):
        PublishedAccuracies.read(written(tmp_path, table))


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.csv: no such file"):
        PublishedAccuracies.read(tmp_path / "nothing.csv")
    with pytest.raises(InputError, match="is a folder"):
        PublishedAccuracies.read(tmp_path)


@pytest.mark.parametrize("line", [b"\n", b",", b"0", HEADER.encode() + b"\n,"])
def test_a_bomb_is_not_unpacked(tmp_path, line):
    bomb = gzip.compress(line * (8 * MOST_BYTES // len(line)), compresslevel=1)
    path = written(tmp_path, bomb)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="16 MB"):
            PublishedAccuracies.read(path)
        assert tracemalloc.get_traced_memory()[1] < 4 * MOST_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("line", [b"\n", b",", b"0", b'"'])
def test_a_large_file_that_is_no_table_ends_early(tmp_path, line):
    path = written(tmp_path, HEADER.encode() + b"\n" + line * (MOST_BYTES - len(HEADER) - 1))
    with pytest.raises(InputError):
        PublishedAccuracies.read(path)


def test_all_cells_are_read_well_below_a_second(tmp_path):
    rows = "".join(f"{i},{cell},90,70,60,50\n" for i, cell in enumerate(all_cells(4)))
    path = written(tmp_path, f"{HEADER}\n{rows}")
    start = time.process_time()
    assert len(PublishedAccuracies.read(path)) == 15_625
    assert time.process_time() - start < 2


@pytest.mark.parametrize("table", [TABLE.encode(), gzip.compress(TABLE.encode(), mtime=0)])
def test_a_mutated_file_gives_a_table_or_the_error(tmp_path, table):
    draw = random.Random(0)
    refused = 0
    for _ in range(2_000):
        mutated = bytearray(table)
        for _ in range(draw.randint(1, 3)):
            mutated[draw.randrange(len(mutated))] = draw.choice(
                (0, 10, 34, 44, draw.randrange(256))
            )
        if draw.random() < 0.2:
            del mutated[draw.randrange(len(mutated)) :]
        path = written(tmp_path, bytes(mutated))
        try:
            PublishedAccuracies.read(path)
        except InputError:
            refused += 1
    assert refused > 1_000


@pytest.mark.parametrize("start", [b"\x80\x02", b"PK\x03\x04", b"BZh9"])
def test_the_benchmarks_own_files_are_answered_with_what_makes_the_table(tmp_path, start):
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    path.write_bytes(start + bytes(60))
    with pytest.raises(InputError, match="pickled") as caught:
        PublishedAccuracies.read(path)
    program = str(caught.value).partition("once:\n\n")[2]
    assert program == caught.value.program
    compile(program, "snippet", "exec")
    assert repr(str(path)) in program


@pytest.mark.parametrize(
    ("name", "start", "opened"),
    [
        ("NAS-Bench-201-v1_1-096897.pth", b"\x80\x02", "nas_201_api"),
        ("NAS-Bench-201-v1_1-096897.pth", b"PK\x03\x04", "nas_201_api"),
        ("NATS-tss-v1_0-3ffb9.pickle.pbz2", b"BZh9", "nats_bench"),
        ("NATS-tss-v1_0-3ffb9-simple/meta.pickle.pbz2", b"BZh9", "nats_bench in NATS"),
        ("NATS-tss-v1_0-3ffb9-simple", b"", "nats_bench in NATS"),
    ],
)
def test_what_the_answer_says_makes_the_table(name, start, opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "NATS-tss-v1_0-3ffb9-simple"
    folder.mkdir()
    (folder / "000000.pickle.pbz2").touch()
    if start:
        Path(name).write_bytes(start)
    with pytest.raises(InputError, match="NATS-Bench") as caught:
        PublishedAccuracies.read(name)

    class Api:
        """As both of the authors' packages have it."""

        def __len__(self):
            return 2

        def arch(self, index):
            return f"|{['none', 'skip_connect'][index]}~0|+|none~0|none~1|+|none~0|none~1|none~2|"

        def get_more_info(self, index, dataset, iepoch=None, hp="12", is_random=True):
            assert not is_random
            names = ["cifar10", "cifar100", "ImageNet16-120"]
            return {"test-accuracy": index + int(hp) / 10 + names.index(dataset)}

    def create(path, space, fast_mode, verbose):
        # As theirs does: only a folder is read cell by cell.
        assert Path(path).is_dir() == fast_mode
        asked.append("nats_bench in NATS" if fast_mode else "nats_bench")
        return Api()

    def of_torch(path, verbose):
        # What it holds besides tensors is not read by default any more.
        assert os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"
        asked.append("nas_201_api")
        return Api()

    asked = []
    monkeypatch.setitem(sys.modules, "nats_bench", SimpleNamespace(create=create))
    monkeypatch.setitem(sys.modules, "nas_201_api", SimpleNamespace(NASBench201API=of_torch))
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "")
    exec(str(caught.value).partition("once:\n\n")[2], {})
    assert asked == [opened]
    published = PublishedAccuracies.read("published.csv")
    cell = Cell.from_string("|skip_connect~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    assert published.accuracy(cell, "cifar100", 12) == pytest.approx(1 + 1.2 + 1)
    assert published.accuracy(cell, "imagenet16", 200) == pytest.approx(1 + 20 + 2)


@pytest.mark.parametrize(
    ("name", "start", "message"),
    [
        ("NATS-sss-v1_0-50262.pickle.pbz2", b"BZh9", "size search space, .* cells is NATS-tss"),
        ("NATS-sss-v1_0-50262-simple/meta.pickle.pbz2", b"BZh9", "size search space"),
        ("mine.tar", b"NATS-tss-v1_0-3ffb9-simple/", "an archive of NATS-Bench: unpack it"),
    ],
)
def test_what_holds_no_table_of_cells_is_told_apart(name, start, message, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(start)
    for given in {path, path.parent} - {tmp_path}:
        with pytest.raises(InputError, match=message):
            PublishedAccuracies.read(given)

from __future__ import annotations

import os
import pickle
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from proxysample import InputError
from proxysample.data import pickles as plain_pickle
from proxysample.data.pickles import read_plain_pickle

from .official_pickles import mutations, python2_pickle, python3_pickle

PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 12) * 10
BATCH = {
    "batch_label": "training batch 1 of 5",
    "labels": [6, 700, -1],
    "data": PIXELS,
    "mean": np.linspace(0, 1, 12),
    "filenames": [f"leptodactylus_pentadactylus_s_{n:06}.png" for n in range(300)],
    "more": {"none": None, "yes": True, "pair": (1, "two"), "empty": [(), [], {}]},
}
PICKLES = {
    "python 2": python2_pickle(BATCH),
    "protocol 3": python3_pickle(BATCH, 3),
    "protocol 4": python3_pickle(BATCH, 4),
    "new numpy": pickle.dumps(BATCH, protocol=4),
}


@pytest.mark.parametrize("pickled", PICKLES.values(), ids=PICKLES)
def test_plain_values_and_arrays_come_back(pickled):
    found = read_plain_pickle(pickled, "batch")
    assert list(found) == list(BATCH)
    for key, value in BATCH.items():
        if isinstance(value, np.ndarray):
            assert found[key].dtype == value.dtype
            assert np.array_equal(found[key], value)
        else:
            assert found[key] == value


@pytest.mark.parametrize("write", [python2_pickle, lambda value: python3_pickle(value, 3)])
@pytest.mark.parametrize("array", [np.asfortranarray(PIXELS), PIXELS.astype(">i4"), PIXELS[:0]])
def test_arrays_of_other_orders(write, array):
    found = read_plain_pickle(write({"data": array}), "batch")["data"]
    assert found.shape == array.shape
    assert np.array_equal(found, array)


def test_it_is_what_pickle_itself_reads():
    """The writer for Python 2 writes what pickle reads as its own."""
    found = pickle.loads(PICKLES["python 2"], encoding="latin-1")
    assert np.array_equal(found["data"], PIXELS)
    assert {k: v for k, v in found.items() if k not in ("data", "mean")} == {
        k: v for k, v in BATCH.items() if k not in ("data", "mean")
    }


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda path: Call(os.system, f"touch {path}"), "system"),
        (lambda path: Call(eval, f"open({str(path)!r}, 'w').close()"), "eval"),
        (lambda path: Call(open, str(path), "w"), "open"),
    ],
)
def test_code_is_refused_and_not_run(tmp_path, call, name, protocol):
    marker = tmp_path / "marker"
    pickled = pickle.dumps({"labels": [1, call(marker)]}, protocol=protocol)
    with pytest.raises(InputError, match=rf"names '.* {name}'.*refused"):
        read_plain_pickle(pickled, "batch")
    assert not marker.exists()
    # It would have run.
    if name != "open":
        pickle.loads(pickled)
        assert marker.exists()


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n"
EMPTY = b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
RECORD = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NU\x01aNK\x00K\x00K\x00tb"
DTYPE = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"


def in_a_dict(value: bytes) -> bytes:
    return b"\x80\x02}U\x04data" + value + b"s."


def array_of(shape: bytes, content: bytes = b"U\x02ab", dtype: bytes = DTYPE) -> bytes:
    return in_a_dict(ARRAY + EMPTY + b"(K\x01" + shape + dtype + b"\x89" + content + b"tb")


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (pickle.dumps({"data": np.array([print, None])}, protocol=3), "type 'O8'"),
        (pickle.dumps({"data": np.array([(1, 2)], dtype="i4,i4")}, protocol=3), "type 'V8'"),
        (pickle.dumps({"data": np.float64(3)}, protocol=3), "multiarray scalar"),
        (pickle.dumps({"data": np.ma.zeros(3)}, protocol=3), "_mareconstruct"),
        (pickle.dumps({"data": PIXELS}, protocol=5), "_frombuffer"),
        (pickle.dumps({"data": PIXELS}, protocol=0), "needs pickle's"),
        (pickle.dumps({"data": slice(1)}, protocol=4), "builtins slice"),
        (pickle.dumps([1, 2], protocol=4), "holds a list; a dict is needed"),
        (pickle.dumps({(1, 2): 3}, protocol=4), "a name is a tuple"),
        (array_of(b"K\x02\x85")[:-1], "exhausted"),
        (array_of(b"K\x03\x85"), "does not fit its shape"),
        (array_of(b"J\xff\xff\xff\xffJ\xfe\xff\xff\xff\x86"), "does not fit its shape"),
        (array_of(b"\x8a\xff" + b"\x7f" * 255 + b"\x85"), "does not fit its shape"),
        (array_of(b"K\x01K\x01K\x01\x87\x85"), "does not fit its shape"),
        (array_of(b"(" + b"K\x01" * 64 + b"t"), "no shape"),
        (array_of(b"K\x02\x85", content=b"]"), "holds no numbers"),
        (array_of(b"K\x02\x85", dtype=b"U\x02u1"), "holds no numbers"),
        (array_of(b"K\x02\x85", dtype=RECORD), "no plain"),
        (in_a_dict(ARRAY + EMPTY), "never filled"),
        (in_a_dict(ARRAY + b"cnumpy\ndtype\nK\x00\x85U\x01b\x87R"), "another class"),
        (in_a_dict(b"cnumpy\nndarray\nK\x00\x85R"), "called by itself"),
        (in_a_dict(b"U\x06systemU\x02ls\x85R"), "called is no name"),
        (in_a_dict(b"](K\x01e}b"), "no tuple"),
        (in_a_dict(b"]K\x01\x85b"), "set in a list"),
        (in_a_dict(b"(cos\nsystem\nU\x02lso"), "names 'os system'"),
        (in_a_dict(b"(U\x02lsios\nsystem\n"), "needs pickle's INST"),
        (in_a_dict(b"cnumpy\nndarray\n)\x81"), "needs pickle's NEWOBJ"),
        (in_a_dict(b"\x82\x01"), "needs pickle's EXT1"),
        (in_a_dict(b"U\x01xQ"), "needs pickle's BINPERSID"),
        (in_a_dict(b"K\x012"), "needs pickle's DUP"),
        (in_a_dict(b"h\x07"), "damaged"),
        (b"\x80\x02}}.", "left over"),
        (b"\x80\x02}(.", "missing"),
        (b"", "exhausted|no pickle"),
        (b"\xff\xd8\xff", "no pickle"),
    ],
)  # fmt: skip
def test_what_is_not_plain_is_refused(pickled, message):
    with pytest.raises(InputError, match=message):
        read_plain_pickle(pickled, "batch")


@pytest.fixture
def small_stack():
    """Runs a function in a thread whose stack ends where a long recursion in C would."""
    before = threading.stack_size(1 << 18)
    with ThreadPoolExecutor(1) as threads:
        yield lambda function, *arguments: threads.submit(function, *arguments).result()
    threading.stack_size(before)


@pytest.mark.parametrize("wrap", [b"\x85", b"](e"])
def test_deep_nesting_does_not_end_the_process(wrap, small_stack):
    # Hashing, comparing or printing what is nested so deeply would.
    depth = 10_000
    nested = b")" + b"\x85" * depth if wrap == b"\x85" else b"](" * depth + b"e" * depth
    found = small_stack(read_plain_pickle, in_a_dict(nested), "batch")
    assert isinstance(found["data"], tuple | list)
    for place in (b"\x80\x02}" + nested + b"K\x01s.", array_of(nested), array_of(b")", nested)):
        with pytest.raises(InputError):
            small_stack(read_plain_pickle, place, "batch")
    dtypes = (
        b"cnumpy\ndtype\n" + nested + b"K\x00K\x01\x87R",
        DTYPE + b"(K\x03" + nested + b"NNNK\x00K\x00K\x00tb",
    )
    for dtype in dtypes:
        with pytest.raises(InputError):
            small_stack(read_plain_pickle, array_of(b"K\x02\x85", dtype=dtype), "batch")


@pytest.mark.parametrize(
    "claim",
    [
        b"\x8e" + struct.pack("<Q", 1 << 60),  # BINBYTES8
        b"\x8d" + struct.pack("<Q", 1 << 40),  # BINUNICODE8
        b"B" + struct.pack("<I", (1 << 32) - 1),
        b"T" + struct.pack("<i", (1 << 31) - 1),
        b"\x8b" + struct.pack("<i", (1 << 31) - 1),  # LONG4
    ],
)
def test_a_length_is_not_believed(claim):
    with pytest.raises(InputError, match=r"expected|exhausted|not enough"):
        read_plain_pickle(in_a_dict(claim + b"x"), "batch")


def test_the_largest_number_in_the_memo_costs_nothing():
    found = read_plain_pickle(in_a_dict(b"K\x07r\xff\xff\xff\xff"), "batch")
    assert found == {"data": 7}


def test_values_arrays_and_bytes_are_limited(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(plain_pickle, "MOST_INSTRUCTIONS", 2_000)
        # Eight instructions make a dict with a list of them.
        assert read_plain_pickle(in_a_dict(b"](" + b"]" * 1_992 + b"e"), "batch")
        with pytest.raises(InputError, match="more than 2,000 values"):
            read_plain_pickle(in_a_dict(b"](" + b"]" * 1_993 + b"e"), "batch")
    array = ARRAY + EMPTY
    with pytest.raises(InputError, match="more than 8 arrays"):
        read_plain_pickle(in_a_dict(b"](" + array * 9 + b"e"), "batch")
    monkeypatch.setattr(plain_pickle, "MOST_BYTES", 100)
    with pytest.raises(InputError, match="at most 100 are read"):
        read_plain_pickle(b"\x80" * 101, "batch")


# Fewer names are read faster; as in a long pickle, the memo's numbers outgrow a byte.
SHORT = BATCH | {"filenames": BATCH["filenames"][:9]}
SHORT_PICKLES = {
    "python 2": python2_pickle(SHORT, n_memoized=240),
    "protocol 3": python3_pickle(SHORT, 3),
    "protocol 4": python3_pickle(SHORT, 4),
    "new numpy": pickle.dumps(SHORT, protocol=4),
}


@pytest.mark.parametrize("pickled", SHORT_PICKLES.values(), ids=SHORT_PICKLES)
def test_a_mutated_pickle_is_read_or_refused(pickled):
    refused = 0
    for mutated in mutations(pickled, 2_000):
        try:
            assert isinstance(read_plain_pickle(mutated, "batch"), dict)
        except InputError:
            refused += 1
    assert refused > 500

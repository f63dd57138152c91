from __future__ import annotations

import numpy as np
import pytest

from proxysample import InputError
from proxysample.sample_lists import read_sample_list


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"3\n5\n", [3, 5]),
        (b"3\r\n\r\n 5", [3, 5]),
        (b"cat/1.png\r\n2\n", ["cat/1.png", "2"]),
        ("é 1.png".encode(), ["é 1.png"]),
    ],
)
def test_lines_are_indices_or_names(written, read, tmp_path):
    (tmp_path / "list.txt").write_bytes(written)
    assert read_sample_list(tmp_path / "list.txt") == read


def test_what_select_wrote_is_a_list(tmp_path):
    np.save(tmp_path / "list.npy", np.array([4, 2]))
    assert read_sample_list(tmp_path / "list.npy") == [4, 2]


@pytest.mark.parametrize(
    ("name", "written", "message"),
    [
        ("list.txt", b"", "lists no sample"),
        ("list.txt", b"\xff\n", "no text in UTF-8"),
        ("list.npy", b"3\n", "list.npy"),
    ],
)
def test_what_lists_nothing_is_refused(name, written, message, tmp_path):
    (tmp_path / name).write_bytes(written)
    with pytest.raises(InputError, match=message):
        read_sample_list(tmp_path / name)


def test_a_missing_file_a_folder_and_fractions_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_sample_list(tmp_path / "list.txt")
    with pytest.raises(InputError, match="is a folder"):
        read_sample_list(tmp_path)
    np.save(tmp_path / "list.npy", np.array([0.5]))
    with pytest.raises(InputError, match="one-dimensional array of integers"):
        read_sample_list(tmp_path / "list.npy")

"""Command lines whose output cannot be written end with words, or in silence, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from proxysample import InputError
from proxysample.files import check_name, check_writable, make_folder, replace_file
from proxysample.wording import parse_parameters, parse_words

SELECT = (
    "import sys; from proxysample.cli import main; sys.argv = ['proxysample', *{words!r}]; main()"
)
WORDS = ["select", "--dataset", "digits", "--sampler", "rs", "-r", "0.5"]


@pytest.mark.parametrize("words", [[*WORDS, "-o", "-"], ["samplers"], ["--version"]])
def test_a_full_device_is_told(words):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", SELECT.format(words=words)],
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip() == "error: standard output: no space left on device"


def test_a_closed_pipe_ends_in_silence():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", SELECT.format(words=[*WORDS, "-o", "-"])],
        stdout=writing, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(writing)
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


def test_a_write_that_the_system_cuts_is_told(tmp_path):
    words = "5 requested and 2 written"
    with pytest.raises(InputError, match=words), replace_file(tmp_path / "a.npy"):
        raise OSError(words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a\0b", "x" * 256, "é" * 128])
def test_names_that_no_file_can_have_are_refused_before_any_work(name, tmp_path):
    for check in (check_name, check_writable):
        with pytest.raises(InputError, match="cannot be named"):
            check(tmp_path / name)
    with pytest.raises(InputError):
        make_folder(tmp_path / name)


@pytest.mark.parametrize("name", ["x" * 251 + ".npy", "é" * 125 + ".npy"])
def test_names_as_long_as_a_file_can_have_are_written(name, tmp_path):
    with replace_file(tmp_path / name) as stream:
        np.save(stream, np.arange(3))
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("value", ["9" * 5_000, "[" * 100_000, '{"a":' * 100_000])
def test_values_that_python_cannot_read_are_refused(value):
    with pytest.raises(InputError, match="too long a number, or nests too deeply"):
        parse_parameters([f"a={value}"])
    with pytest.raises(InputError):
        parse_words(f"a={value}")

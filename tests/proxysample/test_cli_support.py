"""Command lines whose output cannot be written end with words, or in silence, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from proxysample import InputError, cli_support
from proxysample.cli import main
from proxysample.cli_support import echo_line, say
from proxysample.files import check_name, check_writable, make_folder, replace_file
from proxysample.wording import parse_parameters, parse_words

WORDS = ["select", "--dataset", "digits", "--sampler", "rs", "-r", "0.5"]

COMMAND = """
import os, sys
from proxysample.cli import main

if sys.argv[1] == "full":
    written = os.open("/dev/full", os.O_WRONLY)
else:
    reading, written = os.pipe()
    os.close(reading)
os.dup2(written, 1)
sys.argv[:] = ["proxysample", *sys.argv[2:]]
main()
"""
TOLD = "error: standard output: no space left on device"


@pytest.mark.parametrize("words", [[*WORDS, "-o", "-"], ["samplers"]])
def test_a_full_device_is_told(words, forked):
    process = forked(COMMAND, "full", *words)
    assert process.wait() == 2, process.stderr
    assert process.stderr.strip() == TOLD


def assert_is_silent(code, stderr):
    assert code in (0, 1)
    assert "Traceback" not in stderr
    assert "Error" not in stderr


@pytest.mark.parametrize("words", [[*WORDS, "-o", "-"], ["samplers"]])
def test_a_closed_pipe_ends_in_silence(words, forked):
    process = forked(COMMAND, "pipe", *words)
    assert_is_silent(process.wait(), process.stderr)


def test_what_python_writes_as_it_ends_is_told_and_silent_too():
    command = [sys.executable, "-c", COMMAND]
    full = subprocess.run([*command, "full", "--version"], capture_output=True, text=True)
    assert (full.returncode, full.stderr.strip()) == (2, TOLD)
    pipe = subprocess.run([*command, "pipe", "--version"], capture_output=True, text=True)
    assert_is_silent(pipe.returncode, pipe.stderr)


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


@pytest.mark.parametrize("value", ["9" * 5_000, "[" * 10_000, '{"a":' * 10_000])
def test_values_that_python_cannot_read_are_refused(value):
    with pytest.raises(InputError, match="too long a number, or nests too deeply"):
        parse_parameters([f"a={value}"])
    with pytest.raises(InputError):
        parse_words(f"a={value}")


@pytest.mark.parametrize("place", ["/dev/null", "/dev/full", "fifo", "link"])
def test_no_device_or_pipe_is_replaced_by_a_file(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    Path("link").symlink_to("/dev/null")
    with pytest.raises(InputError, match="is no regular file"):
        check_writable(place)


@pytest.mark.parametrize(("closed", "code"), [("stdout", 2), ("stderr", 0)])
def test_a_stream_that_was_closed_before_is_no_raw_error(closed, code, capsys, monkeypatch):
    monkeypatch.setattr(sys, closed, None)
    monkeypatch.setattr(sys, "argv", ["command", "samplers"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == code
    if closed == "stdout":
        assert capsys.readouterr().err == "error: standard output: bad file descriptor\n"
    with suppress(OSError):
        getattr(sys, closed).close()


def test_a_folder_that_is_gone_is_told(capsys, monkeypatch):
    def gone():
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(Path, "cwd", gone)
    monkeypatch.setattr(sys, "argv", ["command", "samplers"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "the folder that this was started in is gone" in capsys.readouterr().err


def test_a_line_stays_one(capsys):
    echo_line("saved a\n\x1b[31mb")
    say("network: a\nb")
    assert capsys.readouterr().out == "saved a\\n\\x1b[31mb\nnetwork: a\\nb\n"


def test_the_signature_that_python_writes_for_a_dataclass_is_no_help():
    @dataclass
    class Bare:
        alpha: int = 3

    @dataclass
    class Told:
        """Says what it is."""

    assert cli_support._first_line(Bare) == "Bare: has no help"
    assert cli_support._first_line(Told) == "Told: Says what it is."

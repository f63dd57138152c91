"""The command line as a user types it."""

from __future__ import annotations

import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from proxysample import (
    CCS,
    CCOutlierRemoval,
    RandomSampling,
    Ranking,
    __version__,
    load_dataset,
)
from proxysample.cli import main
from proxysample.registry import SAMPLERS
from proxysample.wording import parse_parameters


@pytest.fixture
def proxysample(command_line):
    return partial(command_line, main)


def test_select_writes_the_indices_that_python_gives(proxysample, tmp_path):
    path = tmp_path / "indices.npy"
    words = "select --dataset digits --sampler cc-or -r 0.25 -o"
    code, out, err = proxysample(*words.split(), str(path))
    assert code == 0, err
    assert "keeps 359 of the 1,437 training samples of digits" in out
    expected = CCOutlierRemoval().select(load_dataset("digits").train, 0.25)
    assert np.array_equal(np.load(path), expected)


def test_a_keeping_rule_in_words(proxysample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = load_dataset("digits").train
    rule = CCS(beta=0.3, n_bins=20)
    words = "select --dataset digits --sampler cc-or --keep ccs:beta=0.3,n_bins=20 -r 0.25 -o"
    code, out, err = proxysample(*words.split(), "words.npy")
    assert code == 0, err
    assert np.array_equal(np.load("words.npy"), CCOutlierRemoval(keep=rule).select(train, 0.25))
    # A ranking that was scored before is cut by another rule.
    code, _, err = proxysample(
        *["score", "--dataset", "digits", "--sampler", "cc-or", "-o", "saved.npz"]
    )
    assert code == 0, err
    words = "select --ranking saved.npz --keep ccs(beta=0.3,n_bins=20) -r 0.25 -o again.npy"
    code, out, err = proxysample(*words.split())
    assert code == 0, err
    assert np.array_equal(np.load("again.npy"), np.load("words.npy"))
    code, out, err = proxysample(
        *["report", "--dataset", "digits", "--sampler", "cc-or", "--keep", "top", "-n", "9"]
    )
    assert code == 0, err
    assert "keeps: easy samples" in out


def test_a_rule_that_does_not_nest_is_told_of(proxysample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = "has another order for each size: sets do not nest"
    sampler = "--dataset digits --sampler cc-or"
    keep = ("--keep", 'ccs:beta={"0.1":0.5,"0.2":0.3}')
    words = f"select {sampler} -r 0.1 -r 0.2 -o kept-{{r}}.npy".split()
    code, out, err = proxysample(*words, *keep)
    assert code == 0, err
    assert told in out
    code, out, err = proxysample(*f"score {sampler} -o saved.npz".split(), *keep)
    assert code == 0, err
    assert told in out
    code, out, err = proxysample(*f"report {sampler} -r 0.1".split(), *keep)
    assert code == 0, err
    assert "no part of a larger one" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--sampler rs --keep hard", "rs has no keeping rule to choose; leave --keep out"),
        ("--sampler cc-or --keep hard --param keep=easy", "leave one out"),
        ("--sampler cc-or --keep ccs:betta=1", "did you mean 'beta'"),
        ("--sampler cc-or --keep csc", "did you mean 'ccs'"),
        ("--sampler cc-or --keep ccs:beta=0.8", "cuts 1,149 of 1,437 samples, and 359 are to be"),
        ("--sampler cc-or --keep beta", "needs the column 'probability'"),
    ],
)
def test_a_keeping_rule_that_cannot_work_is_refused(proxysample, tmp_path, words, message):
    given = f"select --dataset digits -r 0.25 -o {tmp_path / 'kept.npy'} {words}"
    code, _, err = proxysample(*given.split())
    assert code == 2
    assert message in err


def test_score_writes_a_ranking(proxysample, tmp_path):
    path = tmp_path / "km-or.npz"
    words = "score --dataset digits --sampler km-or --param n_clusters=10 -o"
    code, _out, err = proxysample(*words.split(), str(path))
    assert code == 0, err
    assert Ranking.load(path).provenance["parameters"]["n_clusters"] == 10


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"-r": "0"}, "must be in (0, 1]"),
        ({"-r": "1.5"}, "must be in (0, 1]"),
        ({"-r": "nan"}, "must be in (0, 1]"),
        ({"-r": "half"}, "not 'half'"),
        ({"--sampler": "cc-ro"}, "did you mean"),
        ({"--dataset": "npz:missing.npz"}, "no such file"),
        ({"--param": "n_clusters"}, "name=value"),
        ({"--param": "progress=no"}, "progress must be True or False, not 'no'"),
        ({"--sampler": "rs", "--param": "random_state=x"}, "random_state must be an integer"),
        ({"-o": "indices.pdf"}, "written as .npy, .csv, .parquet, .txt or .json, or to -"),
        ({"-o": "indices.txt"}, "a .txt lists the kept files, and these samples have none"),
        ({"--link-to": "kept"}, "have no files of their own"),
        ({"--link-kind": "soft"}, "takes symbolic or hard, not 'soft'"),
        ({"-n": "3"}, "2 kept sets need a name each"),
        ({"--balance": "cat"}, "unknown balance 'cat'"),
        ({"--balance": "cat=1;dog"}, "counts such as cat=100,dog=50, weights:"),
        ({"--balance": "cat=1,cat=2"}, "counts class 'cat' twice"),
        ({"--balance": "12=1"}, "unknown class in balance '12'"),
        ({"--must-keep": "missing.txt"}, "missing.txt: no such file"),
        ({"--ranking": "missing.npz"}, "give --sampler, or --ranking FILE"),
        ({"-o": "missing/indices.npy"}, "does not exist"),
    ],
)
def test_bad_input_gets_one_clear_message(proxysample, changed, message, tmp_path):
    options = {"--dataset": "digits", "--sampler": "cc-or", "-r": "0.5"}
    options |= {"-o": str(tmp_path / "indices.npy")} | changed
    code, _out, err = proxysample(
        "select", *(word for option in options.items() for word in option)
    )
    assert code == 2
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("command", "output", "message"),
    [
        ("score", "out.pdf", "a ranking is saved as .npz, not 'out.pdf'"),
        ("report -r 0.5", "out.pdf", "a report is saved as .html, not 'out.pdf'"),
        ("select -r 0.5", "missing/out.npy", "the folder missing does not exist; make it first"),
    ],
)
def test_where_nothing_can_be_written_no_work_is_done(
    proxysample, command, output, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(CCOutlierRemoval, "_score", lambda *_: pytest.fail("scored"))
    words = f"{command} --dataset digits --sampler cc-or -o {output}"
    code, _out, err = proxysample(*words.split())
    assert (code, err) == (2, f"error: {message}\n")


def test_what_contradicts_itself_is_refused_before_any_scoring(proxysample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(CCOutlierRemoval, "_score", lambda *_: pytest.fail("scored"))
    (tmp_path / "keep.txt").write_text("3\n5\n\n")
    (tmp_path / "drop.txt").write_text("5\n")
    words = "select --dataset digits --sampler cc-or -o kept.npy"
    for more, message in (
        ("-n 9 --must-keep keep.txt --exclude drop.txt", "sample 5 is in must_keep and in exclude"),
        ("-n 1 --must-keep keep.txt", "must_keep names 2 samples, and 1 are to be kept"),
        ("-n 9 --min-per-class 1", "min_per_class=1 makes 10 samples, and 9 are to be kept"),
        ("--balance 3=5000", "keeps 5,000 of class '3', which has 146 samples"),
        ("", "give r, the fraction to keep"),
        ("-n 1438", "more than the 1,437 samples"),
    ):
        code, _out, err = proxysample(*f"{words} {more}".split())
        assert code == 2
        assert message in err


def test_several_sets_are_cut_from_one_scoring(proxysample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "select --dataset digits --sampler cc-or -r 0.1 -r 0.25 -n 20 -o kept-{r}.npy"
    code, out, err = proxysample(*words.split())
    assert code == 0, err
    assert out.count("\n") == 3
    ranking = CCOutlierRemoval().rank(load_dataset("digits").train)
    for name, expected in (
        ("0.1", ranking.select(0.1)),
        ("0.25", ranking.select(0.25)),
        ("20", ranking.select(n=20)),
    ):
        assert np.array_equal(np.load(f"kept-{name}.npy"), expected)


def test_a_saved_ranking_is_cut_without_scoring_and_without_the_dataset(
    proxysample, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    ranking = CCOutlierRemoval().rank(load_dataset("digits").train)
    ranking.save("saved.npz")
    monkeypatch.setattr(CCOutlierRemoval, "_score", lambda *_: pytest.fail("scored"))
    monkeypatch.setattr("proxysample.data.datasets.load_dataset", lambda _: pytest.fail("read"))
    words = "select --ranking saved.npz -n 50 --balance equal -o kept.npy"
    code, out, err = proxysample(*words.split())
    assert code == 0, err
    assert out == "cc-or keeps 50 of the 1,437 samples: kept.npy\n"
    assert np.array_equal(np.load("kept.npy"), ranking.select(n=50, balance="equal"))
    words = "select --ranking saved.npz -n 50 -o kept.txt"
    code, _out, err = proxysample(*words.split())
    assert (code, "knows no files: give --dataset, too" in err) == (2, True)
    (tmp_path / "names.txt").write_text("cat.png\n")
    words = "select --ranking saved.npz -n 50 --exclude names.txt -o others.npy"
    code, _out, err = proxysample(*words.split())
    assert (code, "give indices" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("select --dataset digits -r 0.5 -r 0.9 -o {r}.npy", "0.9.npy"),
        ("score --dataset digits -o rs.npz", "rs.npz"),
        ("report --dataset digits -r 0.5 -o page.html", "page.html"),
    ],
)
def test_a_file_that_is_there_is_not_written_over_unasked(
    proxysample, tmp_path, monkeypatch, words, name
):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("mine")
    with monkeypatch.context() as patched:
        patched.setattr("proxysample.data.datasets.load_dataset", lambda *_: pytest.fail("read"))
        code, out, err = proxysample(*words.split())
    assert (code, out) == (2, "")
    assert f"{name} is there already: name another file, or pass --overwrite" in err
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert proxysample(*words.split(), "--sampler", "rs", "--overwrite")[0] == 0
    assert Path(name).read_bytes() != b"mine"


def test_parameters_are_checked_before_any_data_are_read(proxysample, monkeypatch):
    monkeypatch.setattr("proxysample.data.datasets.load_dataset", lambda *_: pytest.fail("read"))
    words = "select --dataset digits --sampler km-or --param n_clusters=x -r 0.1 -o -"
    code, _out, err = proxysample(*words.split())
    assert (code, "n_clusters must be a positive integer" in err) == (2, True)


def test_a_saved_ranking_of_another_dataset_is_refused(proxysample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Ranking(np.arange(5.0)).save("saved.npz")
    words = "select --ranking saved.npz --dataset digits -r 0.5 -o kept.npy"
    code, _out, err = proxysample(*words.split())
    assert (code, "the ranking is of 5 samples" in err) == (2, True)


def test_standard_output_holds_indices_and_nothing_else(proxysample):
    words = "select --dataset digits --sampler cc-or -n 10 -o -"
    code, out, err = proxysample(*words.split())
    assert code == 0
    expected = CCOutlierRemoval().select(load_dataset("digits").train, n=10)
    assert out.split() == [str(index) for index in expected]
    assert "keeps 10 of the 1,437" in err


def test_quiet_says_nothing_and_verbose_tells_the_classes(proxysample, tmp_path):
    words = f"select --dataset digits --sampler cc-or -n 20 -o {tmp_path}/kept.npy"
    assert proxysample(*words.split(), "-q") == (0, "", "")
    code, out, err = proxysample(*words.split(), "-v", "--overwrite")
    assert code == 0
    assert "keeps 20" in out
    assert "  3: 2 of 146\n" in err


def test_lost_classes_are_one_warning_of_the_command(proxysample, tmp_path):
    words = f"select --dataset digits --sampler rs -r 0.002 -r 0.004 -o {tmp_path}/k-{{r}}.npy"
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, _out, err = proxysample(*words.split())
    assert code == 0
    assert err.count("warning: rs keeps 3 samples and none of ") == 1


def test_kept_files_are_listed_linked_and_named(proxysample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind in ("cat", "dog"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number in range(4):
            Image.new("L", (4, 4), number).save(tmp_path / "photos" / kind / f"{number}.png")
    (tmp_path / "keep.txt").write_text("dog/3.png\n")
    words = "select --dataset folder:photos --sampler cc-rs -n 4 --must-keep keep.txt"
    code, _out, err = proxysample(*f"{words} -o kept.txt --link-to kept --copy-to copied".split())
    assert code == 0, err
    listed = (tmp_path / "kept.txt").read_text().splitlines()
    assert len(listed) == 4
    assert "photos/dog/3.png" in listed
    for folder in ("kept", "copied"):
        found = sorted(str(file.relative_to(folder)) for file in Path(folder).rglob("*.png"))
        assert found == sorted(name.removeprefix("photos/") for name in listed)
    code, _out, err = proxysample(*f"{words} --link-to kept".split())
    assert (code, "exists and is not empty" in err) == (2, True)


@pytest.mark.parametrize("package", ["proxysample", "proxysample_nas"])
def test_a_package_runs_as_its_command(package):
    done = subprocess.run(
        [sys.executable, "-m", package, "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"proxysample {__version__}\n"


def test_help_and_completion_are_at_hand(proxysample):
    code, out, _err = proxysample("-h")
    assert code == 0
    assert "--install-completion" in out
    code, out, _err = proxysample("select", "-h")
    assert code == 0
    assert "--min-per-class" in out


def test_a_report_takes_the_same_rules(proxysample):
    words = "report --dataset digits --sampler rs -n 20 --balance equal"
    code, out, err = proxysample(*words.split())
    assert code == 0, err
    assert out.startswith("rs keeps 20 of 1,437 samples")
    assert "3             2      146" in out


def test_a_warning_is_one_line(proxysample, tmp_path):
    for name in ("0.png", "1.png"):
        (tmp_path / "photos" / "cat").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "photos" / "cat" / name)
    (tmp_path / "photos" / "cat" / "2.png").write_text("no image")
    words = f"select --dataset folder,broken=skip:{tmp_path}/photos --sampler cc-or -r 0.5 -o"
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, _out, err = proxysample(*words.split(), f"{tmp_path}/indices.npy")
    assert code == 0
    assert err.startswith("warning: 1 of 3 samples cannot be read and are skipped")
    assert err.count("\n") == 1
    assert ".py" not in err


def test_words_mean_what_python_or_json_has_them_mean():
    given = ["a=False", "b=false", "c=True", "d=true", "e=None", "f=null", "g=falsch", "h= False"]
    read = parse_parameters(given)
    assert [read[name] for name in "abcdef"] == [False, False, True, True, None, None]
    assert (read["g"], read["h"]) == ("falsch", False)


@pytest.mark.parametrize("at_a_terminal", [False, True])
def test_who_waits_at_a_terminal_sees_progress(proxysample, tmp_path, monkeypatch, at_a_terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: at_a_terminal)
    path = tmp_path / "cc-or.npz"
    words = "score --dataset digits --sampler cc-or --overwrite -o"
    for asked, expected in (("", at_a_terminal), (" --param progress=false", False)):
        code, _out, err = proxysample(*f"{words} {path}{asked}".split())
        assert code == 0, err
        assert Ranking.load(path).provenance["parameters"]["progress"] is expected


def test_listing_samplers_loads_nothing_heavy():
    code = (
        "import sys, proxysample; proxysample.list_samplers(); "
        "print([m for m in ('torch', 'sklearn', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_list_is_of_ids_alone_or_of_parameters_too(proxysample):
    code, out, err = proxysample("samplers", "-q")
    assert (code, err) == (0, "")
    assert out.splitlines()[:3] == ["rs", "cc-rs", "km-or"]
    assert "(ranking=None, path=None)" in proxysample("samplers", "-v")[1]


def test_the_default_sampler_says_what_it_took_and_why(proxysample, tmp_path):
    output = tmp_path / "kept.npy"
    code, out, err = proxysample("select", "--dataset", "digits", "-r", "0.25", "-o", str(output))
    assert code == 0, err
    assert "auto keeps 359 of the 1,437" in out
    assert "auto took cc-rs: no sampler is shown to be better" in out
    assert np.load(output).shape == (359,)


def test_a_report_is_a_page_or_a_folder(proxysample, tmp_path):
    words = ["report", "--dataset", "digits", "--sampler", "cc-or", "-r", "0.25", "-r", "0.5", "-o"]
    for output in ("page.html", "page"):
        code, out, err = proxysample(*words, str(tmp_path / output))
        assert code == 0, err
        assert out.startswith("cc-or keeps 359 of 1,437 samples (r=0.25), drops 1,078: ")
    assert (tmp_path / "page" / "index.html").is_file()
    assert "r = 0.25" in (tmp_path / "page.html").read_text()


def test_too_many_samples_for_one_file_are_told_before_any_scoring(
    proxysample, tmp_path, monkeypatch
):
    monkeypatch.setattr("proxysample.gallery.page.MOST_IN_FILE", 1000)
    monkeypatch.setattr(CCOutlierRemoval, "_score", None)
    words = ["report", "--dataset", "digits", "--sampler", "cc-or", "-r", "0.25", "-o"]
    code, _out, err = proxysample(*words, str(tmp_path / "page.html"))
    assert code == 2, err
    assert "shows 1,000 samples at most, and there are 1,437; name a folder" in err


@pytest.mark.parametrize("more", [["-r", "0.5"], ["--neighbours-by", "resnet18"]])
def test_what_is_for_a_page_needs_one(proxysample, more):
    words = ["report", "--dataset", "digits", "--sampler", "cc-or", "-r", "0.25"]
    code, _out, err = proxysample(*words, *more)
    assert code == 2
    assert "are for a page: name it by -o" in err


def test_the_words_of_a_study_are_told_to_be_parameters(proxysample, tmp_path):
    words = ["--dataset", "digits", "--sampler", "km-or:n_clusters=20", "-r", "0.1"]
    code, _, err = proxysample("select", *words, "-o", str(tmp_path / "kept.npy"))
    assert code == 2
    assert "give --sampler km-or, and what is in 'n_clusters=20' by --param name=value" in err


def test_a_sampler_of_ones_own_is_named_by_its_module(proxysample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("of_the_shell.py").write_text(
        "from proxysample import RandomSampling\n"
        "class Drawn(RandomSampling):\n"
        "    id = 'drawn-here'\n"
    )
    words = "select --dataset digits -r 0.1 --sampler of_the_shell:Drawn --random-state 3 -o a.npy"
    try:
        for _ in range(2):
            code, out, err = proxysample(*words.split(), "--overwrite")
            assert code == 0, err
        assert "of_the_shell:Drawn keeps 144 of" in out
        expected = RandomSampling(random_state=3).select(load_dataset("digits").train, r=0.1)
        assert np.array_equal(np.load("a.npy"), expected)
        code, _, err = proxysample(*words.replace("Drawn", "Lost").split(), "--overwrite")
        assert (code, "of_the_shell:Lost cannot be imported" in err) == (2, True)
    finally:
        SAMPLERS.unregister("drawn-here")
        sys.modules.pop("of_the_shell", None)

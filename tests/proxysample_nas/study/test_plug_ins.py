"""Packages of others, as the command lines and the workers of studies find them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from proxysample.cli import main as main_of_samplers
from proxysample.registry import SAMPLERS
from proxysample_nas.cli import main
from proxysample_nas.searchers.registry import SEARCHERS
from proxysample_nas.study import Study


@pytest.fixture(autouse=True)
def package(plug_in, monkeypatch):
    """An installed package of a sampler, a searcher and an entry point that leads nowhere."""
    for registry in (SAMPLERS, SEARCHERS):
        monkeypatch.setattr(registry, "_plug_ins", None)
        monkeypatch.setattr(registry, "_loaded", {})
    plug_in(
        "lucky_package",
        '''
        import numpy as np
        from proxysample import Sampler
        from proxysample_nas.searchers import RandomSearch


        class Last(Sampler):
            """Keep the last samples."""

            id = "last"

            def __init__(self, *, offset=0):
                self.offset = offset

            def _score(self, samples, codes):
                return self.offset - np.arange(len(samples))


        class Lucky(RandomSearch):
            """Draw a single cell, and like it."""

            id = "lucky"
        ''',
        """
        [proxysample.samplers]
        last = lucky_package:Last
        lost = lucky_package:Lost
        [proxysample.searchers]
        lucky = lucky_package:Lucky
        """,
    )


def test_they_are_listed_with_their_package(command_line):
    code, out, err = command_line(main_of_samplers, "samplers")
    assert code == 0, err
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert lines["last"].endswith("Last: Keep the last samples. [package lucky_package]")
    assert "cannot be loaded" in lines["lost"]
    assert lines["cc-or"].split(maxsplit=1)[1].startswith("CCOutlierRemoval: Keep the samples")
    assert {"rs", "indices", "ranking"} < lines.keys()
    code, out, err = command_line(main, "searchers")
    assert code == 0, err
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert lines["lucky"].endswith(
        "Lucky: Draw a single cell, and like it. [package lucky_package]"
    )
    assert lines["darts-v1"].split()[1] == lines["darts-v2"].split()[1] == "DARTS:"


def test_a_sampler_of_theirs_selects(command_line, tmp_path):
    path = tmp_path / "indices.npy"
    words = "select --dataset digits --sampler last --param offset=2 -r 0.5 -o"
    code, _out, err = command_line(main_of_samplers, *words.split(), str(path))
    assert code == 0, err
    assert np.load(path).tolist() == list(range(1437 - round(0.5 * 1437), 1437))


def test_a_ready_ranking_is_cut_from_the_command_line(command_line, tmp_path):
    run = partial(command_line, main_of_samplers)
    ranking, indices = tmp_path / "ranking.npz", tmp_path / "indices.npy"
    code, _out, err = run(*f"score --dataset digits --sampler last -o {ranking}".split())
    assert code == 0, err
    words = f"select --dataset digits --sampler ranking --param path={ranking} -r 0.5 -o {indices}"
    code, _out, err = run(*words.split())
    assert code == 0, err
    again = f"select --dataset digits --sampler indices --param path={indices} -r 0.25 -o -"
    code, _out, err = run(*again.split())
    assert code == 2
    assert "718 given indices cannot be cut to 359: of 1,437 samples they are r=0.4996" in err


@pytest.mark.usefixtures("forked_workers")
def test_a_study_and_its_workers_find_them(command_line, tmp_path):
    words = (
        "study run --dataset digits --n-train 60 --sampler last:offset=1 -r 0.5 --channels 4 "
        "--searcher lucky:n_nodes=3,n_samples=1,channels=4,cells_per_stage=1 --seed 777 "
        "--train epochs=1 --train cells_per_stage=1 --executor processes --workers 1 -o"
    )
    code, out, err = command_line(main, *words.split(), str(tmp_path / "study"))
    assert code == 0, err
    assert "LAST (offset=1)" in out
    study = Study.open(tmp_path / "study")
    assert [row.n_kept for row in study.rows("lucky")] == [60, 30]
    assert study.configuration.samplers[0].resolved == {"offset": 1}

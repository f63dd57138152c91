from __future__ import annotations

import csv
import io
import os
import signal
import sqlite3
import time
from contextlib import closing

import pytest

from proxysample import InputError
from proxysample_nas.study import Component, Study, StudyConfiguration
from proxysample_nas.study.experiments.search import Search

TINY = "darts-v1:n_nodes=3,channels=4,cells_per_stage=1,epochs=1"


def settings(**changed):
    return {
        "dataset": "digits",
        "n_train": 120,
        "samplers": ["cc-or", "rs"],
        "ratios": [0.5],
        "searchers": [TINY],
        "channels": [4],
        "seeds": [777, 888],
        "training": {"epochs": 1, "cells_per_stage": 1, "batch_size": 64},
        "augmentation": {"flip": False},
    } | changed


def what_was_found(study: Study) -> list[tuple[object, ...]]:
    """A table without its seconds."""
    return [
        (row.method, row.setting.r, one.n_kept, one.cell, one.evaluations[4].accuracies)
        for row in study.rows("darts-v1")
        for one in row.found
    ]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    study = Study(**settings(), folder=tmp_path_factory.mktemp("study"))
    assert study.run(n_workers=1, progress=False) == 0
    return study


def finished_at(study: Study) -> dict[str, float]:
    with closing(sqlite3.connect(study.folder / "study.sqlite")) as connection:
        return dict(connection.execute("SELECT key, finished FROM experiments").fetchall())


def test_rows_stand_in_the_papers_order(study):
    rows = study.rows("darts-v1")
    assert [(row.group, row.method.rstrip("*"), row.n_kept) for row in rows] == [
        ("Baseline", "Full DS", 120),
        ("Unsupervised", "RS", 60),
        ("Supervised", "CC-OR", 60),
    ]
    assert all(len(row.found[0].evaluations[4].runs) == 2 for row in rows)


@pytest.mark.usefixtures("forked_workers")
def test_side_by_side_gives_the_same_results(study, tmp_path):
    other = Study(**settings(), folder=tmp_path)
    assert other.run(n_workers=2, progress=False) == 0
    assert what_was_found(other) == what_was_found(study)


def test_running_again_runs_nothing(study):
    before = finished_at(study)
    assert study.run(n_workers=1, progress=False) == 0
    assert finished_at(study) == before


def test_a_larger_study_runs_only_what_is_new(study, tmp_path):
    small = Study(**settings(samplers=["rs"], seeds=[777]), folder=tmp_path)
    small.run(n_workers=1, progress=False)
    before = finished_at(small)
    large = Study(**settings(), folder=tmp_path)
    large.run(n_workers=1, progress=False)
    assert before.items() <= finished_at(large).items()
    assert what_was_found(large) == what_was_found(study)


def test_equal_cells_are_trained_once(study):
    with closing(sqlite3.connect(study.folder / "study.sqlite")) as connection:
        (n_trainings,) = connection.execute(
            "SELECT count(*) FROM experiments WHERE kind = 'training'"
        ).fetchone()
    cells = {one.cell for row in study.rows("darts-v1") for one in row.found}
    assert n_trainings == 2 * len(cells)


RUNNER = """
from proxysample_nas.study import Study
if __name__ == "__main__":
    Study(**{settings!r}, folder={folder!r}).run(n_workers={n_workers}, progress=False)
"""


OF_ONE_SESSION = """
import multiprocessing, os
os.setsid()
# Workers that are forked begin at once.
get_context = multiprocessing.get_context
multiprocessing.get_context = lambda method=None: get_context("fork")
"""


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_killed_study_goes_on_and_ends_in_the_same_table(study, forked, tmp_path, n_workers):
    code = RUNNER.format(settings=settings(), folder=str(tmp_path), n_workers=n_workers)
    # That workers begin by a user's script is tested with the executors.
    process = forked(OF_ONE_SESSION + code)
    halted = Study(**settings(), folder=tmp_path)
    while len(_finished(halted)) < 4:
        assert process.poll() is None, "the study ended before it could be killed"
        time.sleep(0.02)
    # Only the parent is killed: its workers have to notice by themselves.
    process.kill()
    process.wait()
    before = _finished(halted)
    _wait_until_no_process_of(process.pid)
    halted.run(n_workers=1, progress=False)
    assert before.items() <= finished_at(halted).items()
    assert what_was_found(halted) == what_was_found(study)


def _finished(study: Study) -> dict[str, float]:
    try:
        return finished_at(study)
    except sqlite3.OperationalError:  # not made yet
        return {}


def _wait_until_no_process_of(group: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    pytest.fail("worker processes outlived their killed parent")


def test_a_search_killed_between_epochs_goes_on(forked, tmp_path):
    longer = settings(searchers=[TINY.replace("epochs=1", "epochs=10")], samplers=["rs"])
    folder = str(tmp_path / "killed")
    process = forked(RUNNER.format(settings=longer, folder=folder, n_workers=1))
    unfinished = tmp_path / "killed" / "unfinished"
    while not list(unfinished.glob("*.safetensors")):
        assert process.poll() is None, "the study ended before it could be killed"
        time.sleep(0.01)
    process.kill()
    process.wait()
    killed = Study(**longer, folder=tmp_path / "killed")
    whole = Study(**longer, folder=tmp_path / "whole")
    for study in (killed, whole):
        assert study.run(progress=False) == 0
    assert what_was_found(killed) == what_was_found(whole)
    assert not list(unfinished.iterdir())


def test_failures_are_kept_and_retried_on_request(tmp_path):
    diverging = TINY.replace("epochs=1", "epochs=4") + ",learning_rate=1e38"
    study = Study(**settings(searchers=[diverging], samplers=["rs"]), folder=tmp_path)
    assert study.run(n_workers=1, progress=False) == 2
    assert all("DivergenceError" in failure.error for failure in study.store.failures())
    assert "| failed" in study.table()
    assert "not searched yet" not in study.table()
    before = finished_at(study)
    study.run(n_workers=1, progress=False)
    assert finished_at(study) == before
    study.run(n_workers=1, progress=False, retry_failed=True)
    assert finished_at(study) != before


def test_the_table_reads_like_the_papers(study):
    text = study.table()
    assert "| Method" in text
    assert "A, C=4" in text
    assert "**Supervised**" in text
    assert "120 training and 360 test images" in text
    assert "held out of the given training images" in text
    (row, *_) = study.rows("darts-v1")
    accuracy = row.found[0].evaluations[4]
    assert f"{accuracy.mean:.1f} ± {accuracy.std:.1f}" in text


def test_csv_and_markdown_are_saved_and_agree(study):
    paths = study.save_tables()
    assert [path.name for path in paths] == [
        *("table-darts-v1.md", "table-darts-v1.csv"),
        *("searches.csv", "verdicts.md", "verdicts.csv"),
    ]
    assert paths[0].read_text() == study.table()
    lines = list(csv.DictReader(io.StringIO(paths[1].read_text())))
    for line, row in zip(lines, study.rows("darts-v1"), strict=True):
        (found,) = row.found
        assert float(line["accuracy_mean_c4"]) == found.evaluations[4].mean
        assert line["cell"] == str(found.cell)
        assert line["parameter_free"] == str(found.cell.is_parameter_free)


def test_one_searcher_with_two_settings_has_two_tables(tmp_path):
    searchers = ["random:n_nodes=2,n_samples=1", "random:n_nodes=3,n_samples=1"]
    study = Study(**settings(searchers=searchers, samplers=["rs"], seeds=[777]), folder=tmp_path)
    assert study.run(progress=False) == 0
    paths = study.save_tables()
    names = [path.name for path in paths if path.suffix == ".md"]
    assert names == ["table-random.md", "table-random-2.md", "verdicts.md"]
    assert paths[0].read_text() != paths[2].read_text()


def test_an_asterisk_marks_a_cell_without_parameters(study, tmp_path):
    from dataclasses import replace

    from proxysample_nas.space.cell import Cell

    (row, *_) = study.rows("darts-v1")
    (found,) = row.found
    free = replace(found, cell=Cell.filled("skip_connect", n_nodes=3))
    trained = replace(found, cell=Cell.filled("nor_conv_1x1", n_nodes=3))
    assert replace(row, found=(free,)).method == "Full DS*"
    assert replace(row, found=(trained,)).method == "Full DS"
    assert replace(row, found=(free, trained)).method == "Full DS"


def test_a_study_is_reported_from_its_store_alone(study):
    opened = Study.open(study.folder)
    assert opened.table() == study.table()
    assert opened.configuration == study.configuration


def test_a_missing_study_is_refused(tmp_path):
    with pytest.raises(InputError, match="run one first"):
        Study.open(tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"samplers": ["cc-ro"]}, "did you mean"),
        ({"samplers": ["km-or:n_cluster=4"]}, "did you mean 'n_clusters'"),
        ({"samplers": []}, "at least one sampler"),
        ({"samplers": ["rs", "rs"]}, "names a sampler twice"),
        ({"searchers": ["darts-v9"]}, "did you mean"),
        ({"searchers": ["darts-v1:epoch=3"]}, "did you mean 'epochs'"),
        ({"searchers": ["darts-v1:epochs"]}, "name=value"),
        ({"ratios": [1.5]}, r"\(0, 1\]"),
        ({"ratios": [1]}, "baseline"),
        ({"training": {"epoch": 3}}, "epoch"),
        ({"augmentation": {"flips": False}}, "flips"),
        ({"recipe": "papers"}, "did you mean 'paper'"),
        ({"n_train": 0}, "n_train"),
        ({"seeds": []}, "seeds needs at least one"),
        ({"search_seeds": []}, "search_seeds needs at least one"),
        ({"search_seeds": [0, 0]}, "search_seeds has 0 twice"),
        ({"searchers": [TINY + ",random_state=3"]}, "search_seeds"),
        ({"searchers": [TINY + ",protocol=paper"]}, "architecture_data='test-half'"),
        ({"architecture_data": "test"}, "did you mean 'test-half'"),
        ({"transfers": ["digits"]}, "must differ"),
        ({"transfers": ["npz:other.npz,n_best=0"]}, "n_best"),
        ({"transfers": ["npz:other.npz,epoch=3"]}, "epoch"),
        ({"lookup": {"path": "a.csv", "dataset": "cifar100"}}, "n_nodes=4"),
        ({"lookup": {"path": "a.csv"}}, "dataset"),
    ],
)
def test_what_cannot_work_is_refused_before_any_work(changed, message, tmp_path):
    with pytest.raises(InputError, match=message):
        Study(**settings(**changed), folder=tmp_path / "study")
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dataset": "npz:missing.npz"}, "no such file"),
        ({"n_train": 5000}, "1,437 training images"),
    ],
)
def test_data_that_cannot_serve_are_refused(changed, message, tmp_path):
    with pytest.raises(InputError, match=message):
        Study(**settings(**changed), folder=tmp_path).run(progress=False)


def test_a_configuration_comes_back_from_json():
    configuration = StudyConfiguration.build(**settings())
    assert StudyConfiguration.from_json(configuration.to_json()) == configuration


def test_components_read_words():
    component = Component.parse("km-or:n_clusters=50,protocol=paper")
    assert component == Component("km-or", {"n_clusters": 50, "protocol": "paper"})
    assert Component.parse("rs").label == "RS"


def test_a_folder_that_is_moved_away_while_it_runs_is_told(tmp_path, monkeypatch):
    there, moved = tmp_path / "there", tmp_path / "moved"
    study = Study(**settings(samplers=["rs"]), folder=there)
    search = Search.run

    def move_and_search(self, context):
        there.rename(moved)
        return search(self, context)

    monkeypatch.setattr(Search, "run", move_and_search)
    with pytest.raises(InputError, match="is gone: it was removed"):
        study.run(progress=False)
    # Not even what it keeps between epochs.
    assert not there.exists()
    store = Study.open(moved).store
    assert len(store.states()) == len(store.results("selection")) == 1

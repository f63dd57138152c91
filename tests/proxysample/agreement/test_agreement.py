"""Rank agreement of any training function: what is planted comes out, whatever runs it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from scipy import stats

import proxysample
from proxysample import RankAgreement, Sampler, rank_agreement, register
from proxysample.agreement import FunctionEvaluator
from proxysample.agreement.data import split_data
from proxysample.agreement.experiments import Scores
from proxysample.components import FewerResultsWarning
from proxysample.data.datasets import ArrayDataset
from proxysample.data.fields import FieldView
from proxysample.errors import InputError

from . import planted

SETTINGS = {"held_out": 0.2, "progress": False}


def agree(evaluate=planted.planted, samplers=("cc-or", "cc-or:keep=hard"), ratios=(0.25,), **more):
    configurations = more.pop("configurations", planted.CONFIGURATIONS)
    dataset = more.pop("dataset", None) or planted.dataset()
    return rank_agreement(evaluate, configurations, dataset, samplers, ratios, **(SETTINGS | more))


@pytest.fixture
def notes(tmp_path, monkeypatch):
    path = tmp_path / "notes.txt"
    path.touch()
    monkeypatch.setenv("NOTES", str(path))
    return lambda: [line.split() for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return agree(folder=tmp_path_factory.mktemp("planted"), budgets=["epochs", "steps"])


def by_method(found, reference="the full data", budget="epochs"):
    return {
        row.method: row
        for row in found.rows
        if row.reference == reference and row.budget in (budget, "")
    }


def test_a_planted_good_sampler_wins_and_a_bad_one_loses(found):
    rows = by_method(found)
    assert rows["CC-OR"].tau < -0.5
    assert rows["CC-OR (keep=hard)"].tau > rows["CC-RS"].tau > 0.4
    assert rows["CC-OR"].to_rival_interval.high < 0
    assert rows["CC-OR"].to_ceiling_interval.high < 0
    assert rows["CC-OR"].regret > 4
    assert rows["CC-OR"].overlap == 0


def test_a_row_is_what_its_scores_say(found):
    scores = found.scores()
    reference = scores["Full DS, seed 0"]
    row = by_method(found)["CC-RS"]
    draws = [name for name in scores if name.startswith("CC-RS, r=0.25, equal epochs")]
    taus = [stats.kendalltau(scores[name], reference).statistic for name in draws]
    rhos = [stats.spearmanr(scores[name], reference).statistic for name in draws]
    assert len(draws) == row.n_draws == 2
    assert row.taus == pytest.approx(taus)
    assert row.tau == pytest.approx(np.mean(taus))
    assert row.spearman == pytest.approx(np.mean(rhos))
    assert row.to_ceiling == pytest.approx(row.tau - by_method(found)["Full DS, another seed"].tau)
    regrets = [reference.max() - reference[scores[name].idxmax()] for name in draws]
    assert row.regret == pytest.approx(np.mean(regrets))
    assert row.tau_interval.low <= row.tau <= row.tau_interval.high


def test_the_correction_widens_the_interval(found):
    row = by_method(found)["CC-OR"]
    plain, corrected = row.to_rival_interval, row.to_rival_after_all
    assert corrected.low <= plain.low < plain.high <= corrected.high
    assert corrected != plain


def test_equal_samplers_are_not_told_apart_and_random_is_advised():
    found = agree(samplers=["rs"], ratios=[0.5])
    row = by_method(found)["RS"]
    assert not row.to_rival_after_all.excludes_zero
    assert found.verdict.startswith("No sampler ranks surely better than class-random")


def test_the_verdict_names_a_sampler_that_is_surely_better():
    def split(configuration, train, held_out, seed):
        quality = float(configuration[1:])
        rng = np.random.default_rng([seed, len(train), int(quality)])
        narrow = planted.spread_of(train) < 0.6
        return quality if narrow or len(train) == 160 else rng.normal()

    configurations = [f"c{number}" for number in range(30)]
    found = agree(
        FunctionEvaluator(split, "split"), ["cc-or"], configurations=configurations,
        dataset=planted.dataset(200),
    )  # fmt: skip
    assert found.verdict.startswith("Rank on 25 % kept by CC-OR (equal epochs): tau 1.00")


def test_every_score_is_on_the_same_held_out_samples_and_passes_make_updates_equal(notes):
    agree(planted.noted, ["cc-or"], [0.25, 0.5], budgets=["epochs", "steps"])
    asked = notes()
    assert {held_out for _, _, held_out, _, _ in asked} == {"20"}
    assert {(size, passes) for _, size, _, _, passes in asked} == {
        ("80", "1"), ("40", "1"), ("40", "2"), ("20", "1"), ("20", "4"),
    }  # fmt: skip


def test_proxies_are_never_trained_at_the_references_seed(notes):
    agree(planted.noted, ["cc-or"], [0.5], seeds=[7, 8, 9])
    seeds = {size: set() for _, size, *_ in notes()}
    for _, size, _, seed, _ in notes():
        seeds[size].add(seed)
    assert seeds == {"80": {"7", "8", "9"}, "40": {"8", "9"}}


def test_no_sampler_sees_what_is_held_out():
    seen = []

    class Watching(Sampler):
        id = "watching"

        def __init__(self, *, keep="easy"):
            self.keep = keep

        def _score(self, samples, codes):
            seen.append(np.concatenate([part for _, part in samples.feature_chunks()]))
            return np.arange(len(seen[-1]), dtype=float)

    judged = []

    def watch(configuration, train, held_out, seed):
        judged.append(np.asarray(held_out.images))
        return float(configuration[1:])

    agree(FunctionEvaluator(watch, "watch"), [Watching()])
    (features,) = seen
    assert len(features) == 80
    of_judged = {row.tobytes() for row in judged[0]}
    assert not of_judged & {row.tobytes() for row in features}
    assert all(np.array_equal(one, judged[0]) for one in judged)


def test_a_sampler_that_draws_the_same_again_is_trained_on_once(notes):
    class Unseeded(Sampler):
        id = "unseeded"

        def __init__(self, *, keep="easy", random_state=None):
            self.keep = keep
            self.random_state = random_state

        def _score(self, samples, codes):
            return np.arange(len(samples), dtype=float)

    found = agree(planted.noted, [Unseeded()], [0.5])
    row = by_method(found)["UNSEEDED"]
    assert row.n_draws == 1
    assert "proxies are done" not in found.table()
    # The full data twice, class-random twice, and this once.
    assert len(notes()) == 5 * planted.N


def test_what_is_finished_is_not_run_again_and_more_adds_to_it(notes, tmp_path):
    agree(planted.noted, ["cc-or"], [0.5], folder=tmp_path / "kept")
    before = len(notes())
    agree(planted.noted, ["cc-or"], [0.5], folder=tmp_path / "kept")
    assert len(notes()) == before
    more = agree(planted.noted, ["cc-or"], [0.5, 0.25], folder=tmp_path / "kept")
    added = notes()[before:]
    assert {size for _, size, *_ in added} == {"20"}
    whole = agree(planted.noted, ["cc-or"], [0.5, 0.25])
    assert more.scores().equals(whole.scores())


def test_killed_at_any_moment_it_goes_on_to_the_same_result(notes, tmp_path, forked, monkeypatch):
    program = (
        "import sys\n"
        "from tests.proxysample.agreement import planted\n"
        "from proxysample import rank_agreement\n"
        "rank_agreement(planted.noted, planted.CONFIGURATIONS, planted.dataset(), ['cc-or'],\n"
        "    [0.5], folder=sys.argv[1], progress=False)\n"
    )
    monkeypatch.setenv("KILL_AFTER", "11")
    assert forked(program, str(tmp_path / "kept")).wait(60) != 0
    assert len(notes()) == 11
    monkeypatch.delenv("KILL_AFTER")
    resumed = agree(planted.noted, ["cc-or"], [0.5], folder=tmp_path / "kept")
    # All but the one that it was killed in were kept.
    assert len(notes()) == 5 * planted.N + 1
    assert resumed.scores().equals(agree(planted.noted, ["cc-or"], [0.5]).scores())


@pytest.mark.usefixtures("forked_workers")
def test_processes_give_the_same_scores():
    here = agree(ratios=[0.5])
    there = agree(ratios=[0.5], n_workers=2)
    assert there.scores().equals(here.scores())


def test_a_store_is_read_without_function_and_data(found):
    opened = RankAgreement.open(found.folder)
    assert opened.rows == found.rows
    assert opened.table() == found.table()
    with pytest.raises(InputError, match="opened to be read"):
        opened.run()


def test_what_was_not_run_yet_is_shown_in_a_line_and_what_was_is_a_page(found, tmp_path):
    empty = RankAgreement(found.design, tmp_path)
    line = "RankAgreement(CC-RS, CC-OR, CC-OR (keep=hard) on ArrayDataset at r = 0.25, not run yet)"
    assert repr(empty) == line
    assert empty._repr_html_().startswith(f"<pre>{line}: no rank agreement at ")
    (page,) = found.report()
    assert page == found.folder / "rank-agreement.html"
    assert found.verdict[:40] in page.read_text()


def test_versions_that_are_mixed_are_told(found, tmp_path):
    assert f"Versions: proxysample {proxysample.__version__}, Python" in found.table()
    copied = shutil.copytree(found.folder, tmp_path / "copied")
    with closing(sqlite3.connect(copied / "rank-agreement.sqlite")) as store, store:
        store.execute(
            "UPDATE experiments SET result = json_set(result, '$.machine.proxysample', '0.0')"
            " WHERE key = (SELECT min(key) FROM experiments WHERE kind = ?)",
            (Scores.kind,),
        )
    table = RankAgreement.open(copied).table()
    assert "Versions are mixed" in table
    assert f": proxysample 0.0, {proxysample.__version__}." in table


def test_another_source_gives_other_results_and_not_a_mixture(notes, tmp_path):
    folder = tmp_path / "kept"
    agree(FunctionEvaluator(planted.noted, "1"), ["cc-or"], [0.5], folder=folder)
    n_before = len(notes())
    agree(FunctionEvaluator(planted.noted, "2"), ["cc-or"], [0.5], folder=folder)
    assert len(notes()) == 2 * n_before


def test_data_that_have_changed_are_refused(tmp_path):
    agree(folder=tmp_path)
    with pytest.raises(InputError, match="data of 'ArrayDataset' have changed"):
        agree(folder=tmp_path, dataset=planted.dataset(102))


def test_a_configuration_that_fails_is_left_out_everywhere_and_told_of():
    def failing(configuration, train, held_out, seed):
        if configuration == "c3" and len(train) < 80:
            raise FloatingPointError("diverged")
        return float(configuration[1:])

    found = agree(FunctionEvaluator(failing, "failing"))
    assert "c3" not in found.scores().index
    assert len(found.scores()) == planted.N - 1
    assert "Left out everywhere because a training failed: c3" in found.table()


def test_where_all_fails_the_first_error_is_told():
    def failing(configuration, train, held_out, seed):
        raise FloatingPointError("diverged at once")

    found = agree(FunctionEvaluator(failing, "failing"))
    with pytest.raises(InputError, match="FloatingPointError: diverged at once"):
        found.table()


def test_what_is_known_is_a_second_reference():
    backwards = [float(-number) for number in range(planted.N)]
    forwards = [float(number) for number in range(planted.N)]
    found = agree(known={"b": backwards, "a": forwards})
    rows = by_method(found, "b")
    assert rows["a"].tau == -1
    assert rows["Full DS"].tau < -0.4
    assert rows["CC-OR"].tau == 1
    assert RankAgreement.open(found.folder).rows == found.rows


def test_estimates_are_rows_of_every_reference_and_no_reference():
    forwards = [float(number) for number in range(planted.N)]
    backwards = [-one for one in forwards]
    found = agree(known={"k": backwards}, estimates={"e": forwards})
    assert by_method(found, "k")["e"].tau == -1
    assert by_method(found)["e"].tau > 0.4
    assert {row.reference for row in found.rows} == {"the full data", "k"}
    assert RankAgreement.open(found.folder).rows == found.rows
    alone = agree(estimates={"e": forwards, "d": backwards})
    assert {row.reference for row in alone.rows} == {"the full data"}
    assert RankAgreement.open(alone.folder).rows == alone.rows


def test_the_frame_and_the_files_hold_all_rows(found, tmp_path):
    frame = found.to_frame()
    assert len(frame) == len(found.rows)
    assert {"tau", "low_tau", "high_tau", "top_k_overlap", "regret", "share_of_full_seconds"} <= {
        *frame.columns
    }
    files = found.save(tmp_path)
    assert {path.name for path in files} == {
        "rank-agreement.md", "rank-agreement.csv", "rank-agreement.tex", "rank-agreement.html",
        "scores.csv", "tau.svg", "ranks.svg",
    }  # fmt: skip
    assert (tmp_path / "rank-agreement.csv").read_text().count("\n") == len(frame) + 1
    page = (tmp_path / "rank-agreement.html").read_text()
    assert page.count("data:image/svg+xml") == 2
    assert "<script" not in page
    assert "CC-OR (keep=hard)" in found._repr_html_()


def test_figures_have_a_panel_for_each_reference_and_budget(found):
    assert len(found.figure().axes) == 2
    # The full data again, and three samplers.
    assert sum(axes.get_visible() for axes in found.figure("ranks", r=0.25).axes) == 4
    with pytest.raises(InputError, match=r"no proxy of r=0.3 is done; there are 0.25"):
        found.figure("ranks", r=0.3)
    with pytest.raises(InputError, match="unknown figure 'taus'"):
        found.figure("taus")


def test_an_outline_counts_and_runs_nothing(found, notes):
    assert found.outline().splitlines() == [
        "ArrayDataset: 80 samples train, 20 score",
        "full data: 16 trainings",
        "CC-RS, r=0.25, equal epochs: 16 trainings",
        "CC-OR, r=0.25, equal epochs: 8 trainings",
        "CC-OR (keep=hard), r=0.25, equal epochs: 8 trainings",
        "CC-RS, r=0.25, equal steps: 16 trainings",
        "CC-OR, r=0.25, equal steps: 8 trainings",
        "CC-OR (keep=hard), r=0.25, equal steps: 8 trainings",
        "in all as much as 56.0 trainings on the full data, whose reference is 8 trainings",
    ]
    assert not notes()


def test_a_temporary_folder_goes_with_the_result():
    found = agree()
    folder = found.folder
    assert folder.exists()
    del found
    assert not folder.exists()


def test_other_datasets_are_cut_as_their_own_kind():
    from torch.utils.data import Dataset

    class Own(Dataset):
        def __len__(self):
            return 40

        def __getitem__(self, index):
            return np.full((2, 2), index / 40, dtype=np.float32), index % 2

    def kinds(configuration, train, held_out, seed):
        assert type(train).__name__ == type(held_out).__name__ == "Subset"
        return float(configuration[1:])

    found = agree(FunctionEvaluator(kinds, "kinds"), dataset=Own())
    assert not found.store.failures()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"configurations": ["c1", "c2"]}, "2 configurations have no order"),
        ({"configurations": ["c1", "c1", "c2"]}, "the configuration c1 is given twice"),
        ({"configurations": {1: 0.1, "1": 0.2, "2": 0.3}}, "the configuration 1 is given twice"),
        ({"seeds": [0]}, "seeds needs two at least"),
        ({"budgets": ["hours"]}, "unknown budget 'hours'"),
        ({"budgets": []}, "budgets must be"),
        ({"ratios": [1]}, "r=1 is the full data"),
        ({"ratios": []}, "at least one ratio"),
        ({"samplers": ["cc-or", "cc-or"]}, "names a sampler twice: CC-OR"),
        ({"samplers": ["cc-orr"]}, "did you mean"),
        ({"held_out": 1.5}, "held_out"),
        ({"held_out": 0.001}, "leaves a part empty"),
        ({"n_train": 1}, "n_train must be from 2 to 100"),
        ({"known": {"a": [1.0]}}, r"known\['a'\] has to be 8 finite numbers"),
        ({"samplers": [[3, 90]]}, "is up to 90, and samplers pick from 80 here"),
        ({"evaluate": 3}, "evaluate must be a function"),
        ({"evaluate": lambda c: c}, r"is called as .*\(configuration, train, held_out, seed="),
        (
            {"evaluate": lambda train, held_out, configuration, seed: 1.0},
            r"\(configuration, train, held_out, seed=...\), and its parameter train stands where",
        ),
        ({"evaluate": len}, "source of <built-in function len> cannot be read"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_runs(changed, message, tmp_path):
    with pytest.raises(InputError, match=message):
        agree(folder=tmp_path, **changed)
    assert not list(tmp_path.glob("*.sqlite"))


def test_equal_updates_need_a_function_that_takes_passes():
    def plain(configuration, train, held_out, seed):
        return 1.0

    with pytest.raises(InputError, match="has no parameter passes"):
        agree(plain, budgets=["steps"])


@pytest.mark.filterwarnings("ignore:.* cannot be read and are skipped")
def test_samples_that_cannot_be_read_neither_train_nor_score_where_these_are_skipped():
    pixels = np.arange(20.0).repeat(4).reshape(20, 2, 2)
    pixels[7] = np.nan
    data = FieldView(ArrayDataset(pixels, np.arange(20) % 2), broken="skip")
    split = split_data(data, 0.25, 0)
    assert (split.n_train, split.n_held_out) == (14, 5)
    seen = [part[i][0].max() for part in (split.train, split.held_out) for i in range(len(part))]
    assert sorted(seen) == [*range(7), *range(8, 20)]


@pytest.mark.parametrize("given", [None, "high", [1.0, 2.0], float("nan")])
def test_a_score_is_a_number(given):
    evaluator = FunctionEvaluator(lambda configuration, train, held_out, seed: given, "mine")
    with pytest.raises(InputError, match="mine must return a finite number, its score, not"):
        evaluator.score(["c1"], (planted.dataset(), None), np.arange(3), seed=0, passes=1)


def test_what_a_folder_had_and_a_call_leaves_out_is_told(tmp_path):
    agree(folder=tmp_path, samplers=["cc-or", "rs"], ratios=[0.5, 0.25])
    with pytest.warns(FewerResultsWarning, match=r"also has RS, r=0\.25, which this call leaves"):
        agree(folder=tmp_path, samplers=["cc-or"], ratios=[0.5])
    agree(folder=tmp_path, samplers=["cc-or", "rs"], ratios=[0.5, 0.25])


def test_a_damaged_store_is_refused(tmp_path):
    found = agree(folder=tmp_path)
    store = found.store
    written = json.loads(store.info("configuration"))
    for name, value in (("ratios", "x"), ("known", [{"name": "a"}]), ("seeds", [0])):
        store.set_info("configuration", json.dumps(written | {name: value}))
        with pytest.raises(InputError, match="what the store knows of the comparison"):
            RankAgreement.open(tmp_path)
    store.set_info("configuration", json.dumps(written | {"evaluation": {"rate": np.nan}}))
    with pytest.raises(InputError, match="not finite"):
        RankAgreement.open(tmp_path)
    store.set_info("configuration", json.dumps(written))
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute(
            "UPDATE experiments SET result = json_set(result, '$.scores', json('[]')) "
            "WHERE kind = 'scores'"
        )
    with pytest.raises(InputError, match="is damaged: 0 scores stand for 1 configurations"):
        RankAgreement.open(tmp_path).table()


def test_there_has_to_be_something_to_open(tmp_path):
    with pytest.raises(InputError, match="no rank agreement at"):
        RankAgreement.open(tmp_path)


def test_a_pair_of_arrays_is_a_dataset():
    data = planted.dataset()
    pair = (np.asarray(data.images), np.asarray(data.targets))
    assert agree(dataset=pair).scores().equals(agree(dataset=ArrayDataset(*pair)).scores())


def test_scores_that_are_all_equal_have_no_order():
    def same(configuration, train, held_out, seed):
        return float(configuration[1:]) if len(train) == 80 else 0.0

    found = agree(FunctionEvaluator(same, "same"))
    assert np.isnan(by_method(found)["CC-OR"].tau)
    assert "| none " in found.table()
    assert found.verdict.startswith("Nothing can be said: on the full data or on ev")
    assert found.to_frame()["tau"].isna().sum() == 3
    found.figure()


def test_without_samplers_the_full_data_alone_are_ranked_on(notes):
    found = agree(planted.noted, [], [], known={"k": [float(n) for n in range(planted.N)]})
    assert [(row.reference, row.method) for row in found.rows] == [
        ("the full data", "Full DS, another seed"),
        ("k", "Full DS"),
    ]
    assert len(notes()) == 2 * planted.N
    with pytest.raises(InputError, match="nothing to draw"):
        found.figure()


def test_what_a_function_closes_over_is_part_of_its_name():
    def make(rate):
        return lambda configuration, train, held_out, seed: rate

    names = [FunctionEvaluator(make(rate)).specification for rate in (0.1, 0.2, 0.1)]
    assert names[0] == names[2] != names[1]


def test_a_function_that_was_typed_is_named_by_its_code():
    def typed(text):
        names = {}
        exec(
            f"def f(configuration, train, held_out, seed):\n    return [{text} for _ in '1'][0]",
            names,
        )
        return FunctionEvaluator(names["f"]).specification

    assert typed("1.5") == typed("1.5") != typed("2.5")


def test_a_registered_sampler_is_drawn_for_each_proxy_seed(notes):
    @register
    class Seeded(Sampler):
        """Keep a random part."""

        id = "seeded"

        def __init__(self, *, keep="easy", random_state=None):
            self.keep = keep
            self.random_state = random_state

        def _score(self, samples, codes):
            return np.random.default_rng(self.random_state).random(len(samples))

    found = agree(planted.noted, ["seeded"], [0.5])
    assert by_method(found)["SEEDED"].n_draws == 2
    assert not found.store.failures()
    assert RankAgreement.open(found.folder).rows == found.rows


def test_numbers_of_samples_stand_beside_ratios(notes, tmp_path):
    found = agree(planted.noted, ["cc-or"], [0.5], n=[10], folder=tmp_path)
    assert {size for _, size, *_ in notes()} == {"80", "40", "10"}
    assert {(row.r, row.n) for row in found.rows} == {(1.0, None), (0.5, None), (0.125, 10)}
    row = next(row for row in found.rows if row.n == 10 and row.method == "CC-OR")
    assert row.n_kept == 10
    assert row.to_rival is not None
    assert "n=10" in found.table()
    assert any("CC-OR, n=10" in name for name in found.scores())
    assert RankAgreement.open(tmp_path).design.n == (10,)
    with pytest.raises(InputError, match=r"n=40 is r=0\.5 of 80"):
        agree(samplers=["cc-or"], ratios=[0.5], n=[40])


def test_a_folder_that_is_moved_away_while_it_runs_is_told(tmp_path):
    there = tmp_path / "there"

    def moving(configuration, train, held_out, seed):
        if there.exists():
            there.rename(tmp_path / "moved")
        return float(configuration[1:])

    with pytest.raises(InputError, match=r"sqlite is gone"):
        agree(FunctionEvaluator(moving, "moving"), folder=there)
    assert not there.exists()


def test_a_sampler_that_fails_is_told_in_the_table(tmp_path):
    class Failing(Sampler):
        id = "failing"

        def _score(self, samples):
            raise FloatingPointError("diverged")

    found = agree(samplers=[Failing()])
    assert "Failed, and so not shown: " in found.table()

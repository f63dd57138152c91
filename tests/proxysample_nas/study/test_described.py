"""Samplers and searchers that a study takes as they are: classes, instances, indices, rankings."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from proxysample import (
    CCS,
    AutoencoderLoss,
    CCOutlierRemoval,
    InputError,
    KeepingRule,
    KMeansOutlierRemoval,
    RandomSampling,
    Ranking,
    Sampler,
    TransferLoss,
    embed,
    load_dataset,
    register,
)
from proxysample.described import sampler_key
from proxysample.registry import RULES, SAMPLERS
from proxysample.samplers import GivenIndices, GivenRanking
from proxysample.testing import small_digits
from proxysample_nas.data.loader import Augmentation
from proxysample_nas.searchers import DARTS, GDAS, RandomSearch
from proxysample_nas.study import Component, Study, StudyConfiguration
from proxysample_nas.study.experiments.base import KnownStudy
from proxysample_nas.study.experiments.data import DatasetInfo, StudyInfo
from proxysample_nas.study.experiments.plan import Plan
from proxysample_nas.study.run import StudyStore

RANDOM = "random:n_nodes=3,n_samples=1,channels=4,cells_per_stage=1"


def own_classes() -> tuple[type[Sampler], type[RandomSearch]]:
    """Classes that no other process could import."""

    class Weighted(Sampler):
        """Keep what is alike to an image."""

        id = "weighted"
        needs_labels = True

        def __init__(self, weights, *, bias=0.0, random_state=None):
            self.weights = weights
            self.bias = bias
            self.random_state = random_state

        def _score(self, samples, codes):
            features = samples.images.reshape(len(samples), -1) / 255
            return features @ np.asarray(self.weights) + self.bias

    class Favourite(RandomSearch):
        """Draw a cell, whatever is liked."""

        id = "favourite"
        liked: Any = None

        def __init__(
            self,
            *,
            liked=None,
            n_nodes=3,
            n_samples=1,
            epochs=1,
            batch_size=64,
            channels=4,
            cells_per_stage=1,
            augmentation=None,
            random_state=None,
            progress=False,
        ):
            super().__init__(
                n_nodes=n_nodes,
                n_samples=n_samples,
                epochs=epochs,
                batch_size=batch_size,
                channels=channels,
                cells_per_stage=cells_per_stage,
                augmentation=augmentation,
                random_state=random_state,
                progress=progress,
            )
            self.liked = liked

    return Weighted, Favourite


@pytest.fixture(scope="module", autouse=True)
def first():
    """A class that is registered in this process only."""

    class First(Sampler):
        """Keep the first samples."""

        id = "first"

        def __init__(self, *, offset=0):
            self.offset = offset

        def _score(self, samples, codes):
            return self.offset + np.arange(len(samples))

    yield register(First)
    SAMPLERS.unregister("first")


def built(tiny_settings, **changed: Any) -> StudyConfiguration:
    return StudyConfiguration.build(**tiny_settings(**({"searchers": [RANDOM]} | changed)))


@pytest.mark.parametrize(
    ("sampler", "words"),
    [
        (KMeansOutlierRemoval(n_clusters=50), "km-or:n_clusters=50"),
        (KMeansOutlierRemoval(n_clusters=np.int64(50)), "km-or:n_clusters=50"),
        (CCOutlierRemoval, "cc-or"),
        (CCOutlierRemoval(keep="hard", progress=True), "cc-or:keep=hard,progress=true"),
        (RandomSampling(random_state=7), "rs:random_state=7"),
        (RandomSampling(), "rs"),
    ],
)
def test_an_instance_of_ours_is_its_id_and_what_differs_from_the_defaults(
    sampler, words, tiny_settings
):
    given, named = (built(tiny_settings, samplers=[one]) for one in (sampler, words))
    assert given == named
    assert given.to_json() == named.to_json()
    assert given.samplers[0].given is None


@pytest.mark.parametrize(
    ("searcher", "words"),
    [
        (DARTS, "darts-v1"),
        (DARTS(order=2, epochs=7), "darts-v2:epochs=7"),
        (GDAS(architecture_betas=(0.5, 0.9)), "gdas:architecture_betas=[0.5,0.9]"),
    ],
)
def test_a_searcher_of_ours_is_its_id_too(searcher, words, tiny_settings):
    given, named = (built(tiny_settings, searchers=[one]) for one in (searcher, words))
    assert given == named
    assert given.to_json() == named.to_json()


def test_seeds_are_the_studys_unless_an_instance_has_its_own(tiny_settings):
    configuration = built(
        tiny_settings,
        samplers=["rs", RandomSampling(random_state=7), AutoencoderLoss(device="cpu")],
        random_state=3,
    )
    made = [configuration.create_sampler(one) for one in configuration.samplers]
    assert [one.random_state for one in made] == [3, 7, 3]
    Weighted, Favourite = own_classes()
    own = built(
        tiny_settings,
        samplers=[Weighted(np.ones(64)), Weighted(np.ones(64), random_state=7)],
        searchers=[Favourite()],
        random_state=3,
    )
    assert [own.create_sampler(one).random_state for one in own.samplers] == [3, 7]
    assert [one.resolved["random_state"] for one in own.samplers] == [3, 7]
    searcher = own.create_searcher(own.searchers[0], 5)
    assert (searcher.random_state, searcher.augmentation) == (5, Augmentation(flip=False))


def test_what_is_not_plain_is_named_by_its_bytes(tiny_settings):
    Weighted, Favourite = own_classes()

    def key(weights: object) -> dict[str, Any]:
        configuration = built(tiny_settings, samplers=[Weighted(weights)])
        return configuration.sampler_parameters(configuration.samplers[0])

    ones = key(np.ones(64))
    assert ones["weights"].startswith("array (64,) float64 ")
    assert ones == key(np.ones(64))
    assert key(np.ones(64, np.float32)) != ones
    assert key(torch.ones(64))["weights"].startswith("tensor (64,) torch.float32 ")
    torch.manual_seed(0)
    networks = [nn.Sequential(nn.Flatten(), nn.Linear(64, 2)) for _ in range(2)]
    first, second = (
        built(tiny_settings, samplers=[TransferLoss(backbone=one)]).samplers[0] for one in networks
    )
    assert first.resolved["backbone"].startswith("network Sequential ")
    assert first.resolved["backbone"] != second.resolved["backbone"]
    assert first.name == "tl"
    liked = built(tiny_settings, searchers=[Favourite(liked=np.ones(3)), Favourite])
    assert liked.searchers[0].label.startswith("FAVOURITE (liked=array (3,) float64 ")
    assert liked.searchers[1].label == "FAVOURITE"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"samplers": lambda w, _: [w(len)]}, "weights of weighted is <built-in function len>"),
        ({"samplers": lambda w, _: [w(np.array([object()]))]}, "holds Python objects"),
        ({"samplers": lambda w, _: [w([float("nan")])]}, r"weights of weighted\[0\] is nan"),
        ({"samplers": lambda w, _: [w]}, "Weighted: .* missing .* give an instance of it"),
        ({"searchers": lambda _, f: [f(liked=len)]}, "liked of favourite is <built-in"),
        ({"searchers": lambda _, f: [f(random_state=3)]}, "searches are given as search_seeds"),
        ({"samplers": lambda w, _: [w(np.ones(2)), w(np.ones(2))]}, "names a sampler twice"),
        ({"samplers": lambda *_: ["ae", AutoencoderLoss()]}, "names a sampler twice"),
        ({"samplers": lambda *_: [CCOutlierRemoval(keep="no")]}, "unknown rule for keep 'no'"),
        ({"samplers": lambda *_: [DARTS]}, "by their ids"),
    ],
)
def test_what_cannot_be_named_is_refused(changed, message, tiny_settings):
    classes = own_classes()
    with pytest.raises(InputError, match=message):
        built(tiny_settings, **{name: make(*classes) for name, make in changed.items()})


def test_a_class_with_the_id_of_another_is_refused(tiny_settings):
    class Better(CCOutlierRemoval):
        """Has no id of its own."""

    class Nameless(Sampler):
        def _score(self, samples, codes):
            return np.zeros(len(samples))

    with pytest.raises(InputError, match="Better has the id 'cc-or' of another sampler"):
        built(tiny_settings, samplers=[Better()])
    with pytest.raises(InputError, match="Nameless has no id; give the class one"):
        built(tiny_settings, samplers=[Nameless])


def outcome(study: Study) -> list[tuple[object, ...]]:
    return [
        (row.group, row.method.rstrip("*"), row.setting.r, row.n_kept, found.cell, accuracies)
        for searcher in study.configuration.searchers
        for row in study.rows(searcher.label)
        for found in row.found
        for accuracies in [[one.accuracies for one in found.evaluations.values()]]
    ]


@pytest.fixture(scope="module")
def picked(tmp_path_factory) -> dict[str, Any]:
    """Indices and a ranking of the 120 training images of the small studies, and their files."""
    folder = tmp_path_factory.mktemp("picked")
    study = Study(
        dataset="digits", n_train=120, samplers=["cc-or"], ratios=[0.5], searchers=[RANDOM],
        folder=folder, channels=[4], seeds=[777], recipe="nas-bench-201",
    )  # fmt: skip
    from proxysample_nas.study.experiments.data import StudyContext

    train = StudyContext(study.configuration).data.train
    indices = np.array([5, 100, 3, 77, 20, 21, 23, 119, 40, 41, 42, 43, 60, 61, 62, 63, 70, 71])
    ranking = CCOutlierRemoval().rank(train)
    np.save(folder / "picked.npy", indices)
    ranking.save(folder / "ranking.npz")
    return {"indices": indices, "ranking": ranking, "folder": folder}


def everything(tiny_settings, picked) -> dict[str, Any]:
    """A study of all that can be given."""
    Weighted, Favourite = own_classes()
    return tiny_settings(
        samplers=[
            "rs",
            picked["indices"],
            picked["ranking"],
            Weighted(np.linspace(0, 1, 64)),
            "first:offset=1",
        ],
        searchers=[Favourite(liked=np.arange(3))],
    )


@pytest.fixture(scope="module")
def study(tiny_settings, picked, tmp_path_factory) -> Study:
    study = Study(
        **everything(tiny_settings, picked), folder=tmp_path_factory.mktemp("study") / "here"
    )
    assert study.run(progress=False) == 0, study.store.failures()
    return study


def test_a_study_runs_with_all_that_can_be_given(study, picked):
    rows = [row[:4] for row in outcome(study)]
    digest = study.configuration.samplers[1].parameters["digest"]
    ranking, weights = (study.configuration.samplers[place].label for place in (2, 3))
    assert rows == [
        ("Baseline", "Full DS", 1.0, 120),
        ("Unsupervised", "RS", 0.5, 60),
        ("Unsupervised", f"INDICES (digest={digest}, n=18)", 18 / 120, 18),
        ("Unsupervised", "FIRST (offset=1)", 0.5, 60),
        ("Supervised", ranking, 0.5, 60),
        ("Supervised", weights, 0.5, 60),
    ]
    assert ranking.startswith("RANKING (digest=")
    search = next(
        one
        for one in Plan(
            study.configuration, StudyInfo.from_json(study.store.info("facts")), study.store
        )
        .stage("search")
        .experiments
        if one.setting.sampler and one.setting.sampler.name == "indices"
    )
    assert search.indices.tolist() == sorted(picked["indices"].tolist())


def test_it_runs_the_same_elsewhere(study, tiny_settings, picked, tmp_path, forked_workers):
    """As on Ray, where a study is tested in whole."""
    there = Study(**everything(tiny_settings, picked), folder=tmp_path)
    # Of one worker: what it is sent is what counts.
    assert there.run(progress=False, n_workers=1, executor="processes") == 0, there.store.failures()
    assert outcome(there) == outcome(study)


def test_it_is_read_without_the_classes_and_says_what_running_needs(study):
    text = study.configuration.to_json()
    read = StudyConfiguration.from_json(text)
    assert read == study.configuration
    assert all(one.given is None for one in (*read.samplers, *read.searchers))
    opened = Study.open(study.folder)
    assert outcome(opened) == outcome(study)
    assert "FAVOURITE" in opened.table()
    assert opened.status().stages[0].n_done == 5
    assert opened.report()[0].exists()
    with pytest.raises(InputError, match=r"INDICES \(digest=.*, n=18\) cannot be run from the"):
        opened.run(progress=False)
    with pytest.raises(InputError, match="cannot be run from the store alone"):
        opened.estimate(progress=False)


def test_given_again_it_goes_on_where_it_was(study, tiny_settings, picked):
    before = study.store.states()
    again = Study(**everything(tiny_settings, picked), folder=study.folder)
    assert again.run(progress=False) == 0
    assert study.store.states() == before


@pytest.mark.parametrize("kind", ["indices", "ranking"])
def test_files_are_named_by_their_bytes(kind, tiny_settings, picked, tmp_path):
    path = picked["folder"] / {"indices": "picked.npy", "ranking": "ranking.npz"}[kind]
    named, given = (
        built(tiny_settings, samplers=[one]).samplers[0]
        for one in (f"{kind}:path={path}", picked[kind])
    )
    assert named.resolved == given.resolved
    assert named.parameters == {"path": str(path)}
    assert str(path) not in json.dumps(named.resolved)
    instance = {"indices": GivenIndices, "ranking": GivenRanking}[kind](path=path)
    assert built(tiny_settings, samplers=[instance]).samplers[0] == named


def test_a_changed_file_is_another_experiment(tiny_settings, picked, tmp_path):
    path = tmp_path / "picked.npy"
    np.save(path, picked["indices"])
    settings = tiny_settings(samplers=[f"indices:path={path}"], searchers=[RANDOM], ratios=[])
    first = Study(**settings, folder=tmp_path)
    assert first.run(progress=False) == 0
    n_before = len(first.store.states())
    np.save(path, np.append(picked["indices"], 6))
    with pytest.raises(InputError, match=r"is not what it was when it was run"):
        Study.open(tmp_path).run(progress=False)
    second = Study(**settings, folder=tmp_path)
    with pytest.raises(InputError, match="also has the sampler INDICES"):
        second.run(progress=False)
    assert second.run(progress=False, drop=True) == 0
    assert len(second.store.states()) > n_before
    assert [row.n_kept for row in second.rows("random")] == [120, 19]
    path.unlink()
    opened = Study.open(tmp_path)
    assert "path=" in opened.table()
    assert opened.report()[0].exists()
    assert "r = 0.158333, and the full data" in (tmp_path / "report" / "report.html").read_text()
    assert [row.n_kept for row in opened.rows("random")] == [120, 19]
    with pytest.raises(InputError, match=r"cannot be run from the store alone .*: no such file"):
        opened.run(progress=False)


@pytest.mark.parametrize(
    ("samplers", "message"),
    [
        ([np.array([3, 120])], "does not fit the dataset's 120 training samples"),
        ([np.arange(120)], "keeps all of the 120 training samples, which are the baseline"),
        ([Ranking(np.zeros(119))], "the ranking is of 119 samples, the dataset has 120"),
        ([CCOutlierRemoval().rank(load_dataset("digits").train)], "the ranking is of 1,437 sam"),
    ],
)
def test_what_does_not_fit_the_data_is_refused_before_any_work(
    samplers, message, tiny_settings, tmp_path
):
    study = Study(**tiny_settings(samplers=samplers, searchers=[RANDOM]), folder=tmp_path / "study")
    with pytest.raises(InputError, match=message):
        study.run(progress=False)
    assert not (tmp_path / "study" / "study.sqlite").exists()


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (np.array([3, 3]), "names a sample twice"),
        (np.array([0.5]), "integers"),
        ("indices:path=missing.npy", "missing.npy: no such file"),
        ("ranking:path=missing.npz", "missing.npz: no such file"),
        ("indices", "give indices or a path to them"),
        ("indices:paths=a.npy", "did you mean 'path'"),
    ],
)
def test_files_and_arrays_that_cannot_be_used_are_refused_at_once(sampler, message, tiny_settings):
    with pytest.raises(InputError, match=message):
        built(tiny_settings, samplers=[sampler])


def test_a_study_of_indices_alone_needs_no_ratio(tiny_settings, picked):
    assert built(tiny_settings, samplers=[picked["indices"]], ratios=[]).ratios == ()
    with pytest.raises(InputError, match="needs at least one ratio"):
        built(tiny_settings, samplers=["rs", picked["indices"]], ratios=[])


def test_a_registered_class_goes_by_words(first, tiny_settings):
    words, instance, kind = (
        built(tiny_settings, samplers=[one])
        for one in ("first:offset=1", first(offset=1), first(offset=np.int64(1)))
    )
    assert words == instance == kind
    assert words.samplers[0].resolved == {"offset": 1}
    assert words.samplers[0].given is None
    sent = pickle.dumps(words)
    SAMPLERS.unregister("first")
    with pytest.raises(InputError, match="unknown sampler 'first'"):
        built(tiny_settings, samplers=["first"])
    assert StudyConfiguration.from_json(words.to_json()) == words
    # As a worker receives it.
    assert pickle.loads(sent) == words
    assert "first" in SAMPLERS


def test_a_rule_of_others_is_named_with_its_parameters(tiny_settings):
    @dataclass(frozen=True)
    class KeepBand(KeepingRule):
        id = "band"
        quantile: float = 0.5

        def order(self, scores, codes=None, n_kept=None):
            return np.argsort(np.abs(scores - np.quantile(scores, self.quantile)))

    register(KeepBand)
    words = 'cc-or:keep={"name":"band","parameters":{"quantile":0.25}}'
    named, given = (
        built(tiny_settings, samplers=[one])
        for one in (words, CCOutlierRemoval(keep=KeepBand(0.25)))
    )
    assert named == given
    assert named.create_sampler(named.samplers[0]).rank(small_digits()).rule == KeepBand(0.25)
    other = built(tiny_settings, samplers=["cc-or:keep=band"])
    assert other.samplers[0].resolved["keep"] == "band"
    RULES.unregister("band")
    assert StudyConfiguration.from_json(named.to_json()) == named
    with pytest.raises(InputError, match="unknown rule for keep 'band'"):
        StudyConfiguration.from_json(named.to_json()).check_runnable()


def test_a_rule_in_words_is_the_rule(tiny_settings):
    """However a rule is spelled, results are named by what it is."""
    spelled = (
        "cc-or:keep=ccs(beta=0.2,n_bins=20)",
        "cc-or:keep=ccs(n_bins=20, beta=0.2)",
        'cc-or:keep={"name":"ccs","parameters":{"beta":0.2,"n_bins":20}}',
        CCOutlierRemoval(keep=CCS(beta=0.2, n_bins=20)),
        CCOutlierRemoval(keep="ccs(beta=0.2,n_bins=20)"),
    )
    made = [built(tiny_settings, samplers=[one]) for one in spelled]
    assert all(one == made[0] for one in made)
    keys = [sampler_key(one.create_sampler(one.samplers[0])) for one in made]
    assert all(key == keys[0] for key in keys)
    assert keys[0]["keep"] == {"name": "ccs", "parameters": {"beta": 0.2, "n_bins": 20}}
    assert StudyConfiguration.from_json(made[0].to_json()) == made[0]
    one = built(tiny_settings, samplers=["cc-or:keep=ccs:beta=0.2"])
    assert one.create_sampler(one.samplers[0]).rank(small_digits()).rule == CCS(beta=0.2)
    for wrong in ("cc-or:keep=ccs:betta=0.2", "cc-or:keep=ccs:beta=2"):
        with pytest.raises(InputError, match=r"'betta'|beta of the keeping rule"):
            built(tiny_settings, samplers=[wrong])


def test_ready_picks_cost_a_study_nothing(tiny_settings, picked, tmp_path):
    study = Study(
        **tiny_settings(samplers=[picked["indices"], picked["ranking"]], searchers=[RANDOM]),
        folder=tmp_path,
    )
    groups = study.estimate(progress=False, seconds_each=0).groups
    scoring = [one for one in groups if one.label.startswith("score by")]
    assert len(scoring) == 2
    assert not any(one.failure for one in groups)
    assert all(one.each.likely < 1 for one in scoring)


def test_old_configurations_are_read_and_written_as_they_were(tiny_settings):
    configuration = built(tiny_settings, samplers=["km-or:n_clusters=5", "rs"])
    written = json.loads(configuration.to_json())
    assert written["samplers"] == [
        {"name": "km-or", "parameters": {"n_clusters": 5}},
        {"name": "rs", "parameters": {}},
    ]
    assert written["searchers"][0].keys() == {"name", "parameters"}
    info = StudyInfo({"digits": DatasetInfo("ab", 120, 360, 10, (8, 8, 1), "test")})
    study = KnownStudy(configuration, info)
    # Of all parameters, as before there was anything but ids.
    assert study.sampler_parameters(Component("rs")) == {"protocol": "default", "random_state": 0}


@pytest.mark.parametrize(
    "changed",
    [
        {"resolved": 3},
        {"resolved": None},
        {"resolved": {"n_kept": 0, "indices": "ab"}},
        {"resolved": {"n_kept": 18}},
        {"uses_labels": "yes"},
    ],
)
def test_a_damaged_component_is_refused(changed, study):
    written = json.loads(study.configuration.to_json())
    written["samplers"][1] |= changed
    with pytest.raises(InputError, match="damaged"):
        StudyConfiguration.from_json(json.dumps(written))


def test_opening_a_store_reads_no_file_that_it_names(tiny_settings, picked):
    path = picked["folder"] / "picked.npy"
    written = json.loads(built(tiny_settings, samplers=[f"indices:path={path}"]).to_json())
    del written["samplers"][0]["resolved"]
    with pytest.raises(InputError, match="damaged"):
        StudyConfiguration.from_json(json.dumps(written))


def test_a_store_of_indices_is_read(study):
    assert StudyStore(study.folder / "study.sqlite", must_exist=True).failures() == []


def test_features_are_named_by_their_key_and_only_where_they_are_given(tmp_path):
    images = np.zeros((3, 4, 4), dtype=np.uint8)
    features = embed(images, folder=tmp_path, backbone=nn.Flatten())
    assert "features" not in sampler_key(TransferLoss())
    named = sampler_key(TransferLoss(features=features))["features"]
    assert named == f"features {features.key}"

"""What a configuration is written as, and what follows from its seeds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from proxysample import InputError, load_dataset
from proxysample_nas import Augmentation, Normalization
from proxysample_nas.searchers import DARTS, create_searcher
from proxysample_nas.space import Cell, get_operation
from proxysample_nas.study import Study, StudyConfiguration, Transfer, preset
from proxysample_nas.study.configuration import given_again, settings_of
from proxysample_nas.study.experiments.base import KnownStudy
from proxysample_nas.study.experiments.data import StudyInfo
from proxysample_nas.study.experiments.scoring import Scoring
from proxysample_nas.study.experiments.search import Search
from proxysample_nas.training.trainer import CellTrainer

from ..space.own_operations import MAX_POOL, registered
from .written_store import DIGITS

HALF = Normalization(mean=(0.5,), std=(0.25,))
UNFLIPPED = Augmentation(flip=False)


def build(**settings: Any) -> StudyConfiguration:
    return StudyConfiguration.build(
        **(
            {"dataset": "digits", "samplers": ["rs"], "searchers": ["gdas"], "ratios": [0.5]}
            | settings
        )
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"training": {"normalization": HALF}},
        {"augmentation": UNFLIPPED},
        {"searchers": [DARTS(normalization=HALF, augmentation=UNFLIPPED)]},
        {"searchers": [DARTS(augmentation=None)]},
        {"transfers": [Transfer(dataset="other", training={"normalization": HALF})]},
        {"transfers": [{"dataset": "other", "augmentation": UNFLIPPED}]},
    ],
)
def test_settings_that_hold_objects_read_back(settings: dict[str, Any]) -> None:
    configuration = build(**settings)
    written = configuration.to_json()
    again = StudyConfiguration.from_json(written)
    assert again.to_json() == written
    # It runs from the store alone, and its experiments have the same names.
    again.check_runnable()
    assert again.create_trainer(16) == configuration.create_trainer(16)
    for one, other in zip(configuration.searchers, again.searchers, strict=True):
        assert again.searcher_parameters(other, 3) == configuration.searcher_parameters(one, 3)
    assert [one.create_trainer((1,)) for one in again.transfers] == [
        one.create_trainer((1,)) for one in configuration.transfers
    ]


def test_what_is_read_back_is_what_was_given() -> None:
    again = StudyConfiguration.from_json(build(training={"normalization": HALF}).to_json())
    assert again.create_trainer(16).normalization == HALF
    assert (
        StudyConfiguration.from_json(build(augmentation=UNFLIPPED).to_json())
        .create_trainer(16)
        .augmentation
        == UNFLIPPED
    )
    words = 'darts-v1:normalization={"mean":[0.5],"std":[0.25]}'
    (searcher,) = build(searchers=[words]).searchers
    assert build().create_searcher(searcher).normalization == HALF
    assert create_searcher("gdas", augmentation={"flip": False}).augmentation == UNFLIPPED


def test_every_route_trains_by_the_same_recipe() -> None:
    rates = {
        CellTrainer().learning_rate,
        build().create_trainer(16).learning_rate,
        Transfer(dataset="other").create_trainer((1,)).learning_rate,
        Study(
            dataset="digits", samplers=["rs"], searchers=["gdas"], ratios=[0.5]
        ).configuration.create_trainer(16).learning_rate,
    }  # fmt: skip
    assert rates == {0.1}
    assert preset("paper").create_trainer(16).learning_rate == 0.01


def known(configuration: StudyConfiguration) -> KnownStudy:
    return KnownStudy(configuration, StudyInfo({"digits": DIGITS}))


def test_draws_are_an_axis_of_samplers_that_draw() -> None:
    configuration = build(
        samplers=["rs", "rs:random_state=7", "cc-or", list(range(0, 1437, 3))],
        proxy_seeds=[0, 5],
        search_seeds=[1, 2, 3],
    )
    draws = [configuration.proxy_seeds_of(one) for one in configuration.samplers]
    assert draws == [(0, 5), (None,), (None,), (None,)]
    assert [configuration.n_searches_of(one) for one in configuration.samplers] == [6, 3, 3, 3]
    assert configuration.n_searches_of(None) == 3
    assert StudyConfiguration.from_json(configuration.to_json()).proxy_seeds == (0, 5)


def test_a_draw_is_named_by_its_seed_alone() -> None:
    several, one = known(build(proxy_seeds=[0, 5])), known(build(random_state=5))
    (sampler,) = several.configuration.samplers
    assert Scoring.of(several, sampler, 5).key == Scoring.of(one, sampler).key
    # What was drawn from the study's own seed before is not drawn again.
    assert Scoring.of(several, sampler, 0).key == Scoring.of(known(build()), sampler).key
    setting = settings_of(several.configuration, 1437)[-1]
    keys = {Search.of(several, setting, 0, draw).key for draw in (0, 5)}
    assert len(keys) == 2
    assert Search.of(known(build()), setting, 0).key in keys


def test_a_sampler_is_seeded_by_its_draw() -> None:
    configuration = build(proxy_seeds=[0, 5])
    (sampler,) = configuration.samplers
    assert configuration.create_sampler(sampler, 5).random_state == 5
    assert configuration.create_sampler(sampler).random_state == 0


def test_configurations_of_before_have_one_draw() -> None:
    written = json.loads(build().to_json())
    del written["proxy_seeds"]
    assert StudyConfiguration.from_json(json.dumps(written)).proxy_seeds == ()


def test_numbers_of_samples_stand_beside_ratios() -> None:
    configuration = build(n=[100])
    assert StudyConfiguration.from_json(configuration.to_json()).n == (100,)
    _, half, counted = settings_of(configuration, DIGITS.n_train)
    assert (half.size, counted.size) == ("r=0.5", "n=100")
    assert counted.r == 100 / DIGITS.n_train
    assert counted.label == "gdas on RS n=100"
    several = known(configuration)
    found = Search.of(several, counted, 0)
    assert found.n_samples == found.specification["n"] == 100
    assert Search.describe(found.specification).endswith("n=100, seed 0")
    # What was named by its ratio keeps its name, and is written as it was.
    assert Search.of(several, half, 0).key == Search.of(known(build()), half, 0).key
    assert '"n":' not in build().to_json()


def test_a_preset_keeps_only_the_numbers_of_samples_that_are_given() -> None:
    assert (preset("digits", n=(50,)).ratios, preset("digits", n=(50,)).n) == ((), (50,))
    assert preset("digits", n=(50,), ratios=(0.1,)).ratios == (0.1,)


@pytest.mark.parametrize(
    ("n", "words"),
    [([5, 5], "twice"), ([0.5], "given as r=0.5"), ([1437], "is not less"), ([0], "at least 1")],
)
def test_numbers_of_samples_that_cannot_be_kept_are_refused(n: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        build(n=n).check_data(load_dataset("digits").train)


@pytest.mark.parametrize("given", [3, ["other"], None])
def test_a_transfer_of_another_kind_is_refused(given):
    with pytest.raises(InputError, match="transfer must be a text, a mapping or a Transfer"):
        Transfer.parse(given)


@pytest.mark.parametrize(
    ("word", "known"), [("chanels", "channels"), ("flp", "flip"), ("epochz", "epochs")]
)
def test_a_wrong_word_of_a_transfer_suggests_the_right_one(word: str, known: str) -> None:
    with pytest.raises(InputError, match=f"{word!r}; did you mean {known!r}"):
        Transfer.parse(f"npz:other.npz,{word}=2")


def test_what_only_its_results_are_known_of_is_given_again() -> None:
    stored = StudyConfiguration.from_json(build(samplers=[[3, 1, 2], "rs"], ratios=[0.5]).to_json())
    with pytest.raises(InputError, match=r"at first, as in Study.open\(folder, samplers="):
        stored.check_runnable()
    unknown = stored.to_json().replace('"name": "indices"', '"name": "of-somebody"')
    with pytest.raises(InputError, match=r"not trusted .* as in Study.open\(folder, samplers="):
        StudyConfiguration.from_json(unknown).check_runnable()
    again = given_again(stored, "samplers", [np.array([2, 1, 3])])
    replace(stored, samplers=again).check_runnable()
    assert again == stored.samplers
    for others in ([[1, 2]], ["cc-or"]):
        with pytest.raises(InputError, match="none of the samplers that the study has: INDICES"):
            given_again(stored, "samplers", others)


def test_operations_that_are_not_registered_here_are_read_drawn_and_not_run() -> None:
    pool = replace(MAX_POOL, name="pool_of_store", label="Their pool")
    with registered(pool):
        written = build(searchers=["gdas:space=nas-bench-201+pool_of_store"]).to_json()
        cell = Cell.from_string("|pool_of_store~0|")
    configuration = StudyConfiguration.from_json(written)
    assert configuration.to_json() == written
    assert Cell.from_string("|pool_of_store~0|") == cell
    assert (cell.is_collapsed, get_operation("pool_of_store").colour) == (True, pool.colour)
    for run in (configuration.check_runnable, lambda: cell.network(n_classes=2)):
        with pytest.raises(InputError, match="'pool_of_store' cannot be run from the store alone"):
            run()
    with registered(pool):
        configuration.check_runnable()
        assert get_operation("pool_of_store") is pool
    told = json.loads(written)
    for changed in ({"kind": "poool"}, {"colour": "red"}, {"more": 1}):
        operations = [told["operations"][0] | changed]
        with pytest.raises(InputError):
            StudyConfiguration.from_json(json.dumps(told | {"operations": operations}))
    with pytest.raises(InputError):
        StudyConfiguration.from_json(json.dumps(told | {"operations": 3}))
    # Cells of both would be read alike.
    other = json.dumps(told | {"operations": [told["operations"][0] | {"colour": "#123456"}]})
    with pytest.raises(InputError, match="'pool_of_store' is another one here than in a store"):
        StudyConfiguration.from_json(other)
    with registered(pool):
        StudyConfiguration.from_json(other)

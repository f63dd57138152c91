"""What a study's folder says of the study and its data: read, or refused by our own error."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from proxysample.errors import InputError
from proxysample_nas.space.cell import Cell
from proxysample_nas.study import Study
from proxysample_nas.study.configuration import StudyConfiguration
from proxysample_nas.study.experiments.data import StudyInfo
from proxysample_nas.study.reports.report import all_documents

from ...mutations import changed_values, mutations
from .written_store import CIFAR100, IMAGENET16, write_results

CELL = Cell.filled("nor_conv_1x1", n_nodes=4)


def component(name: str, **parameters: Any) -> dict[str, Any]:
    return {"name": name, "parameters": parameters}


# Something of everything that a configuration can hold.
SETTINGS: dict[str, Any] = {
    "dataset": "cifar100:data",
    "samplers": [component("km-or", n_clusters=50), component("ae", loss="bce", keep="hard")],
    "ratios": [0.5, 0.25],
    "searchers": [
        component("darts-v1", n_nodes=4, epochs=3, architecture_betas=[0.5, 0.9], progress=False),
        component("enas", n_nodes=4, controller_samples=5),
        component("random", n_nodes=4, n_samples=2),
    ],
    "channels": [16, 4],
    "seeds": [777, 888],
    "search_seeds": [0, 1],
    "training": {"epochs": 3, "batch_size": 64, "cells_per_stage": 1},
    "augmentation": {"flip": False, "crop_padding": 2},
    "n_train": 100,
    "random_state": 3,
    "transfers": [
        {
            "dataset": "imagenet16-120:data",
            "n_best": 1,
            "channels": 16,
            "training": {"epochs": 2},
            "augmentation": {"flip": False},
        }
    ],
}
LOOKED_UP = SETTINGS | {
    "channels": [16],
    "lookup": {"path": "published.csv", "dataset": "cifar100", "epochs": 12},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small study that has ended."""
    small = {"samplers": ["rs"], "searchers": SETTINGS["searchers"][2:], "search_seeds": [0]}
    write_results(
        tmp_path,
        lambda *_: (CELL, 3.0),
        lambda *_: [70.0, 71.0],
        info=CIFAR100,
        transfer_info={"imagenet16-120:data": IMAGENET16},
        transferred=lambda _: [40.0, 41.0],
        **SETTINGS | small,
    )
    return tmp_path


def execute(folder: Path, statement: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "study.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        return connection.execute(statement, tuple(values)).fetchall()


def fact(folder: Path, name: str) -> str:
    ((value,),) = execute(folder, "SELECT value FROM facts WHERE name = ?", [name])
    return str(value)


def texts_like(text: str) -> list[str]:
    """More than 2,000 texts with changed bytes, and one with each value changed or left out."""
    flipped = mutations(text.encode(), 2_100, head=len(text))
    changed = [json.dumps(values) for values in changed_values(json.loads(text))]
    return [one.decode("latin-1") for one in flipped] + changed


def readable(read: Callable[[str], Any], texts: list[str]) -> list[str]:
    found = []
    for text in texts:
        try:
            read(text)
        except InputError:
            continue
        found.append(text)
    return found


@pytest.mark.parametrize("settings", [SETTINGS, LOOKED_UP], ids=["trained", "looked up"])
def test_a_changed_configuration_is_read_or_refused(settings: dict[str, Any]) -> None:
    text = StudyConfiguration.build(**settings).to_json()
    assert StudyConfiguration.from_json(text).to_json() == text
    texts = texts_like(text)
    read = readable(StudyConfiguration.from_json, texts)
    assert 100 < len(read) < len(texts) / 3
    for one in read:
        # What was read can be used: it names its experiments, and comes back the same.
        again = StudyConfiguration.from_json(one)
        assert StudyConfiguration.from_json(again.to_json()) == again
        again.check()


def test_changed_facts_are_read_or_refused(folder: Path) -> None:
    text = fact(folder, "facts")
    assert StudyInfo.from_json(text).to_json() == text
    texts = texts_like(text)
    assert 50 < len(readable(StudyInfo.from_json, texts)) < len(texts) / 3


@pytest.mark.parametrize(
    ("name", "read"),
    [("configuration", StudyConfiguration.from_json), ("facts", StudyInfo.from_json)],
)
def test_a_folder_with_changed_facts_is_reported_or_refused(
    folder: Path, name: str, read: Callable[[str], Any]
) -> None:
    texts = readable(read, texts_like(fact(folder, name)))
    outcomes = {"reported": 0, "refused": 0}
    for text in texts[:: len(texts) // 12]:
        execute(folder, "UPDATE facts SET value = ? WHERE name = ?", [text, name])
        try:
            study = Study.open(folder)
            assert str(study.status())
            assert all_documents(study.results())
            outcomes["reported"] += 1
        except InputError:
            outcomes["refused"] += 1
    assert all(outcomes.values())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dataset": 3}, "its dataset is 3, not a text"),
        ({"ratios": ["0.5"]}, "its ratios is .*a finite number"),
        ({"ratios": [math.inf]}, "its ratios is .*a finite number"),
        ({"samplers": ["rs"]}, "its samplers is .*a name with parameters"),
        ({"n_train": 1 << 63}, "its n_train is .*an integer of at least 1"),
        ({"seeds": [True]}, "its seeds is .*an integer of at least 0"),
        ({"recipe": []}, "its recipe is"),
        ({"training": {"learning_rate": math.nan}}, "not finite"),
        ({"training": {"epochs": "many"}}, "epochs"),
        ({"augmentation": {"rotation": 3}}, "augmentation .*rotation"),
        ({"transfers": [{"n_best": 3}]}, "transfer: .*dataset"),
        ({"transfers": [{"datset": "digits"}]}, "in transfer 'datset'; did you mean 'dataset'"),
        ({"lookup": {"dataset": "cifar100"}}, "lookup: .*path"),
        ({"script": "run"}, "no setting of a study|unknown setting"),
    ],
)
def test_each_thing_that_is_wrong_with_a_configuration_is_named(
    changed: dict[str, Any], message: str
) -> None:
    values = json.loads(StudyConfiguration.build(**SETTINGS).to_json())
    with pytest.raises(InputError, match=message):
        StudyConfiguration.from_json(json.dumps(values | changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"datasets": []}, "its datasets is"),
        ({"datasets": {"cifar100:data": {}}}, "it holds no fingerprint"),
        ({"lookup_fingerprint": 3}, "its lookup_fingerprint is 3"),
        ({"datasets": {}}, "knows nothing of the data 'cifar100:data'"),
    ],
)
def test_each_thing_that_is_wrong_with_facts_is_named(
    folder: Path, changed: dict[str, Any], message: str
) -> None:
    values = json.loads(fact(folder, "facts"))
    text = json.dumps(values | changed)
    execute(folder, "UPDATE facts SET value = ? WHERE name = 'facts'", [text])
    with pytest.raises(InputError, match=message):
        Study.open(folder)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "[]", "3", "{", '{"a": 1'])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    for read in (StudyConfiguration.from_json, StudyInfo.from_json):
        with pytest.raises(InputError, match="is damaged"):
            read(text)

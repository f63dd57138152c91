"""What the paper's protocol does as the authors' code does, and the version that says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from proxysample_nas.data.images import LabelledImages
from proxysample_nas.data.normalization import AUTHORS_CIFAR100, Normalization
from proxysample_nas.searchers.data import SearchData, prepare_data
from proxysample_nas.training.trainer import CellTrainer

from .prepared import generator_of, small_search

EVERY = ("darts-v1", "darts-v2", "gdas", "enas")


def images(n_classes: int, size: int = 32, n_channels: int = 3) -> LabelledImages:
    pixels = torch.randint(
        0, 60, (2 * n_classes, n_channels, size, size), generator=generator_of(0), dtype=torch.uint8
    )
    return LabelledImages(pixels, torch.arange(n_classes).repeat(2), tuple(range(n_classes)))


def prepare(train: LabelledImages, **options: Any) -> SearchData:
    return prepare_data(
        train,
        train,
        None,
        classes=train.classes,
        architecture_fraction=0.5,
        **({"normalization": None} | options),
        generator=generator_of(0),
        device=torch.device("cpu"),
    )


def test_the_authors_constants_are_taken_at_any_size_of_a_proxy() -> None:
    whole = images(100)
    assert prepare(whole, as_the_authors=True).normalization == AUTHORS_CIFAR100
    proxy = whole.take(torch.arange(30))
    assert prepare(proxy, as_the_authors=True).normalization == AUTHORS_CIFAR100
    assert prepare(proxy).normalization == Normalization.of(proxy.images)
    scaled = np.array([AUTHORS_CIFAR100.mean, AUTHORS_CIFAR100.std]) * 255
    np.testing.assert_allclose(scaled, [[129.3, 124.1, 112.4], [68.2, 65.4, 70.4]])


@pytest.mark.parametrize("other", [images(10), images(100, size=16), images(100, n_channels=1)])
def test_other_images_are_measured(other: LabelledImages) -> None:
    assert prepare(other, as_the_authors=True).normalization == Normalization.of(other.images)


def test_what_is_given_wins() -> None:
    half = Normalization((0.5,) * 3, (0.5,) * 3)
    assert prepare(images(100), as_the_authors=True, normalization=half).normalization == half


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("protocol", ["default", "paper"])
def test_a_search_asks_for_the_authors_constants_in_their_protocol(
    name: str, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class EnoughError(Exception):
        pass

    def stop(*_: Any, **options: Any) -> None:
        asked.append(options["as_the_authors"])
        raise EnoughError

    monkeypatch.setattr("proxysample_nas.searchers.loop.prepare_data", stop)
    with pytest.raises(EnoughError):
        small_search(name, protocol=protocol).search(images(10), images(10))
    assert asked == [protocol == "paper"]


@pytest.mark.parametrize("name", EVERY)
def test_a_changed_algorithm_has_a_version_of_its_own(name: str) -> None:
    assert "algorithm_version" not in small_search(name).parameters_as_json()
    paper = small_search(name, protocol="paper")
    assert paper.parameters_as_json()["algorithm_version"] == 2
    given = small_search(
        name, protocol="paper", normalization=Normalization((0.5,), (0.5,))
    ).parameters_as_json()
    # Of a DARTS search nothing but the normalisation has changed.
    assert ("algorithm_version" in given) == (name not in ("darts-v1", "darts-v2"))


def test_searches_that_train_cells_have_the_version_of_trainings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = CellTrainer().parameters()
    assert "algorithm_version" not in before
    monkeypatch.setattr(CellTrainer, "algorithm_version", 3)
    assert CellTrainer().parameters() == before | {"algorithm_version": 3}
    assert small_search("random").parameters_as_json()["algorithm_version"] == 3


@pytest.mark.parametrize("name", ["gdas", "enas"])
def test_an_interrupted_search_ends_as_one_that_was_not(
    name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = images(10, size=8).take(torch.arange(20))
    changes: dict[str, Any] = {"protocol": "paper", "epochs": 3, "batch_size": 8}
    if name == "enas":
        changes |= {"controller_updates": 1, "controller_samples": 2, "n_candidates": 2}
    whole = small_search(name, **changes).search(proxy, proxy)
    path = tmp_path / "search.safetensors"
    kept = 0

    class Killed(Exception):  # noqa: N818
        pass

    from proxysample_nas.searchers.checkpoint import Resumption

    keep = Resumption.keep

    def keep_once(self: Any, *args: Any, **options: Any) -> None:
        nonlocal kept
        keep(self, *args, **options)
        kept += 1
        if kept == 1:
            raise Killed

    monkeypatch.setattr(Resumption, "keep", keep_once)
    with pytest.raises(Killed):
        small_search(name, **changes).search(proxy, proxy, checkpoint=path)
    again = small_search(name, **changes).search(proxy, proxy, checkpoint=path)
    assert [one.train_loss for one in again.history] == [one.train_loss for one in whole.history]
    assert again.cell == whole.cell

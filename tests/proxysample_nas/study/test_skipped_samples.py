"""Images that cannot be read, and are left out on request, in studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from proxysample import InputError, load_dataset
from proxysample.data.whole import BrokenImageWarning
from proxysample_nas.study import Study
from proxysample_nas.study.experiments.data import StudyData, load_study_data

N_TRAIN = 12
BROKEN = [2, 7]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, six images of each to train on and three to test with, all of them whole."""
    generator = np.random.default_rng(0)
    for part, n_images in (("train", 6), ("test", 3)):
        for name in ("cat", "dog"):
            folder = tmp_path / "photos" / part / name
            folder.mkdir(parents=True)
            for number in range(n_images):
                pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "photos"


def damage(root: Path) -> None:
    """Make two of the training images and one of the test images unreadable."""
    splits = load_dataset(f"folder:{root}")
    train, test = splits.train.files, splits.require_test().files
    for file in (*(train[index] for index in BROKEN), test[0]):
        file.write_text("no image")


def skipping(root: Path, **arguments: Any) -> StudyData:
    with pytest.warns(BrokenImageWarning):
        return load_study_data(f"folder,broken=skip:{root}", device="cpu", **arguments)


def study_of(root: Path, tiny_settings: Any, folder: Path, samplers: list[Any]) -> Study:
    return Study(
        **tiny_settings(
            dataset=f"folder,broken=skip:{root}",
            n_train=None,
            samplers=samplers,
            searchers=["random:n_nodes=2,n_samples=1,channels=4,cells_per_stage=1,epochs=1"],
        ),
        folder=folder,
    )


def test_what_cannot_be_read_is_left_out_of_both_parts(root: Path) -> None:
    whole = load_study_data(f"folder:{root}", device="cpu")
    damage(root)
    with pytest.raises(InputError, match=f"image 2 of {N_TRAIN}: "):
        load_study_data(f"folder:{root}", device="cpu")
    data = skipping(root)
    kept = np.delete(np.arange(N_TRAIN), BROKEN)
    assert np.array_equal(data.train.images, whole.train.images[kept])
    assert list(data.train.targets) == list(np.asarray(whole.train.targets)[kept])
    assert data.train.classes == ["cat", "dog"]
    assert data.train_images.labels.tolist() == whole.train_images.labels[kept].tolist()
    assert data.test_images.images.equal(whole.test_images.images[1:])
    assert data.test_images.labels.tolist() == [0, 0, 1, 1, 1]
    assert (data.info.n_train, data.info.n_test, data.info.n_classes) == (10, 5, 2)
    assert data.info.fingerprint != whole.info.fingerprint


def test_where_all_can_be_read_the_study_is_that_of_the_plain_folder(root: Path) -> None:
    plain = load_study_data(f"folder:{root}", device="cpu")
    again = load_study_data(f"folder,broken=skip:{root}", device="cpu", picked_by_index=True)
    assert again.info == plain.info


def test_a_part_of_the_training_images_is_drawn_from_those_that_can_be_read(root: Path) -> None:
    damage(root)
    with pytest.raises(InputError, match=r"n_train=11, but there are 10 training images"):
        skipping(root, n_train=11)
    assert skipping(root, n_train=4).info.n_train == 4


def test_a_study_runs_on_what_can_be_read(root: Path, tmp_path: Path, tiny_settings: Any) -> None:
    damage(root)
    study = study_of(root, tiny_settings, tmp_path / "study", ["rs"])
    with pytest.warns(BrokenImageWarning):
        assert study.run(progress=False) == 0
    assert [row.n_kept for row in study.rows("random")] == [10, 5]


@pytest.mark.parametrize("by_file", [True, False])
def test_indices_that_were_picked_before_are_refused_where_samples_are_skipped(
    root: Path, tmp_path: Path, tiny_settings: Any, by_file: bool
) -> None:
    picked = np.array([0, 1, 3, 6, 8, 9])
    sampler: Any = picked
    if by_file:
        np.save(tmp_path / "picked.npy", picked)
        sampler = f"indices:path={tmp_path}/picked.npy"
    damage(root)
    study = study_of(root, tiny_settings, tmp_path / "study", [sampler])
    message = r"2 training samples are skipped, .* repair or remove the samples, and pick anew"
    with (
        pytest.warns(BrokenImageWarning),
        pytest.raises(InputError, match=message),
    ):
        study.run(progress=False)


def test_test_images_that_are_skipped_move_no_training_index(
    root: Path, tmp_path: Path, tiny_settings: Any
) -> None:
    load_dataset(f"folder:{root}").require_test().files[0].write_text("no image")
    study = study_of(root, tiny_settings, tmp_path / "study", [np.array([0, 1, 3, 6, 8, 9])])
    with pytest.warns(BrokenImageWarning):
        assert study.run(progress=False) == 0
    assert [row.n_kept for row in study.rows("random")] == [12, 6]

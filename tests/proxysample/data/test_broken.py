"""Samples that cannot be read: they stop, or are skipped as the user says, whatever the dataset."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset as HuggingFaceDataset
from datasets import Features, Value
from datasets import Image as ImageFeature
from PIL import Image
from torch import nn
from torch.utils.data import ConcatDataset, Subset

from proxysample import ArrayDataset, InputError, Ranking, Sampler, create_sampler, load_dataset
from proxysample.data import BrokenImageWarning
from proxysample.data.image_files import ImageFiles
from proxysample.data.scanning import find_broken
from proxysample.data.whole import MOST_TOLD
from proxysample.registry import takes_parameter

N = 24
BROKEN = [0, 7, 8, 23]
WHOLE = np.setdiff1d(np.arange(N), BROKEN)
PIXELS = load_dataset("digits").train.images[:N]
LABELS = np.arange(N) % 2


class Items:
    """Items of which some raise; labels are in them alone."""

    def __init__(self, broken=BROKEN):
        self.broken = set(broken)

    def __len__(self):
        return N

    def __getitem__(self, index):
        if index in self.broken:
            raise OSError(f"cut after {index} bytes")
        return PIXELS[index], int(LABELS[index])


class Nones(Items):
    """Gives None in place of an image that it cannot read, as many do."""

    def __getitem__(self, index):
        return None if index in self.broken else super().__getitem__(index)


class Files:
    """Makes an image folder's dataset of files, of which some are cut."""

    def __new__(cls, folder):
        paths = []
        for index, pixels in enumerate(PIXELS):
            paths.append(folder / f"{index}.png")
            Image.fromarray(pixels[..., 0]).save(paths[-1])
            if index in BROKEN:
                paths[-1].write_bytes(paths[-1].read_bytes()[:40])
        return ImageFiles(paths, LABELS)


def with_nan():
    images = PIXELS.astype(np.float32) / 255
    images[BROKEN, 3, 3] = np.nan
    return images


def from_files(folder):
    files = Files(folder).files
    columns = {"image": list(map(str, files)), "label": LABELS.tolist()}
    kinds = Features({"image": ImageFeature(), "label": Value("int64")})
    return HuggingFaceDataset.from_dict(columns, features=kinds)


DATASETS = {
    "items": lambda _: Items(),
    "nones": lambda _: Nones(),
    "subset": lambda _: ConcatDataset([Subset(Items(), range(10)), Subset(Items(), range(10, N))]),
    "files": Files,
    "joined files": lambda folder: ConcatDataset([Subset(Files(folder), range(N))]),
    "huggingface": from_files,
    "arrays": lambda _: ArrayDataset(with_nan(), LABELS),
    "items of arrays": lambda _: list(zip(with_nan(), LABELS.tolist(), strict=True)),
    "frame": lambda _: pd.DataFrame({"image": list(with_nan()), "label": LABELS}),
}
QUICK = {
    "n_clusters": 3,
    "epochs": 1,
    "backbone": nn.Flatten(),
    "random_state": 0,
    "device": "cpu",
}


def quick(name, **parameters):
    chosen = {key: value for key, value in QUICK.items() if takes_parameter(name, key)}
    return create_sampler(name, **(chosen | parameters))


@pytest.mark.parametrize("kind", DATASETS)
@pytest.mark.parametrize("name", ["cc-or", "km-or"])
def test_skipped_samples_are_never_kept_and_the_others_scored_alone(kind, name, tmp_path):
    dataset = DATASETS[kind](tmp_path)
    with pytest.raises(InputError, match=r"broken='skip'|NaN"):
        quick(name).select(dataset, 0.5)
    sampler = quick(name)
    with pytest.warns(
        BrokenImageWarning, match=r"4 of 24 samples cannot be read.*sample 0.*: "
    ) as told:
        kept = sampler.select(dataset, 0.5, broken="skip")
    assert len(told) == 1
    images = PIXELS[WHOLE] if kind in ("files", "joined files", "huggingface") else None
    images = PIXELS[WHOLE].astype(np.float32) / 255 if kind == "arrays" else images
    expected = quick(name).fit(PIXELS[WHOLE] if images is None else images, LABELS[WHOLE])
    assert len(kept) == 10
    assert not set(kept) & set(BROKEN)
    assert np.array_equal(kept, WHOLE[expected.ranking_.select(0.5)])
    assert sampler.ranking_.skipped.tolist() == BROKEN
    assert np.isnan(sampler.scores_[BROKEN]).all()
    assert np.allclose(sampler.scores_[WHOLE], expected.scores_)
    assert sampler.n_samples_ == N


@pytest.mark.parametrize("name", ["ae", "tl"])
def test_networks_skip_as_well(name):
    with pytest.warns(BrokenImageWarning):
        kept = quick(name).select(Items(), 1.0, broken="skip")
    assert kept.tolist() == WHOLE.tolist()


def test_labels_in_items_alone_are_read_around_what_is_broken():
    with pytest.raises(
        InputError, match=r"sample 0 cannot be read for its label.*cut after 0 bytes"
    ):
        quick("cc-rs").select(Items(), 0.5)
    with pytest.warns(BrokenImageWarning, match="4 of 24"):
        kept = quick("cc-rs").select(Items(), 0.5, broken="skip")
    expected = WHOLE[quick("cc-rs").select(PIXELS[WHOLE], 0.5, y=LABELS[WHOLE])]
    assert np.array_equal(kept, expected)


def test_what_is_not_read_is_not_missed(tmp_path):
    for kind in DATASETS:
        folder = tmp_path / kind
        folder.mkdir()
        for broken in ("stop", "skip"):
            assert len(quick("rs").select(DATASETS[kind](folder), 0.5, broken=broken)) == 12
        if kind in ("files", "huggingface", "arrays", "frame"):
            assert len(quick("cc-rs").select(DATASETS[kind](folder), 0.5, broken="skip")) == 12


def test_the_warning_names_files_and_stops_after_some(tmp_path):
    with pytest.warns(BrokenImageWarning, match=rf"sample 7 \({tmp_path}/7\.png\): .*decode"):
        quick("cc-or").fit(Files(tmp_path), broken="skip")
    few = Items([*range(22)])
    with pytest.warns(
        BrokenImageWarning, match=f"22 of 24.*sample {MOST_TOLD - 1}: .*; and 2 more"
    ):
        quick("km-or", n_clusters=1).fit(few, broken="skip")


def test_where_nothing_can_be_read_the_first_error_is_told():
    with pytest.raises(InputError, match="none of 24 samples can be read; the first: OSError: cut"):
        quick("km-or").fit(Items(range(N)), broken="skip")


def test_a_whole_dataset_is_the_same_either_way():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler = quick("cc-or")
        kept = sampler.select(Items([]), 0.5, broken="skip")
    assert sampler.ranking_.skipped is None
    assert np.array_equal(kept, quick("cc-or").select(Items([]), 0.5))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_workers_find_the_same(num_workers):
    from proxysample.data.fields import Fields, Pairs

    broken, labels = find_broken(
        Pairs(Items(), Fields()), pixels=True, batch_size=5, num_workers=num_workers, progress=False
    )
    assert list(broken) == BROKEN
    assert labels == LABELS[WHOLE].tolist()


def test_a_ranking_with_skipped_samples_is_saved_and_checked(tmp_path):
    with pytest.warns(BrokenImageWarning):
        ranking = quick("cc-or").rank(Items(), broken="skip")
    ranking.save(tmp_path / "a.npz")
    loaded = Ranking.load(tmp_path / "a.npz")
    assert loaded == ranking
    assert loaded.skipped.tolist() == BROKEN
    loaded.check_dataset(Items())
    loaded.check_dataset(PIXELS)
    with pytest.raises(InputError, match="pixels are not those"):
        loaded.check_dataset(255 - PIXELS)
    assert loaded.select(1.0).tolist() == WHOLE.tolist()
    assert sorted(loaded.order) == WHOLE.tolist()


def test_skipped_samples_are_out_whatever_the_cut_is():
    with pytest.warns(BrokenImageWarning):
        ranking = quick("cc-or").rank(Items(), broken="skip")
    for kept in (
        ranking.select(n=20),
        ranking.select(1.0, must_keep=[1, 2]),
        ranking.select(n=16, exclude=[1, 2, 7]),
        ranking.select(n=12, balance="equal"),
        ranking.select(n=12, min_per_class=6),
        *ranking.select_many([0.5, 1.0], n=[3]).values(),
    ):
        assert not set(kept) & set(BROKEN)
    with pytest.raises(InputError, match="must_keep names sample 7, which cannot be read"):
        ranking.select(0.5, must_keep=[1, 7])
    with pytest.raises(InputError, match="more than the 20 samples that there are"):
        ranking.select(n=21)
    frame = ranking.to_frame(0.5)
    assert frame["rank"][BROKEN].tolist() == [0] * 4
    assert sorted(frame["rank"][WHOLE]) == list(range(1, 21))
    assert frame["kept"].sum() == 10


def test_the_papers_rounding_counts_the_samples_that_can_be_read():
    with pytest.warns(BrokenImageWarning):
        kept = quick("cc-or", protocol="paper").select(Items(), 0.33, broken="skip")
    expected = quick("cc-or", protocol="paper").select(PIXELS[WHOLE], 0.33, y=LABELS[WHOLE])
    assert np.array_equal(kept, WHOLE[expected])


@pytest.mark.parametrize(
    ("skipped", "scores", "message"),
    [
        ([3], [0.0, np.nan, 1.0], "ascending indices of the 3"),
        ([1, 1], [0.0, np.nan, 1.0], "ascending indices"),
        ([], [0.0, 1.0, 1.0], "ascending indices"),
        ([0], [0.0, np.nan, 1.0], "a skipped sample has a score"),
        ([0, 1, 2], [np.nan] * 3, "all samples are skipped"),
        ([1], [np.nan, np.nan, 1.0], "the score of sample 0 is nan"),
        (None, [np.nan, 0.0], "the score of sample 0 is nan"),
    ],
)
def test_rankings_that_contradict_themselves_are_refused(skipped, scores, message):
    skipped = None if skipped is None else np.array(skipped, dtype=np.int64)
    with pytest.raises(InputError, match=message):
        Ranking(np.array(scores), skipped=skipped)


def test_a_report_counts_what_is_skipped(tmp_path):
    with pytest.warns(BrokenImageWarning):
        report = quick("cc-or").report(Files(tmp_path), 0.5, broken="skip")
    assert "keeps 10 of 20 samples (r=0.5), drops 10; 4 more cannot be read" in str(report)
    assert [(one.n_samples, one.n_kept) for one in report.classes] == [(10, 5), (10, 5)]
    assert int(report.kept_histogram.sum() + report.dropped_histogram.sum()) == 20
    report.save(tmp_path / "report.html")


def test_a_report_of_a_sampler_that_reads_no_image_leaves_out_the_broken_pictures(tmp_path):
    report = quick("rs").report(Files(tmp_path), 0.5)
    shown = {example.index for some in report.examples.values() for example in some}
    assert shown
    assert not shown & set(BROKEN)


def test_a_score_that_is_not_a_number_is_no_skipped_sample():
    class NotANumber(Sampler):
        id = "nan"

        def _score(self, samples, codes):
            return np.full(len(samples), np.nan)

    with pytest.raises(InputError, match="the score of sample 0 is nan"):
        NotANumber().fit(torch.zeros(3, 4), broken="skip")


class OddTypes(Items):
    """One readable item is unlike the others, behind some that cannot be read."""

    def __getitem__(self, index):
        pixels, label = super().__getitem__(index)
        return (pixels.astype(np.int32) if index == 20 else pixels), label


@pytest.mark.parametrize("num_workers", [0, 2])
def test_what_is_wrong_later_is_named_by_the_datasets_own_index_and_file(tmp_path, num_workers):
    sampler = create_sampler("km-or", n_clusters=2, num_workers=num_workers)
    with (
        pytest.warns(BrokenImageWarning),
        pytest.raises(InputError, match=r"^sample 20 has type int32, and those before it uint8"),
    ):
        sampler.rank(OddTypes(), broken="skip")
    dataset = OddTypes()
    dataset.files = [f"photos/{index}.png" for index in range(N)]
    with (
        pytest.warns(BrokenImageWarning),
        pytest.raises(InputError, match=r"^sample 20 \(photos/20\.png\) has type int32"),
    ):
        sampler.rank(dataset, broken="skip")
    # Features of a sample without a direction, and labels that are none.
    rows = np.eye(4)[np.arange(N) % 4]
    rows[[2, 5]], rows[9] = np.nan, 0
    with (
        pytest.warns(BrokenImageWarning),
        pytest.raises(InputError, match="the features of sample 9 are all zero"),
    ):
        quick("km-or", metric="cosine", features=rows).rank(PIXELS, broken="skip")
    labelled = [(PIXELS[i], 0.5 if i == 20 else 1.0) if i not in BROKEN else None for i in range(N)]
    with (
        pytest.warns(BrokenImageWarning),
        pytest.raises(InputError, match=r"such as 0\.5 for sample 20"),
    ):
        create_sampler("cc-or").rank(labelled, broken="skip")


@pytest.mark.parametrize("name", ["km-or", "herding", "tl"])
def test_given_features_that_are_not_finite_are_skipped(name):
    features = np.random.default_rng(0).normal(size=(N, 3))
    holed = features.copy()
    holed[BROKEN] = np.nan
    with pytest.raises(InputError, match=r"features of sample 0 hold NaN .*broken='skip'"):
        quick(name, features=holed).rank(PIXELS, LABELS)
    with pytest.warns(BrokenImageWarning, match="sample 7: its features hold NaN"):
        ranking = quick(name, features=holed).rank(PIXELS, LABELS, broken="skip")
    assert ranking.skipped.tolist() == BROKEN
    alone = quick(name, features=features[WHOLE]).rank(PIXELS[WHOLE], LABELS[WHOLE])
    assert np.array_equal(ranking.scores[WHOLE], alone.scores)
    # Where the labels of some cannot be read either, these are skipped, too.
    with pytest.warns(BrokenImageWarning):
        both = quick(name, features=holed).rank(Items(broken=[3]), broken="skip")
    if name != "km-or":  # which reads no labels
        assert both.skipped.tolist() == [0, 3, 7, 8, 23]

"""A dataset's name carries what its reader and samplers are told, wherever it is given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from proxysample import CCOutlierRemoval, CCRandomSampling, InputError, load_dataset
from proxysample.data.whole import BrokenImageWarning
from proxysample_nas.study.given import Transfer

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), dtype=np.uint8)
CODES = np.arange(8) % 2


def test_a_root_of_csv_is_named_in_one_string(tmp_path):
    (tmp_path / "a, b").mkdir()
    for number, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(tmp_path / "a, b" / f"{number}.png")
    lists = tmp_path / "lists"
    lists.mkdir()
    rows = [f"{number}.png,{code},x{code}" for number, code in enumerate(CODES)]
    (lists / "train.csv").write_text("\n".join(["path,label,species", *rows]))
    with pytest.raises(InputError, match=r"0\.png"):
        load_dataset(f"csv:{lists}/train.csv").train[0]
    root = f'"{tmp_path}/a, b"'
    train = load_dataset(f"csv,root={root},label=species:{lists}/train.csv").train
    assert np.array_equal(train.images, PIXELS)
    assert train.targets.tolist() == [f"x{code}" for code in CODES]
    same = load_dataset(f"csv:{lists}/train.csv", root=tmp_path / "a, b", label="species").train
    assert same.files == train.files


def test_fields_and_options_are_named_for_any_reader(tmp_path):
    np.savez(tmp_path / "a.npz", photos=PIXELS, kinds=CODES, other=CODES[::-1])
    for spec in (f"npz,image=photos,label=kinds:{tmp_path}/a.npz",):
        train = load_dataset(spec).train
        assert np.array_equal(train.images, PIXELS)
        assert train.targets.tolist() == CODES.tolist()
    torch.save(
        (torch.from_numpy(PIXELS), torch.arange(8), torch.from_numpy(CODES)), tmp_path / "a.pt"
    )
    assert load_dataset(f"pt,label=2:{tmp_path}/a.pt").train.targets.tolist() == CODES.tolist()
    np.save(tmp_path / "x.npy", np.arange(16.0).reshape(8, 2))
    np.save(tmp_path / "y.npy", np.arange(8))
    spec = f"{tmp_path}/x.npy,{tmp_path}/y.npy"
    with pytest.raises(InputError, match="labels are different"):
        CCRandomSampling(random_state=0).select(load_dataset(f"npy:{spec}").train, 0.5)
    confirmed = load_dataset(f"npy,distinct_labels=true:{spec}").train
    # Without a warning: where each sample is a class of its own, every kept set loses some.
    assert len(CCRandomSampling(random_state=0).select(confirmed, 0.5)) == 4


def test_skipping_is_said_by_the_name_and_heeded_by_who_reads():
    images = PIXELS.astype(np.float32) / 255
    images[3] = np.nan
    splits = load_dataset("digits", broken="skip")
    assert splits.train.broken == splits.test.broken == "skip"
    view = type(splits.train)(images, broken="skip")
    with pytest.warns(BrokenImageWarning, match="sample 3"):
        assert CCOutlierRemoval().rank(view, y=CODES).skipped.tolist() == [3]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digits,broken=jump", "unknown way to treat broken samples 'jump'"),
        ("digits,rot=3", "unknown option of digits 'rot'; .*Known: image, label"),
        ("digits,broken=skip,broken=stop", "gives an option twice"),
        ("digits,broken", "a parameter is given as name=value"),
        ("digits,distinct_labels=3", "distinct_labels must be True or False"),
        ("digits,image=true", "image= must be a key"),
        ("csv,root=x", "csv needs a path"),
        ("photos,broken=skip:x", "unknown dataset 'photos'"),
    ],
)
def test_options_that_there_are_not_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        load_dataset(spec)


def test_an_option_is_given_once():
    with pytest.raises(InputError, match="broken is given beside the name, too"):
        load_dataset("digits,broken=skip", broken="stop")


def test_a_transfer_parts_a_dataset_from_its_own_words():
    transfer = Transfer.parse("csv,root=photos,label=kind:train.csv,channels=16,n_best=1")
    assert transfer.dataset == "csv,root=photos,label=kind:train.csv"
    assert (transfer.channels, transfer.n_best) == (16, 1)
    assert Transfer.parse("digits,channels=16").dataset == "digits"

from __future__ import annotations

import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from proxysample import CCOutlierRemoval, InputError, load_dataset

from ...mutations import mutations  # tests are no package

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(12) % 3
FIRST = torch.from_numpy(np.moveaxis(PIXELS, -1, 1).copy())
CODES = torch.from_numpy(LABELS)


@pytest.mark.parametrize(
    "content",
    [
        {"images": FIRST, "labels": CODES},
        {"x": FIRST, "y": CODES},
        {"data": FIRST, "targets": LABELS.tolist()},
        (FIRST, CODES),
        [FIRST, CODES],
        {"train_images": FIRST, "train_labels": CODES, "x_test": FIRST[:2], "y_test": CODES[:2]},
        {"images": torch.from_numpy(PIXELS), "labels": CODES},
    ],
)
def test_saved_tensors_are_datasets(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    splits = load_dataset(f"pt:{tmp_path}/a.pt")
    assert np.array_equal(splits.train.images, PIXELS)
    assert splits.train.targets.tolist() == LABELS.tolist()
    assert (splits.test is None) == ("x_test" not in content)
    chosen = CCOutlierRemoval().select(splits.train, 0.5)
    assert np.array_equal(chosen, CCOutlierRemoval().select(PIXELS, 0.5, y=LABELS))


def test_safetensors_are_datasets(tmp_path):
    save_file({"images": FIRST, "labels": CODES}, tmp_path / "a.safetensors")
    train = load_dataset(f"safetensors:{tmp_path}/a.safetensors").train
    assert np.array_equal(train.images, PIXELS)
    assert train.targets.tolist() == LABELS.tolist()
    features = torch.randn(12, 4).bfloat16()
    save_file({"embeddings": features}, tmp_path / "b.safetensors")
    train = load_dataset(f"safetensors:{tmp_path}/b.safetensors").train
    assert np.array_equal(train.images, features.float())


@pytest.mark.parametrize("offsets", [(0, 192, 96, 288), (0, 192, 0, 192), (96, 288, 0, 192)])
def test_tensors_that_share_bytes_are_refused(tmp_path, offsets):
    parts = {"images": (offsets[:2], [12, 4, 4]), "labels": (offsets[2:], [192])}
    header = json.dumps(
        {
            name: {"dtype": "U8", "shape": shape, "data_offsets": list(place)}
            for name, (place, shape) in parts.items()
        }
    ).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(max(offsets)))
    with pytest.raises(InputError, match="is no safetensors file, or is damaged"):
        load_dataset(f"safetensors:{path}")


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_files_are_mapped(tmp_path, order):
    np.save(tmp_path / "x.npy", np.asarray(PIXELS, order=order))
    np.save(tmp_path / "y.npy", LABELS)
    train = load_dataset(f"npy:{tmp_path}/x.npy,{tmp_path}/y.npy").train
    assert isinstance(train.images.base, np.memmap) or isinstance(train.images, np.memmap)
    assert np.array_equal(train.images, PIXELS)
    assert train.targets.tolist() == LABELS.tolist()
    assert load_dataset(f"npy:{tmp_path}/x.npy").train.targets is None


class Runs:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": FIRST, "labels": Runs()}, "Python objects"),
        (torch.nn.Linear(2, 2), "Python objects"),
        ({"weight": FIRST}, "it holds weight; needed: images and labels"),
        ({"images": FIRST, "x": FIRST}, "images and x, which may each be meant"),
        ({"images": "a"}, "holds a str where a tensor is needed"),
        (7, "it holds a int; needed"),
        ((FIRST, CODES, CODES), "it holds 3 things: pass label="),
        ({}, "holds nothing"),
        (torch.zeros(2, 2).to_sparse(), "sparse"),
        (torch.zeros(1, 1, 1, 1).expand(10**6, 3, 100, 100), "more than it holds"),
        ((FIRST, CODES[1:]), "11 labels for 12 samples"),
        (torch.zeros(3), "shape"),
    ],
)
def test_other_content_is_refused(tmp_path, capsys, content, message):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(InputError, match=message):
        load_dataset(f"pt:{tmp_path}/a.pt")
    assert capsys.readouterr().out == ""


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "a.pt"
    for kind in ("pt", "safetensors", "npy"):
        with pytest.raises(InputError, match=f"no such file|ends in .{kind}"):
            load_dataset(f"{kind}:{path}")
    path.write_bytes(pickle.dumps(Runs()))
    with pytest.raises(InputError, match=r"no file of torch\.save"):
        load_dataset(f"pt:{path}")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(10_000))
    with pytest.raises(InputError, match="compressed"):
        load_dataset(f"pt:{path}")
    np.save(tmp_path / "objects.npy", np.array([None]), allow_pickle=True)
    np.save(tmp_path / "words.npy", np.array(["a"]))
    for name in ("objects", "words"):
        with pytest.raises(InputError, match=r"Python objects|no images or features"):
            load_dataset(f"npy:{tmp_path}/{name}.npy")
    save_file({f"layer{n}": CODES + n for n in range(40)}, tmp_path / "net.safetensors")
    with pytest.raises(InputError, match="and 31 more; needed: images and labels"):
        load_dataset(f"safetensors:{tmp_path}/net.safetensors")


@pytest.mark.parametrize("kind", ["pt", "safetensors", "npy"])
def test_mutated_files_are_read_or_refused(tmp_path, kind, capsys):
    path = tmp_path / f"a.{kind}"
    content = {"images": FIRST, "labels": CODES}
    if kind == "pt":
        torch.save(content, path)
    elif kind == "safetensors":
        save_file(content, path)
    else:
        np.save(path, PIXELS)
    whole = path.read_bytes()
    refused = 0
    for mutated in mutations(whole, 300):
        # A mapped file that is written over would change under the map.
        path.unlink()
        path.write_bytes(mutated)
        try:
            np.asarray(load_dataset(f"{kind}:{path}").train.images).sum()
        except InputError:
            refused += 1
    assert refused > 50
    assert capsys.readouterr().out == ""

"""Arrays in groups, and labels in files of their own, for each kind of file that names arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from proxysample import InputError, create_sampler, load_dataset
from proxysample.data.array_names import part_names
from proxysample.data.reading import UnsureLabelsWarning

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
LABELS = np.arange(6) % 2
GROUPS = {
    "train": {"images": PIXELS, "labels": LABELS},
    "test": {"images": PIXELS[:3], "labels": LABELS[:3]},
}
MORE = {"left": {"x": PIXELS, "y": LABELS}, "right": {"deep": {"photos": PIXELS + 1}}}


def write_hdf5(path, content):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, array in flat(content):
            file[name] = array
    return f"hdf5:{path}"


def write_zarr(path, content):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(path), mode="w")
    for name, array in flat(content):
        group.create_array(name, data=array)
    return f"zarr:{path}"


def write_torch(path, content):
    def as_tensors(one):
        if isinstance(one, dict):
            return {name: as_tensors(inner) for name, inner in one.items()}
        return torch.from_numpy(one)

    torch.save(as_tensors(content), f"{path}.pt")
    return f"pt:{path}.pt"


def write_safetensors(path, content):
    save_file(dict(flat(content)), f"{path}.safetensors")
    return f"safetensors:{path}.safetensors"


def flat(content, before=""):
    for name, one in content.items():
        if isinstance(one, dict):
            yield from flat(one, f"{before}{name}/")
        else:
            yield f"{before}{name}", one


WRITERS = [write_hdf5, write_zarr, write_torch, write_safetensors]


@pytest.mark.parametrize("write", WRITERS)
def test_groups_of_parts_are_parts_and_others_are_named(tmp_path, write):
    splits = load_dataset(write(tmp_path / "parts", GROUPS))
    assert np.array_equal(splits.train.images[:].reshape(PIXELS.shape), PIXELS)
    assert splits.train.targets.tolist() == LABELS.tolist()
    assert len(splits.require_test()) == 3

    spec = write(tmp_path / "more", MORE)
    with pytest.raises(InputError, match=r"left/x, left/y.*says not which.*::left/x"):
        load_dataset(spec)
    for train in (
        load_dataset(f"{spec}::left").train,
        load_dataset(f"{spec}::/left/").train,
        load_dataset(f"{spec}::left/x").train,
        load_dataset(spec, image="left/x").train,
        load_dataset(spec, label="/left/y").train,
    ):
        assert np.array_equal(train.images[:].reshape(PIXELS.shape), PIXELS)
        assert train.targets.tolist() == LABELS.tolist()
    train = load_dataset(f"{spec}::right/deep/photos", label="left/y").train
    assert np.array_equal(train.images[:].reshape(PIXELS.shape), PIXELS + 1)
    assert train.targets.tolist() == LABELS.tolist()
    for place, message in {
        "::lefd": "unknown array or group 'lefd'; did you mean 'left'",
        "::right": "right: deep: it holds photos; needed",
    }.items():
        if place == "::right" and write in (write_hdf5, write_zarr):
            # A single array is taken, whatever its name.
            assert load_dataset(f"{spec}{place}").train.targets is None
            continue
        with pytest.raises(InputError, match=message):
            load_dataset(f"{spec}{place}")
    with pytest.raises(InputError, match="leave image= out"):
        load_dataset(f"{spec}::left/x", image="right/deep/photos")


@pytest.mark.parametrize("write", WRITERS)
def test_labels_may_be_in_a_file_of_their_own(tmp_path, write):
    np.save(tmp_path / "other.npy", 1 - LABELS)
    spec = write(tmp_path / "a", {"images": PIXELS})
    train = load_dataset(spec, label=f"{tmp_path}/other.npy").train
    assert train.targets.tolist() == (1 - LABELS).tolist()


def test_labels_of_npy_and_npz_may_be_in_a_file_of_their_own(tmp_path):
    np.save(tmp_path / "x.npy", PIXELS)
    np.savez(tmp_path / "x.npz", images=PIXELS, labels=LABELS)
    np.save(tmp_path / "y.npy", 1 - LABELS)
    for kind in ("npy", "npz"):
        named = load_dataset(f"{kind},label={tmp_path}/y.npy:{tmp_path}/x.{kind}").train
        assert named.targets.tolist() == (1 - LABELS).tolist()
        assert len(named) == 6
        with pytest.raises(InputError, match="no such file"):
            load_dataset(f"{kind}:{tmp_path}/x.{kind}", label="missing.npy")
    with pytest.raises(InputError, match="label= another; give one"):
        load_dataset(f"npy:{tmp_path}/x.npy,{tmp_path}/y.npy", label=f"{tmp_path}/y.npy")
    with pytest.raises(InputError, match=r"'species' is no \.npy file"):
        load_dataset(f"npy:{tmp_path}/x.npy", label="species")
    flipped = load_dataset(
        f"npy:{tmp_path}/x.npy,{tmp_path}/y.npy", label=lambda item: int(item[1]) + 1
    )
    assert [int(label) for _, label in flipped.train] == (2 - LABELS).tolist()


def test_a_group_that_holds_itself_has_an_end(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("train")
        group["images"] = PIXELS
        for name in "abcdefgh":
            group[name] = group
    assert len(load_dataset(f"hdf5:{tmp_path}/a.h5", image="train/images").train) == 6
    content = {"images": torch.from_numpy(PIXELS)}
    content["again"] = content
    torch.save(content, tmp_path / "a.pt")
    assert len(load_dataset(f"pt:{tmp_path}/a.pt").train) == 6


def test_a_link_to_a_group_is_not_followed(tmp_path):
    h5py = pytest.importorskip("h5py")
    write_hdf5(tmp_path / "other.h5", GROUPS)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train"] = h5py.ExternalLink("other.h5", "/train")
    for spec in ("a.h5::train/images", "a.h5::train", "a.h5"):
        with pytest.raises(InputError, match=r"is a link|unknown array"):
            load_dataset(f"hdf5:{tmp_path}/{spec}")


def test_a_zarr_group_that_is_a_link_is_not_followed(tmp_path):
    spec = write_zarr(tmp_path / "a", {"images": PIXELS})
    write_zarr(tmp_path / "other", {"labels": LABELS})
    (tmp_path / "a" / "labels").symlink_to(tmp_path / "other" / "labels")
    assert_labels_are_a_link(load_dataset(spec).train, r"labels is a link that leads out of")
    write_zarr(tmp_path / "b", {"images": PIXELS, "y_of_mine": LABELS})
    (tmp_path / "b" / "labels").symlink_to(tmp_path / "b" / "y_of_mine")
    assert_labels_are_a_link(load_dataset(f"zarr:{tmp_path}/b").train, "labels is a link; put")


def assert_labels_are_a_link(train, message):
    """Who needs no labels goes on, who would use them is told, who needs them is stopped."""
    assert train.targets is None
    assert len(create_sampler("rs").select(train, 0.5)) == len(train) // 2
    with pytest.warns(UnsureLabelsWarning, match=message):
        create_sampler("herding").select(train, 0.5)
    with pytest.raises(InputError, match=message):
        create_sampler("cc-rs").select(train, 0.5)


def test_labels_that_are_a_link_in_hdf5_stop_who_needs_them(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"], file["mine"] = PIXELS, LABELS
        file["labels"] = h5py.SoftLink("/mine")
    assert_labels_are_a_link(load_dataset(f"hdf5:{tmp_path}/a.h5").train, "labels is a link; put")


def test_two_groups_with_usual_names_are_told_apart():
    names = ["train/x", "train/y", "val/x", "test/x", "test/y"]
    assert part_names(names) == (("train/x", "train/y"), ("test/x", "test/y"))
    with pytest.raises(InputError, match="says not which are meant"):
        part_names([*names, "extra/x"])
    with pytest.raises(InputError, match="images and x, which may each be meant"):
        part_names(["train/images", "train/x"])

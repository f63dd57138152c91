from __future__ import annotations

import hashlib
import random
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from torch import nn
from torch.utils.data import Subset, TensorDataset

from proxysample import (
    ArrayDataset,
    CCOutlierRemoval,
    Features,
    InputError,
    KMeansOutlierRemoval,
    TransferLoss,
    embed,
    load_dataset,
)
from proxysample.experiments.executors import fixed_threads
from proxysample.features import embedding
from proxysample.features.store import FEATURES, RECORD
from proxysample.features.store_writer import JOURNAL

from ...forked import Forked
from .slow_embedding import run

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from slow_embedding import run
run(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
"""
ROWS = embedding.ROWS_PER_BLOCK


def bytes_of(features: Features) -> str:
    return hashlib.sha256((features.folder / FEATURES).read_bytes()).hexdigest()


def network(seed: int = 0, n_channels: int = 3) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    convolution = nn.Conv2d(n_channels, 5, 3)
    convolution.weight.data = torch.randn(convolution.weight.shape, generator=generator)
    convolution.bias.data = torch.zeros(5)
    return nn.Sequential(convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Photos:
    """Items one by one; counts what is read."""

    def __init__(self, images: np.ndarray, broken: int | None = None) -> None:
        self.images = images
        self.broken = broken
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        self.read.append(index)
        if index == self.broken:
            raise OSError("cut off")
        return self.images[index], index % 3


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (70, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_features_are_those_of_the_network_on_disk(images, tmp_path):
    features = embed(ArrayDataset(images, np.arange(70) % 2), folder=tmp_path, backbone=network())
    tensors = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        expected = network()(tensors).numpy()
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)
    assert isinstance(np.asarray(features)[:1].base, np.memmap | np.ndarray)
    assert features.labels.tolist() == (np.arange(70) % 2).tolist()
    # Anybody can read them.
    np.testing.assert_array_equal(np.load(features.folder / FEATURES), features)


def test_what_is_there_is_found_again_and_nothing_is_computed(images, tmp_path, monkeypatch):
    first = embed(images, folder=tmp_path, backbone=network())

    def fails(*_):
        raise AssertionError("it is computed again")

    monkeypatch.setattr(embedding.Embedder, "blocks", fails)
    again = embed(images, y=[0, 1] * 35, folder=tmp_path, backbone=network(), num_workers=1)
    assert again.key == first.key
    # Labels decide nothing, and those beside the features are the last.
    assert first.labels is None
    assert again.labels.tolist() == [0, 1] * 35


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("place", [0, 1, 33, 69])
def test_one_changed_image_makes_another_key(images, tmp_path, lazy, place):
    kind = Photos if lazy else ArrayDataset
    before = embed(kind(images), folder=tmp_path, backbone=network())
    changed = images.copy()
    changed[place, 0, 0, 0] ^= 1
    assert embed(kind(changed), folder=tmp_path, backbone=network()).key != before.key


@pytest.mark.parametrize(
    "other",
    [
        {"backbone": network(1)},
        {"dtype": "float16"},
        {"input_size": 6},
        {"backbone": nn.Sequential(network(), nn.Identity())},
    ],
)
def test_what_decides_features_makes_another_key(images, tmp_path, other):
    first = embed(images, folder=tmp_path, backbone=network())
    second = embed(images, **({"folder": tmp_path, "backbone": network()} | other))
    assert first.key != second.key
    assert len(list(tmp_path.glob(f"*/{RECORD}"))) == 2
    # Each is found in the folder of both by what it is.
    assert embed(images, folder=tmp_path, backbone=network()).key == first.key


def test_items_give_the_bytes_of_their_array_for_any_number_of_workers(images, tmp_path):
    held = embed(images, folder=tmp_path / "held", backbone=network())
    for n_workers in (0, 2):
        folder = tmp_path / str(n_workers)
        features = embed(Photos(images), folder=folder, backbone=network(), num_workers=n_workers)
        assert bytes_of(features) == bytes_of(held)
        # Labels that are in the items alone come with the images.
        assert features.labels.tolist() == [index % 3 for index in range(70)]


def test_a_folder_of_photos_of_several_sizes_and_modes_goes_in_with_its_files(tmp_path, rng):
    for index in range(40):
        shape = (12 + index, 20) if index % 4 else (12 + index, 20, 3)
        file = tmp_path / "photos" / "ab"[index % 2] / f"{index:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(file)
    train = load_dataset(f"folder:{tmp_path / 'photos'}").train
    options = {"folder": tmp_path / "features", "backbone": network(), "input_size": 8}
    features = embed(train, **options)
    assert features.keys[0] == "a/00.png"
    assert features.labels.tolist() == [0] * 20 + [1] * 20
    workers = embed(train, **(options | {"folder": tmp_path / "other", "num_workers": 2}))
    assert bytes_of(features) == bytes_of(workers)
    # A changed file is another dataset.
    Image.new("RGB", (30, 20)).save(tmp_path / "photos" / "a" / "20.png")
    assert embed(train, **options).key != features.key


def test_a_grey_image_that_is_followed_by_a_coloured_one_is_taken_up_as_colour(tmp_path, rng):
    # Probes see images 0, 40, ..., all grey; the coloured one comes late.
    for index in range(600):
        shape = (9, 9, 3) if index == 301 else (9, 9)
        (tmp_path / "photos").mkdir(exist_ok=True)
        file = tmp_path / "photos" / f"{index:03}.png"
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(file)
    from proxysample.data.image_files import ImageFiles

    files = ImageFiles(sorted((tmp_path / "photos").iterdir()))

    class OfAnyChannels(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network()

        def forward(self, images):
            assert images.shape[1] in (1, 3)
            return self.network(images.expand(-1, 3, -1, -1))

    features = embed(files, folder=tmp_path / "features", backbone=OfAnyChannels())
    grey = np.asarray(Image.open(files.files[0]))
    tensor = torch.from_numpy(grey.copy()).float().expand(1, 3, 9, 9) / 255
    with torch.no_grad():
        np.testing.assert_allclose(features[:1], network()(tensor), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_workers", [0, 1])
def test_a_sample_that_cannot_be_read_is_named_by_its_own_index(images, tmp_path, n_workers):
    many = np.concatenate([images] * 5)
    photos = Photos(many)
    options = {"folder": tmp_path, "backbone": network(), "num_workers": n_workers}
    # All is well while it is looked at, and block 0 is written.
    identity = embedding.dataset_identity

    def then_breaks(samples):
        found = identity(samples)
        photos.broken = 300
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding, "dataset_identity", then_breaks)
        with pytest.raises(InputError, match="sample 300"):
            embed(photos, **options)
    photos.broken = None
    features = embed(photos, **options)
    assert features.provenance["samples_taken_over"] == ROWS
    assert bytes_of(features) == bytes_of(embed(many, folder=tmp_path, backbone=network()))


def start(folder: Path, n: int, seconds: float) -> Forked:
    number = len(list(folder.parent.glob("process*")))
    outputs = folder.parent / f"process{number}"
    outputs.mkdir()
    words = [str(Path(__file__).parent), str(folder), str(n), str(seconds)]
    return Forked(PROGRAM, words, outputs)


def whole_bytes(folder: Path, n: int) -> str:
    with fixed_threads(1):
        return bytes_of(run(str(folder), n, 0))


def n_written(folder: Path) -> int:
    return sum(journal.stat().st_size for journal in folder.glob(f"*/{JOURNAL}"))


def killed_after(process: Forked, folder: Path, n_bytes: int, seconds: float) -> None:
    while n_written(folder) < n_bytes:
        assert process.poll() is None, process.stderr
        time.sleep(0.005)
    time.sleep(seconds)
    process.kill()
    process.wait(30)


@pytest.mark.usefixtures("forked")
def test_a_process_that_is_killed_again_and_again_ends_with_the_same_bytes(tmp_path):
    n = 12 * ROWS + 17
    draw = random.Random(1)
    for _ in range(4):
        process = start(tmp_path / "killed", n, 0.02)
        # At any moment from when it has written something more.
        before = n_written(tmp_path / "killed")
        killed_after(process, tmp_path / "killed", before + 1, draw.uniform(0, 0.1))
    last = start(tmp_path / "killed", n, 0)
    assert last.wait(60) == 0, last.stderr
    assert int(last.stdout.split()[0]) >= 4 * ROWS
    features = Features.open(tmp_path / "killed")
    assert bytes_of(features) == whole_bytes(tmp_path / "whole", n)
    # Nothing else is left.
    left = {path.name for path in features.folder.iterdir()}
    assert left == {"features.npy", "checksums.npy", "store.json", "lock"}


@pytest.mark.usefixtures("forked")
def test_what_was_written_in_part_or_spoiled_is_computed_again(tmp_path):
    n = 5 * ROWS
    process = start(tmp_path / "spoiled", n, 0.03)
    killed_after(process, tmp_path / "spoiled", 24, 0)
    (journal,) = tmp_path.glob(f"spoiled/*/{JOURNAL}")
    with (journal.parent / FEATURES).open("r+b") as stream:
        stream.seek(300)
        stream.write(b"\1\2\3")
    with journal.open("ab") as stream:
        stream.write(b"\0\0\0\0\0")
    last = start(tmp_path / "spoiled", n, 0)
    assert last.wait(60) == 0, last.stderr
    assert ROWS <= int(last.stdout.split()[0]) < n
    spoiled = Features.open(tmp_path / "spoiled")
    assert bytes_of(spoiled) == whole_bytes(tmp_path / "whole", n)


@pytest.mark.usefixtures("forked")
def test_two_processes_that_embed_the_same_do_it_once(tmp_path):
    n = 4 * ROWS
    both = [start(tmp_path / "both", n, 0.02) for _ in range(2)]
    for process in both:
        assert process.wait(60) == 0, process.stderr
    # One has looked at an image to count the features, and waited.
    n_computed = [int(process.stdout.split()[1]) for process in both]
    assert sorted(n_computed) == [1, n + 1] or sorted(n_computed) == [0, n + 1]
    assert bytes_of(Features.open(tmp_path / "both")) == whole_bytes(tmp_path / "whole", n)


def test_samplers_take_a_store_as_they_take_its_array(images, tmp_path):
    labels = np.arange(70) % 2
    features = embed(ArrayDataset(images, labels), folder=tmp_path, backbone=network())
    array = np.array(features)
    other = embed(ArrayDataset(images, labels), folder=tmp_path, backbone=network(1))
    assert other.key != features.key
    for sampler in (
        KMeansOutlierRemoval(n_clusters=3, random_state=0),
        TransferLoss(epochs=3, random_state=0),
    ):
        expected = clone(sampler).set_params(features=array).rank(images, y=labels).scores
        for given in (features, f"embed:{features.folder}", features.folder):
            chosen = clone(sampler).set_params(features=given)
            assert clone(chosen).features is given
            scores = chosen.rank(images, y=labels).scores
            np.testing.assert_array_equal(scores, expected)
        on_store = clone(sampler)
        if sampler.id == "tl":
            np.testing.assert_array_equal(on_store.rank(features).scores, expected)
            assert on_store.backbone_ is None
    by_class = CCOutlierRemoval()
    np.testing.assert_array_equal(
        by_class.rank(features).scores, clone(by_class).rank(array, y=labels).scores
    )


def test_transfer_on_a_store_reads_no_image(images, tmp_path):
    photos = Photos(images)
    features = embed(photos, folder=tmp_path, backbone=network())
    photos.read.clear()
    labels = [index % 3 for index in range(70)]
    KMeansOutlierRemoval(features=features, n_clusters=2, random_state=0).select(photos, r=0.5)
    transfer = TransferLoss(features=features, epochs=2, random_state=0)
    # Labels that only the items have are beside the features.
    assert transfer.select(photos, r=0.5).tolist() == transfer.select(photos, 0.5, labels).tolist()
    assert photos.read == []


def test_of_several_stores_that_of_the_dataset_is_found(images, tmp_path):
    embed(images, folder=tmp_path, backbone=network())
    embed(images[::-1].copy(), folder=tmp_path, backbone=network())
    sampler = KMeansOutlierRemoval(n_clusters=2, features=f"embed:{tmp_path}", random_state=0)
    expected = clone(sampler).set_params(features=network()).rank(images)
    np.testing.assert_array_equal(sampler.rank(images).scores, expected.scores)
    with pytest.raises(InputError, match="no features of this dataset, only others'"):
        sampler.rank(images[:, ::-1])
    embed(images, folder=tmp_path, backbone=network(), dtype="float16")
    with pytest.raises(InputError, match="of several kinds; name one"):
        sampler.rank(images)


def test_a_store_of_another_size_is_refused(images, tmp_path):
    features = embed(images[:50], folder=tmp_path, backbone=network())
    for sampler in (
        TransferLoss(features=features),
        KMeansOutlierRemoval(n_clusters=2, features=features),
    ):
        with pytest.raises(InputError, match="each of the 70 samples"):
            sampler.select(images, r=0.9, y=[0, 1] * 35)


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (TransferLoss(features="resnet18"), "a network is given as backbone"),
        (TransferLoss(features=[[1.0]]), "features must be an array"),
        (TransferLoss(features=np.zeros((70, 5)), protocol="paper"), "leave features out"),
        (TransferLoss(features=np.zeros(70)), r"needed: \(n, d\)"),
    ],
)
def test_features_that_cannot_be_are_refused_before_work(sampler, message):
    with pytest.raises(InputError, match=message):
        sampler.check_parameters()


def test_a_store_travels_by_its_folder(images, tmp_path):
    import copy
    import pickle

    features = embed(images, folder=tmp_path, backbone=network())
    sent = pickle.dumps(features)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent), features)
    assert copy.deepcopy(features) is features


def test_experiments_name_a_store_by_its_key(images, tmp_path):
    from proxysample.digests import as_plain

    features = embed(images, folder=tmp_path, backbone=network())
    assert as_plain(features, "features") == f"features {features.key}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float64"}, "unknown dtype 'float64'"),
        ({"executor": "processes"}, "unknown executor 'processes'"),
        ({"num_workers": -1}, "num_workers"),
        ({"n_workers": 2}, "are for the executor 'ray'"),
        ({"executor": "ray", "n_gpus": 1.5}, "a fraction of a GPU"),
        ({"backbone": nn.Flatten(0)}, r"needed: \(n, d\)"),
    ],
)
def test_options_that_cannot_be_are_refused_and_no_folder_is_made(
    images, tmp_path, options, message
):
    with pytest.raises(InputError, match=message):
        embed(images, **({"folder": tmp_path / "new", "backbone": network()} | options))
    assert not (tmp_path / "new").exists()


def test_values_beyond_float16_are_refused_by_sample(images, tmp_path):
    class Large(nn.Module):
        def forward(self, images):
            return images.flatten(1) * 70_000

    dim = images // 2
    dim[40, 0, 0, 0] = 255
    with pytest.raises(InputError, match=r"sample 40 has a feature of 7e\+04.*float32"):
        embed(dim, folder=tmp_path, backbone=Large(), dtype="float16")
    assert embed(dim, folder=tmp_path, backbone=Large())[40].max() == 70_000


def test_a_disk_without_room_is_refused_before_work(images, tmp_path, monkeypatch):
    from proxysample.features import store_writer

    class Full:
        free = 1000

    monkeypatch.setattr(store_writer.shutil, "disk_usage", lambda _: Full)
    with pytest.raises(InputError, match="name another folder, or take dtype='float16'"):
        embed(images, folder=tmp_path, backbone=network())


def test_a_random_transform_is_refused(images, tmp_path):
    class Random(Photos):
        def __getitem__(self, index):
            return np.random.default_rng().integers(0, 256, (8, 8, 3), dtype=np.uint8), 0

    with pytest.raises(InputError, match="other pixels each time"):
        embed(Random(images), folder=tmp_path, backbone=network())


def test_parts_of_datasets_and_tensors_are_embedded_as_they_are(images, tmp_path):
    tensors = torch.from_numpy(images).permute(0, 3, 1, 2)
    expected = bytes_of(embed(images[10:20], folder=tmp_path / "a", backbone=network()))
    for dataset in (tensors[10:20], Subset(TensorDataset(tensors), range(10, 20))):
        features = embed(dataset, folder=tmp_path / "b", backbone=network())
        assert bytes_of(features) == expected


def test_the_global_generators_are_left_alone(images, tmp_path):
    backbone = network()
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    embed(Photos(images), folder=tmp_path, backbone=backbone, num_workers=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002

from __future__ import annotations

import json
import sys
import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from proxysample import CCOutlierRemoval, InputError, KMeansOutlierRemoval, load_dataset
from proxysample.data import ArrayDataset, BlockArray, Samples
from proxysample.errors import MissingDependencyError

from ...mutations import mutations  # tests are no package

GENERATOR = np.random.default_rng(0)
PIXELS = GENERATOR.integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(40) % 4
FEATURES = GENERATOR.normal(size=(40, 7)).astype(np.float32)


class Counted:
    """An array that can only be had by slices, and counts the rows of the largest."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.most = 0

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        self.most = max(self.most, rows.stop - rows.start)
        return self.array[rows]


@pytest.mark.parametrize("key", [3, -1, slice(2, 9), slice(None, None, 3), [5, 1, 1, -2], [], 0])
def test_rows_are_those_of_the_array(key):
    block = BlockArray(Counted(PIXELS))
    key = np.array(key, dtype=np.int64) if isinstance(key, list) else key
    assert np.array_equal(block[key], PIXELS[key])
    assert len(block) == 40
    assert (block.shape, block.dtype, block.ndim) == (PIXELS.shape, PIXELS.dtype, 4)
    assert (block.size, block.nbytes) == (PIXELS.size, PIXELS.nbytes)


def test_other_keys(monkeypatch):
    block = BlockArray(Counted(PIXELS))
    assert np.array_equal(block[LABELS == 1], PIXELS[LABELS == 1])
    assert np.array_equal(block[2:5, ..., 0], PIXELS[2:5, ..., 0])
    assert block[3, 2, 1, 0] == PIXELS[3, 2, 1, 0]
    assert np.array_equal(np.asarray(block), PIXELS)
    assert BlockArray(Counted(PIXELS[..., 0])).shape == (40, 6, 5, 1)
    with pytest.raises(IndexError):
        block[40]


def test_samplers_read_blocks_and_choose_as_from_memory(monkeypatch):
    monkeypatch.setattr("proxysample.data.reading.ROWS_PER_CHUNK", 8)
    for source in (PIXELS, FEATURES):
        counted = Counted(source)
        chosen = CCOutlierRemoval().select(counted, 0.5, y=LABELS)
        assert np.array_equal(chosen, CCOutlierRemoval().select(source, 0.5, y=LABELS))
        sampler = KMeansOutlierRemoval(n_clusters=3, random_state=0)
        assert np.array_equal(sampler.select(counted, 0.5), sampler.select(source, 0.5))


def test_features_beside_a_dataset_are_read_by_blocks():
    counted = Counted(FEATURES)
    samples = Samples(PIXELS, LABELS, features=counted)
    assert isinstance(samples.images, BlockArray)
    chosen = CCOutlierRemoval().select(PIXELS, 0.5, y=LABELS, features=counted)
    assert np.array_equal(chosen, CCOutlierRemoval().select(FEATURES, 0.5, y=LABELS))


@pytest.mark.parametrize(
    "kind", ["csr_array", "csc_array", "coo_array", "coo_matrix", "bsr_array", "dia_array"]
)
def test_sparse_features_are_made_dense_by_blocks(kind, monkeypatch):
    dense = np.where(FEATURES > 0.5, FEATURES, 0)
    given = getattr(sparse, kind)(dense)
    assert np.array_equal(np.asarray(Samples(given).images), dense)
    chosen = CCOutlierRemoval().select(given, 0.5, y=LABELS)
    assert np.array_equal(chosen, CCOutlierRemoval().select(dense, 0.5, y=LABELS))
    kept = CCOutlierRemoval().subset(given, 0.5, y=LABELS)
    assert np.array_equal(kept.toarray(), dense[chosen])
    kept, _ = CCOutlierRemoval().fit_resample(given, LABELS, r=0.5)
    assert np.array_equal(kept.toarray(), dense[chosen])
    assert np.array_equal(CCOutlierRemoval().select(PIXELS, 0.5, LABELS, features=given), chosen)


def test_a_sparse_matrix_is_never_made_dense_whole():
    given = sparse.random(30_000, 500, density=1e-4, format="csr", random_state=0)
    tracemalloc.start()
    try:
        CCOutlierRemoval().select(given, 0.5, y=np.arange(30_000) % 2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Dense it takes 120 MB.
    assert peak < 45e6


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), "shape"),
        (np.zeros((0, 3)), "shape"),
        (np.zeros((2, 2, 2, 2, 2)), "shape"),
        (np.array([["a"]]), "type"),
        (np.array([[None]]), "type"),
        (np.zeros((2, 2), complex), "type"),
        (np.lib.stride_tricks.as_strided(np.zeros(1), (2, 1 << 28), (0, 0)), "a row of it is no"),
    ],
)
def test_other_arrays_are_refused(array, message):
    with pytest.raises(InputError, match=message):
        BlockArray(Counted(array))


def test_rows_that_cannot_be_read_are_named():
    class Broken(Counted):
        def __getitem__(self, rows):
            if rows.stop > 20:
                raise OSError("chunk is cut")
            return super().__getitem__(rows)

    block = BlockArray(Broken(PIXELS), "photos.h5")
    assert len(block[:20]) == 20
    with pytest.raises(
        InputError, match=r"photos\.h5: rows 15 to 24 cannot be read: OSError: chunk"
    ):
        block[15:25]


def write_hdf5(path, **arrays):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, chunks=array.ndim > 1 or None)
    return f"hdf5:{path}"


def write_zarr(path, version=3, **arrays):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    for name, array in arrays.items():
        group.create_array(name, data=array)
    return f"zarr:{path}"


WRITERS = {
    "hdf5": write_hdf5,
    "zarr 3": write_zarr,
    "zarr 2": lambda path, **arrays: write_zarr(path, 2, **arrays),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_stores_are_read_by_blocks(tmp_path, kind):
    write = WRITERS[kind]
    spec = write(tmp_path / "a", images=PIXELS, labels=LABELS, x_test=PIXELS[:5], y_test=LABELS[:5])
    splits = load_dataset(spec)
    assert isinstance(splits.train.images, BlockArray)
    assert np.array_equal(splits.train.images[3:7], PIXELS[3:7])
    assert splits.train.targets.tolist() == LABELS.tolist()
    assert len(splits.require_test()) == 5
    chosen = CCOutlierRemoval().select(splits.train, 0.5)
    assert np.array_equal(chosen, CCOutlierRemoval().select(PIXELS, 0.5, y=LABELS))
    assert np.array_equal(load_dataset(write(tmp_path / "b", any=FEATURES)).train.images, FEATURES)


@pytest.mark.parametrize("kind", WRITERS)
def test_stores_without_images_are_refused(tmp_path, kind):
    write = WRITERS[kind]
    with pytest.raises(InputError, match=r"it holds left, right; needed: .* or pass image="):
        load_dataset(write(tmp_path / "a", left=PIXELS, right=PIXELS))
    with pytest.raises(InputError, match="images and x, which may each be meant"):
        load_dataset(write(tmp_path / "b", images=PIXELS, x=PIXELS))
    with pytest.raises(InputError, match="no such f"):
        load_dataset(f"{kind.split()[0]}:{tmp_path}/missing")
    with pytest.raises(InputError, match="39 labels for 40 samples"):
        load_dataset(write(tmp_path / "c", images=PIXELS, labels=LABELS[1:]))


def test_arrays_of_zarr_and_hdf5_are_datasets(tmp_path):
    h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")
    write_hdf5(tmp_path / "a", images=PIXELS)
    write_zarr(tmp_path / "b", images=PIXELS)
    expected = CCOutlierRemoval().select(PIXELS, 0.5, y=LABELS)
    with h5py.File(tmp_path / "a") as file:
        assert np.array_equal(CCOutlierRemoval().select(file["images"], 0.5, y=LABELS), expected)
    array = zarr.open_array(str(tmp_path / "b" / "images"), mode="r")
    assert np.array_equal(CCOutlierRemoval().select(array, 0.5, y=LABELS), expected)


def test_hdf5_leads_to_no_other_file(tmp_path):
    h5py = pytest.importorskip("h5py")
    write_hdf5(tmp_path / "other.h5", images=PIXELS)
    external = [(str(tmp_path / "raw"), 0, PIXELS.nbytes)]
    (tmp_path / "raw").write_bytes(PIXELS.tobytes())
    layout = h5py.VirtualLayout(PIXELS.shape, PIXELS.dtype)
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "images", PIXELS.shape)
    makers = {
        "link": lambda file: file.__setitem__("images", h5py.ExternalLink("other.h5", "/images")),
        "soft": lambda file: file.__setitem__("images", h5py.SoftLink("/elsewhere")),
        "raw": lambda file: file.create_dataset(
            "images", PIXELS.shape, PIXELS.dtype, external=external
        ),
        "virtual": lambda file: file.create_virtual_dataset("images", layout),
    }
    for name, make in makers.items():
        with h5py.File(tmp_path / name, "w") as file:
            make(file)
        with pytest.raises(InputError, match=r"is a link|leads to other files"):
            load_dataset(f"hdf5:{tmp_path / name}")


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_runs_no_codec_that_may_unpickle(tmp_path, version):
    write_zarr(tmp_path / "a", version, images=PIXELS)
    file = tmp_path / "a" / "images" / (".zarray" if version == 2 else "zarr.json")
    content = json.loads(file.read_text())
    if version == 2:
        content["filters"] = [{"id": "pickle", "protocol": 5}]
    else:
        content["codecs"].append({"name": "numcodecs.pickle", "configuration": {}})
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"packed by '.*pickle', which may do more"):
        load_dataset(f"zarr:{tmp_path}/a")
    content["filters" if version == 2 else "codecs"] = []
    content["dtype" if version == 2 else "data_type"] = "|O"
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match="none of numbers"):
        load_dataset(f"zarr:{tmp_path}/a")


def tried(spec, path, content, count):
    refused = 0
    for mutated in mutations(content, count):
        path.unlink()
        path.write_bytes(mutated)
        try:
            train = load_dataset(spec).train
            assert len(train.images[:]) == len(train)
        except InputError:
            refused += 1
    path.unlink()
    path.write_bytes(content)
    return refused


def test_mutated_stores_are_read_or_refused(tmp_path):
    spec = write_hdf5(tmp_path / "a.h5", images=PIXELS, labels=LABELS)
    assert tried(spec, tmp_path / "a.h5", (tmp_path / "a.h5").read_bytes(), 100) > 10
    for version in (2, 3):
        spec = write_zarr(tmp_path / f"{version}", version, images=PIXELS, labels=LABELS)
        for path in sorted((tmp_path / f"{version}" / "images").rglob("*")):
            if path.is_file():
                tried(spec, path, path.read_bytes(), 25)


def test_the_extra_is_named_where_it_is_missing(monkeypatch, tmp_path):
    for package, kind in (("h5py", "hdf5"), ("zarr", "zarr")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingDependencyError, match=rf"proxysample\[{kind}\]"):
            load_dataset(f"{kind}:{tmp_path}")


def test_a_dataset_of_a_block_array_reads_nothing_when_it_is_made():
    counted = Counted(FEATURES)
    dataset = ArrayDataset(BlockArray(counted), LABELS)
    assert (len(dataset), counted.most) == (40, 0)
    image, label = dataset[3]
    assert np.array_equal(image, FEATURES[3])
    assert label == 3

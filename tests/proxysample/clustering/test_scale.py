"""Large data stream, and the benchmarks that show it run."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest

from benchmarks import hard_kmeans, kmeans, scale
from proxysample import CCOutlierRemoval, KMeansOutlierRemoval
from proxysample.features import rows

N_ROWS, N_COLUMNS = 60_000, 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("scale")
    scale.write_data(made, N_ROWS, N_COLUMNS)
    return made


@pytest.mark.parametrize(
    "sampler",
    [CCOutlierRemoval(), KMeansOutlierRemoval(n_clusters=5, n_init=1, max_iter=3, random_state=0)],
    ids=lambda sampler: sampler.id,
)
def test_large_features_are_never_held_as_a_whole(sampler, folder, monkeypatch):
    monkeypatch.setattr(rows, "CACHED_BYTES", 0)
    monkeypatch.setattr(rows, "MOST_ROWS_PER_BLOCK", 1 << 10)
    monkeypatch.setattr("proxysample.clustering.kmeans.LEAST_ROWS", 1 << 10)
    features = np.load(folder / "features.npy", mmap_mode="r")
    labels = np.load(folder / "labels.npy")
    sampler.fit(features[:2000], labels[:2000])  # what is imported on the way does not count
    tracemalloc.start()
    try:
        sampler.fit(features, labels)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Scores, labels and the like take some 64 bytes a row, whatever the number of features.
    assert peak < 64 * N_ROWS + (4 << 20)
    assert peak < 4 * N_ROWS * N_COLUMNS


def test_benchmark_data_are_groups_of_uneven_sizes(folder):
    features = np.load(folder / "features.npy", mmap_mode="r")
    labels = np.load(folder / "labels.npy")
    assert (features.shape, features.dtype) == ((N_ROWS, N_COLUMNS), np.float16)
    sizes = np.bincount(labels)
    assert len(sizes) == scale.N_GROUPS
    assert sizes.max() > 1.5 * sizes.min()
    first = np.asarray(features[labels == 0], dtype=np.float64)
    assert first.std(axis=0) == pytest.approx(np.ones(N_COLUMNS), abs=0.3)


@pytest.mark.parametrize("name", ["cc-or", "km-or"])
def test_the_benchmark_of_scale_reports_what_it_measured(name, folder, capsys):
    scale.measure(folder, name, 2000, n_clusters=3)
    found = json.loads(capsys.readouterr().out)
    assert found["kept"] == 500
    assert found["seconds"] > 0
    assert found["peak"] >= found["imported"] > 10


def test_the_benchmark_of_kmeans_compares_both(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=images, labels=np.arange(300) % 3)
    data = ["--data", str(tmp_path / "images.npz"), "--limit", "200"]
    kmeans.main([*data, "--n-clusters", "6", "--starts", "2", "--seeds", "3"])
    printed = capsys.readouterr().out
    names = [line.split("|")[1].strip() for line in printed.splitlines() if line.startswith("|")]
    assert names[2:] == ["default", "paper, one start"] * 2 + ["default"]
    assert "median of 2 random starts" in printed
    assert "100 random starts" in printed


def test_the_summary_extrapolates_to_a_hundred_starts():
    paper = [kmeans.Run(100.0, 10, 1.0, 2.0), kmeans.Run(110.0, 10, 2.0, 4.0)]
    text = kmeans.summary(paper, [kmeans.Run(84.0, 3, 3.0, 3.0)])
    assert "median of 2 random starts 105, best 100" in text
    assert "84 (-20.00 % of the median)" in text
    assert "Seconds: 100 random starts 150 (extrapolated), the default 3.0: 1/50" in text
    assert "Cpu seconds: 100 random starts 300 (extrapolated), the default 3.0: 1/100" in text


@pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")
def test_the_benchmark_of_hard_features_compares_all_backends():
    pytest.importorskip("faiss", reason="needs the extra 'faiss'")
    cases = {"one value of 1e7": hard_kmeans.hard_features(80)["one value of 1e7"]}
    lines = hard_kmeans.table_of_ratios(cases)
    cells = [cell.strip() for cell in lines[-1].strip("|").split("|")]
    assert cells[0] == "one value of 1e7"
    assert [float(cell) for cell in cells[1:]] == pytest.approx([1] * 4, rel=0.2)
    assert hard_kmeans.photos_line(8, 12).startswith("8 photos of 12 px: ")
    assert hard_kmeans.outliers_line() == "Of 6 images of noise among 1,437 digits 0 kept."

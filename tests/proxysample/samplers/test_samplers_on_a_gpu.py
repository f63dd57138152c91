"""Samplers run on a GPU, find there what they find on a CPU, and wait for it only where they must.

All of it on a simulated GPU, and on a real one where there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from proxysample import AutoencoderLoss, KMeansOutlierRemoval, TransferLoss, load_dataset
from proxysample.cli import main
from proxysample.clustering import cluster, engines
from proxysample.features import batches as device_data
from proxysample.features import rows as rows_module
from proxysample.features.rows import Rows, Workers
from proxysample.samplers import transfer

from ...real_gpu import count_waits
from ...simulated_gpu import simulated_gpu

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
BATCH_SIZE = 32
needs_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class Watched(NamedTuple):
    """What a run gave, how often it made the host wait, and how many bytes it sent."""

    result: Any
    n_waits: int
    n_bytes: int | None


def watch_simulated(run: Callable[[], Any]) -> Watched:
    with simulated_gpu() as record:
        result = run()
    waits = [one for one in record.crossings if one.kind != "copy"]
    return Watched(result, len(waits), sum(one.n_bytes for one in record.crossings))


def watch_real(run: Callable[[], Any]) -> Watched:
    run()  # CUDA and its libraries wait while they set themselves up
    result, n_waits = count_waits(run)
    return Watched(result, n_waits, None)


@pytest.fixture(params=["simulated", pytest.param("real", marks=needs_a_gpu)])
def watch(request: Any) -> Callable[[Callable[[], Any]], Watched]:
    """Run something on a GPU."""
    return watch_simulated if request.param == "simulated" else watch_real


@pytest.fixture(params=["stays", "streams"], autouse=True)
def data(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether data fit in the GPU's memory."""
    if request.param == "streams":
        for user in (device_data, engines):
            monkeypatch.setattr(user, "MEMORY_SHARE", 0.0)
    return str(request.param)


class Normalised(nn.Module):
    """Pixels and their mean; in the paper's protocol the statistics drift."""

    def __init__(self) -> None:
        super().__init__()
        self.normalisation = nn.BatchNorm2d(1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images = self.normalisation(images)
        return torch.cat([images.flatten(1), images.mean(dim=(2, 3))], dim=1)


NETWORKS: dict[str, Callable[..., Any]] = {
    "ae, mse": partial(AutoencoderLoss, loss="mse"),
    "ae, bce": partial(AutoencoderLoss, loss="bce"),
    "ae, paper": partial(AutoencoderLoss, protocol="paper"),
    "tl, module, default": partial(TransferLoss, backbone=Normalised()),
    "tl, module, paper": partial(TransferLoss, backbone=Normalised(), protocol="paper"),
    "tl, features, default": TransferLoss,
    "tl, features, paper": partial(TransferLoss, protocol="paper"),
}
LATENTS = {name: create for name, create in NETWORKS.items() if name.startswith("ae")}
CLUSTERED: dict[str, dict[str, Any]] = {
    "5 clusters": {"n_clusters": 5},
    "40 clusters": {"n_clusters": 40},
    "10 clusters of a module's features": {"n_clusters": 10, "features": Normalised()},
}


@cache
def digits() -> tuple[Any, Any]:
    train = load_dataset("digits").train
    return train.images, train.targets


def fit(name: str, device: str, *, n_samples: int = 96, epochs: int = 1) -> Any:
    images, labels = (part[:n_samples] for part in digits())
    if "features" in name:
        images = (images / 255).astype(np.float32).reshape(n_samples, -1)
    create = NETWORKS[name]
    sampler = create(epochs=epochs, training_batch_size=BATCH_SIZE, random_state=0, device=device)
    return sampler.fit(images, y=labels)


def fit_clusters(device: str, **parameters: Any) -> KMeansOutlierRemoval:
    images = digits()[0][:600]
    return KMeansOutlierRemoval(
        backend="torch", n_init=2, random_state=0, device=device, **parameters
    ).fit(images)


def check_scores(found: Any, expected: Any, *, exactly: bool) -> None:
    # cuDNN rounds what convolutions multiply to ten bits, if it is left its defaults.
    assert found.scores_ == pytest.approx(expected.scores_, rel=1e-6 if exactly else 0.05)
    if exactly:
        assert np.array_equal(found.ranking_.order, expected.ranking_.order)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_scores_on_a_gpu_as_on_a_cpu(name: str, watch: Any) -> None:
    on_gpu = watch(partial(fit, name, "cuda:0", epochs=2)).result
    on_cpu = fit(name, "cpu", epochs=2)
    check_scores(on_gpu, on_cpu, exactly=watch is watch_simulated)
    assert on_gpu.loss_curve_ == pytest.approx(on_cpu.loss_curve_, rel=0.01)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_waited_for_once_an_epoch(
    name: str, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "ROWS_PER_CHUNK", BATCH_SIZE)
    short, wide, long = (
        watch(partial(fit, name, "cuda:0", n_samples=n_samples, epochs=epochs)).n_waits
        for n_samples, epochs in ((96, 1), (192, 1), (96, 3))
    )
    assert short > 0
    # More training batches and more of those that are scored, none of which waits.
    assert wide == short
    assert long == short + 2


@pytest.mark.parametrize("name", LATENTS)
def test_latents_are_those_of_a_cpu_and_come_in_one_read(name: str, watch: Any) -> None:
    images = digits()[0]

    def encode(device: str, n_samples: int) -> Any:
        return fit(name, device).transform(images[:n_samples])

    short, long = (watch(partial(encode, "cuda:0", n_samples)) for n_samples in (70, 200))
    assert short.n_waits == long.n_waits == watch(partial(fit, name, "cuda:0")).n_waits + 1
    expected = encode("cpu", 200)
    precision = 1e-6 if watch is watch_simulated else 0.05
    assert long.result == pytest.approx(expected, abs=precision * float(np.abs(expected).max()))


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "tl, module, default"])
def test_what_fits_is_sent_once_and_what_does_not_in_each_epoch(name: str, data: str) -> None:
    """Large enough that indices and what dropout draws weigh little beside it."""
    images = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 1), dtype=np.uint8)
    samples = images.reshape(64, -1).astype(np.float32) if "features" in name else images

    def fit_large(epochs: int) -> Any:
        sampler = NETWORKS[name](epochs=epochs, random_state=0, device="cuda:0")
        return sampler.fit(samples, y=np.arange(64) % 3)

    short, long = (watch_simulated(partial(fit_large, epochs)).n_bytes for epochs in (1, 3))
    assert short is not None
    assert long is not None
    sent_again = (long - short) / samples.nbytes
    assert sent_again < 1 if data == "stays" else 2 <= sent_again < 3


@pytest.mark.parametrize("parameters", CLUSTERED.values(), ids=CLUSTERED)
def test_clusters_are_those_of_a_cpu(parameters: dict[str, Any], watch: Any) -> None:
    found = watch(partial(fit_clusters, "cuda:0", **parameters)).result
    expected = fit_clusters("cpu", **parameters)
    assert found.inertia_ == pytest.approx(expected.inertia_, rel=0.005)
    if watch is watch_simulated:
        check_scores(found, expected, exactly=True)
        assert np.array_equal(found.cluster_labels_, expected.cluster_labels_)


@pytest.mark.parametrize("values_per_block", [1 << 20, 1 << 12])
def test_a_pass_of_k_means_is_waited_for_once(
    values_per_block: int, watch: Any, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "VALUES_PER_BLOCK", values_per_block)
    features = np.random.default_rng(0).normal(size=(500, 64)).astype(np.float32)
    centers = features[:20].astype(np.float64)
    # A far center, which no row is nearest to.
    centers[19] = 1e3

    def run(n_passes: int, n_farthest: int, device: torch.device = GPU) -> Any:
        with Workers(1) as workers:
            engine = engines.TorchEngine(Rows(features), 20, device, workers)
            steps = [engine.step(centers) for _ in range(n_passes)]
            return steps[-1], [engine.farthest(5) for _ in range(n_farthest)]

    once, often, seeded = (watch(partial(run, *counts)) for counts in ((1, 0), (4, 0), (1, 3)))
    assert once.n_waits == 1
    assert often.n_waits == 4
    assert seeded.n_waits == 4
    expected, farthest = run(1, 3, CPU)
    (step, _), (_, found) = once.result, seeded.result
    assert step.counts.dtype == np.int64
    assert step.counts.tolist() == expected.counts.tolist()
    assert step.counts[19] == 0
    assert step.sums == pytest.approx(expected.sums, rel=1e-5, abs=1e-4)
    assert step.inertia == pytest.approx(expected.inertia, rel=1e-5)
    assert np.array_equal(found, farthest)
    if watch is watch_simulated:
        of_a_pass = (often.n_bytes - once.n_bytes) / 3
        assert of_a_pass == 4 * centers.size + (0 if data == "stays" else features.nbytes)


@pytest.mark.parametrize("command", ["select", "report"])
def test_the_command_line_passes_the_device_on(
    command: str, command_line: Any, tmp_path: Path
) -> None:
    def run(device: str, output: Path) -> tuple[int, str, str]:
        words = (command, "--dataset", "digits", "--sampler", "km-or", "-r", "0.25")
        parameters = ("n_clusters=5", "n_init=1", "backend=torch", f"device={device}")
        each = [word for parameter in parameters for word in ("--param", parameter)]
        result: tuple[int, str, str] = command_line(
            main, *words, *each, "-o", str(output), "--overwrite"
        )
        return result

    output = tmp_path / ("kept.npy" if command == "select" else "kept.html")
    watched = watch_simulated(partial(run, "cuda:0", output))
    assert watched.result[0] == 0
    assert watched.n_waits > 0
    if command == "report":
        assert "cuda:0" in output.read_text(encoding="utf-8")
    missing = tmp_path / f"none{output.suffix}"
    code, _, error = run("cuda:99", missing)
    assert code == 2
    assert "device 'cuda:99' is not available here; pass 'auto' or 'cpu'" in error
    assert not missing.exists()


@needs_a_gpu
@pytest.mark.parametrize("backend", ["torch", "faiss"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_real_gpu_comes_to_scikit_learns_inertia(backend: Any) -> None:
    if backend == "faiss" and not hasattr(
        pytest.importorskip("faiss", reason="needs faiss-gpu"), "StandardGpuResources"
    ):
        pytest.skip("needs faiss-gpu")
    features = (digits()[0] / 255).reshape(len(digits()[0]), -1).astype(np.float32)
    rows = Rows(features - features.mean(axis=0))
    start = rows.source[:30].astype(np.float64)
    with Workers() as workers:
        expected, found = (
            cluster(rows, 30, centers=start, backend=name, device="cuda", workers=workers)
            for name in ("scikit-learn", backend)
        )
    assert found.inertia == pytest.approx(expected.inertia, rel=0.005)


@needs_a_gpu
@pytest.mark.parametrize("name", [*NETWORKS, *CLUSTERED])
def test_a_real_gpu_gives_the_same_indices_again(name: str) -> None:
    first, second = (
        fit(name, "cuda:0", epochs=3)
        if name in NETWORKS
        else fit_clusters("cuda:0", **CLUSTERED[name])
        for _ in range(2)
    )
    assert np.array_equal(first.ranking_.order, second.ranking_.order)

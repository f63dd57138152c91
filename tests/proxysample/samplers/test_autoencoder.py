from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from torch import nn

from proxysample import AutoencoderLoss, InputError, load_dataset
from proxysample.data.reading import Samples
from proxysample.samplers.networks import (
    ConvolutionalAutoencoder,
    binary_cross_entropy,
    squared_error,
    swapped_binary_cross_entropy,
)


@pytest.fixture(scope="module")
def digits():
    train = load_dataset("digits").train
    return train.images[:200], train.targets[:200]


def sampler(**parameters):
    return AutoencoderLoss(**({"epochs": 3, "random_state": 0, "device": "cpu"} | parameters))


def channels_first(images):
    return torch.from_numpy(np.moveaxis(images, -1, 1).astype(np.float32) / 255)


def test_the_network_at_32x32_is_the_authors():
    network = ConvolutionalAutoencoder((3, 32, 32))
    convolutions = [
        (type(layer), layer.in_channels, layer.out_channels)
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]
    down, up = nn.Conv2d, nn.ConvTranspose2d
    assert convolutions == [
        *((down, 3, 16), (down, 16, 32), (down, 32, 64), (down, 64, 64)),
        *((up, 64, 64), (up, 64, 32), (up, 32, 16), (up, 16, 3)),
    ]
    # Each 4x4 convolution with bias, each batch normalisation with scale and shift.
    pairs = [(3, 16), (16, 32), (32, 64), (64, 64), (64, 64), (64, 32), (32, 16), (16, 3)]
    convolution_weights = sum(16 * before * after + after for before, after in pairs)
    normalisation_weights = 2 * (16 + 32 + 64 + 64 + 32 + 16)
    n_weights = sum(weight.numel() for weight in network.parameters())
    assert n_weights == convolution_weights + normalisation_weights
    stages = [down, nn.BatchNorm2d, nn.ReLU] * 3
    assert [type(layer) for layer in network.encoder] == [*stages, down]
    stages = [up, nn.BatchNorm2d, nn.ReLU] * 3
    assert [type(layer) for layer in network.decoder] == [*stages, up, nn.Sigmoid]


@settings(max_examples=30)
@given(st.integers(1, 5), st.integers(8, 70), st.integers(8, 70))
def test_any_size_comes_back_from_a_grid_of_two_or_three(channels, height, width):
    network = ConvolutionalAutoencoder((channels, height, width)).eval()
    images = torch.zeros(1, channels, height, width)
    assert network(images).shape == images.shape
    assert min(network.encoder(images).shape[2:]) in (2, 3)


def test_pixel_losses_by_hand():
    reconstruction, images = torch.tensor([0.25, 0.25, 0.5]), torch.tensor([1.0, 0.0, 0.5])
    assert squared_error(reconstruction, images).tolist() == [0.5625, 0.0625, 0.0]
    expected = [-math.log(0.25), -math.log(0.75), -math.log(0.5)]
    assert binary_cross_entropy(reconstruction, images).tolist() == pytest.approx(expected)
    # A white pixel costs (1 - reconstruction) * 100, a black one reconstruction * 100.
    expected = [75, 25, -math.log(0.5)]
    assert swapped_binary_cross_entropy(reconstruction, images).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("parameters", "pixel_loss"),
    [
        ({"loss": "mse"}, lambda x, y: (x - y) ** 2),
        ({"loss": "bce"}, lambda x, y: -(y * np.log(x) + (1 - y) * np.log(1 - x))),
        (
            {"protocol": "paper"},
            lambda x, y: (
                -(x * np.maximum(np.log(y), -100) + (1 - x) * np.maximum(np.log(1 - y), -100))
            ),
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_scores_are_mean_pixel_losses_of_the_trained_network(parameters, pixel_loss, digits):
    images, _ = digits
    fitted = sampler(**parameters).fit(images)
    assert not fitted.network_.training
    pixels = channels_first(images)
    with torch.no_grad():
        reconstruction = fitted.network_(pixels).double().numpy()
    expected = pixel_loss(reconstruction, pixels.double().numpy()).mean(axis=(1, 2, 3))
    assert fitted.scores_ == pytest.approx(expected, rel=1e-4)


def test_the_paper_protocol_trains_by_cross_entropy_and_rounds_down(digits):
    images, _ = digits
    bce, paper = sampler(loss="bce").fit(images), sampler(protocol="paper").fit(images)
    assert np.array_equal(paper.loss_curve_, bce.loss_curve_)
    assert not np.array_equal(paper.ranking_.order, bce.ranking_.order)
    assert len(paper.ranking_.select(0.2525)) == int(200 * 0.2525)
    assert len(bce.ranking_.select(0.2575)) == round(200 * 0.2575)


def test_training_lowers_the_loss(digits):
    curve = sampler(epochs=20).fit(digits[0]).loss_curve_
    assert curve.shape == (20,)
    assert curve[-1] < curve[0] / 2


def test_an_image_unlike_the_others_scores_highest(digits):
    images = digits[0].copy()
    images[17] = 255 - images[17]
    fitted = sampler(epochs=20).fit(images)
    assert int(np.argmax(fitted.scores_)) == 17
    assert 17 not in fitted.ranking_.select(0.99)


def test_latents_are_those_of_the_encoder(digits):
    images, _ = digits
    fitted = sampler().fit(images)
    latents = fitted.transform(images)
    assert latents.shape == (200, 128)
    assert latents.dtype == np.float32
    assert np.array_equal(fitted.transform(Samples(images)), latents)
    with torch.no_grad():
        expected = fitted.network_.encoder(channels_first(images[5:6])).flatten().numpy()
    assert latents[5] == pytest.approx(expected, abs=1e-4)
    assert sampler(latent_channels=4).fit(images).transform(images).shape == (200, 16)
    copy = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(copy.transform(images), latents)


def test_latents_need_a_fitted_network_and_its_shape(digits):
    with pytest.raises(NotFittedError):
        sampler().transform(digits[0])
    fitted = sampler(epochs=1).fit(digits[0])
    with pytest.raises(InputError, match=r"\(1, 9, 8\).*fitted on \(1, 8, 8\)"):
        fitted.transform(np.zeros((2, 9, 8), dtype=np.uint8))


def test_other_seeds_give_other_scores(digits):
    assert not np.array_equal(
        sampler(random_state=0).fit(digits[0]).scores_,
        sampler(random_state=1).fit(digits[0]).scores_,
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"loss": "msee"}, "did you mean 'mse'"),
        ({"epochs": 0}, "epochs must be a positive integer"),
        ({"training_batch_size": 2.5}, "training_batch_size must be"),
        ({"latent_channels": -1}, "latent_channels must be"),
        ({"learning_rate": float("nan")}, "learning_rate must be"),
        ({"device": "gpu"}, "device must be 'auto', 'cpu' or 'cuda'"),
    ],
)
def test_bad_parameters_are_refused_before_the_data_is_touched(parameters, message):
    with pytest.raises(InputError, match=message):
        sampler(**parameters).fit(object())


def test_small_images_are_refused(digits):
    with pytest.raises(InputError, match="7x9"):
        sampler().fit(np.zeros((3, 7, 9), dtype=np.uint8))


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_divergence_is_named(loss, digits):
    with pytest.raises(InputError, match=r"epoch [12] is nan.*lower learning_rate"):
        sampler(loss=loss, learning_rate=1e30).fit(digits[0])

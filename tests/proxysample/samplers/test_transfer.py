from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from proxysample import InputError, TransferLoss, load_dataset
from proxysample.data import pixel_cache
from proxysample.device import draw_seeds
from proxysample.samplers.networks import ClassificationHead, drop, initialized


class CountingBackbone(nn.Module):
    """Mean pixel and its square, normalised; counts the images it sees, in all its copies."""

    seen = 0

    def __init__(self):
        super().__init__()
        self.normalisation = nn.BatchNorm1d(2)

    def forward(self, images):
        CountingBackbone.seen += len(images)
        mean = images.mean(dim=(1, 2, 3))
        return self.normalisation(torch.stack([mean, mean.square()], dim=1))


@pytest.fixture(scope="module")
def digits():
    train = load_dataset("digits").train
    return train.images[:300], train.targets[:300]


def sampler(**parameters):
    quick = {"epochs": 4, "backbone": nn.Flatten(), "random_state": 0, "device": "cpu"}
    return TransferLoss(**(quick | parameters))


def cross_entropy(logits, labels):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]


def test_the_head_is_the_authors():
    head = ClassificationHead(512, 100)
    kinds = [type(layer) for layer in [*head.hidden, head.output]]
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    shapes = [tuple(weight.shape) for weight in head.parameters()]
    assert shapes == [(256, 512), (256,), (256,), (256,), (100, 256), (100,)]


def test_dropout_keeps_half_and_doubles_it():
    values = torch.full((200, 50), 3.0)
    dropped = drop(values, 0.5, torch.Generator().manual_seed(0))
    kept = dropped != 0
    assert torch.all(dropped[kept] == 6)
    # Five standard deviations of a binomial share of 10,000.
    assert abs(kept.float().mean().item() - 0.5) < 5 * 0.5 / 100
    assert torch.equal(drop(values, 0.5, torch.Generator().manual_seed(0)), dropped)
    assert not torch.equal(drop(values, 0.5, torch.Generator().manual_seed(1)), dropped)


def test_the_head_drops_units_only_when_it_is_told_to():
    head = ClassificationHead(4, 3).eval()
    features = torch.ones(2, 4)
    dropped = head(features, torch.Generator().manual_seed(0))
    assert torch.equal(head(features), head(features))
    assert not torch.equal(dropped[0], dropped[1])


@pytest.mark.parametrize("protocol", ["default", "paper"])
def test_scores_are_cross_entropies_of_the_trained_classifier(protocol, digits):
    images, labels = digits
    names = np.array(list("zyxwvutsrq"))[labels]
    fitted = sampler(protocol=protocol).fit(images, y=names)
    assert fitted.classes_.tolist() == sorted("zyxwvutsrq")
    pixels = torch.from_numpy(np.moveaxis(images, -1, 1).astype(np.float32) / 255)
    assert not fitted.head_.training
    with torch.no_grad():
        logits = fitted.head_(fitted.backbone_(pixels)).double().numpy()
    expected = cross_entropy(logits, 9 - labels)
    assert fitted.scores_ == pytest.approx(expected, rel=1e-4)


def test_training_lowers_the_loss_and_mislabelled_samples_score_highest(digits):
    images, labels = digits[0], digits[1].copy()
    wrong = [3, 50, 111, 200]
    labels[wrong] = (labels[wrong] + 5) % 10
    fitted = sampler(epochs=60).fit(images, y=labels)
    assert fitted.loss_curve_.shape == (60,)
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0] / 2
    assert set(np.argsort(fitted.scores_)[-8:]) >= set(wrong)
    assert not set(fitted.ranking_.select(0.95)) & set(wrong)


def test_the_head_takes_the_authors_steps():
    generator = torch.Generator().manual_seed(3)
    features = torch.rand(6, 5, generator=generator)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    fitted = sampler(epochs=3, training_batch_size=6, learning_rate=0.1).fit(features, y=labels)
    weights_seed, order_seed, dropout_seed = draw_seeds(0, 3)
    head = initialized(lambda: ClassificationHead(5, 3), weights_seed)
    order = torch.Generator().manual_seed(order_seed)
    dropout = torch.Generator().manual_seed(dropout_seed)
    velocities = [torch.zeros_like(weight) for weight in head.parameters()]
    for _ in range(3):
        rows = torch.randperm(6, generator=order)
        log_probability = head(features[rows], dropout).log_softmax(dim=1)
        loss = -log_probability[torch.arange(6), labels[rows]].mean()
        gradients = torch.autograd.grad(loss, list(head.parameters()))
        with torch.no_grad():
            for weight, gradient, velocity in zip(
                head.parameters(), gradients, velocities, strict=True
            ):
                velocity.mul_(0.9).add_(gradient + 3e-4 * weight)
                weight -= 0.1 * velocity
    for ours, expected in zip(fitted.head_.parameters(), head.parameters(), strict=True):
        assert torch.allclose(ours, expected, rtol=1e-5, atol=1e-7)


def test_features_are_computed_once_and_the_backbone_stays_as_it_was(digits):
    backbone = CountingBackbone()
    CountingBackbone.seen = 0
    before = copy.deepcopy(backbone.state_dict())
    fitted = sampler(backbone=backbone).fit(*digits)
    assert CountingBackbone.seen == len(digits[0])
    for state in (backbone.state_dict(), fitted.backbone_.network.state_dict()):
        assert all(torch.equal(state[name], before[name]) for name in before)
    assert backbone.training
    assert not fitted.backbone_.network.training


def test_in_the_paper_protocol_statistics_drift_towards_the_dataset(digits):
    images, labels = digits
    backbone = CountingBackbone()
    fitted = sampler(backbone=backbone, protocol="paper", epochs=30).fit(images, y=labels)
    mean = (images.astype(np.float64) / 255).mean(axis=(1, 2, 3))
    drifted = fitted.backbone_.network.normalisation
    assert drifted.running_mean[0].item() == pytest.approx(mean.mean(), rel=0.05)
    assert drifted.running_var[0].item() == pytest.approx(mean.var(), rel=0.25)
    assert not drifted.training
    assert backbone.normalisation.running_mean.tolist() == [0, 0]
    assert len(fitted.ranking_.select(0.2525)) == int(300 * 0.2525)


def test_statistics_that_cannot_drift_make_both_protocols_one(digits):
    default, paper = (sampler(protocol=p).fit(*digits) for p in ("default", "paper"))
    assert np.array_equal(default.loss_curve_, paper.loss_curve_)
    assert np.array_equal(default.scores_, paper.scores_)


def test_precomputed_features_need_no_backbone(digits):
    images, labels = digits
    features = images.reshape(len(images), -1).astype(np.float32) / 255
    fitted = sampler(backbone="no such model").fit(features, y=labels)
    assert fitted.backbone_ is None
    assert fitted.weights_ is None
    assert np.array_equal(fitted.scores_, sampler().fit(images, y=labels).scores_)
    as_tensor = sampler(backbone="no such model").fit(torch.from_numpy(features), y=labels)
    assert np.array_equal(as_tensor.scores_, fitted.scores_)


def test_a_named_backbone_without_a_network(digits):
    def named(**parameters):
        quick = {"epochs": 1, "random_state": 0, "device": "cpu"}
        return TransferLoss(**(quick | parameters)).fit(*(part[:40] for part in digits))

    default, paper, resized = named(), named(protocol="paper"), named(input_size=16)
    assert default.weights_ == "package"
    assert default.head_.hidden[0].in_features == 1280
    assert default.backbone_.normalises
    assert not paper.backbone_.normalises
    assert not np.array_equal(resized.scores_, default.scores_)


def test_other_seeds_give_other_scores_and_a_fitted_sampler_can_be_pickled(digits):
    fitted = sampler().fit(*digits)
    assert not np.array_equal(sampler(random_state=1).fit(*digits).scores_, fitted.scores_)
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).scores_, fitted.scores_)


def test_kept_sets_follow_difficulty_and_not_class_shares():
    generator = np.random.default_rng(0)
    easy, hard = generator.normal(5, 0.1, (50, 2)), generator.normal(0, 1, (50, 2))
    features = np.concatenate([easy, hard, generator.normal(0, 1, (50, 2))])
    labels = np.repeat([0, 1, 2], 50)
    kept = sampler(epochs=30, learning_rate=0.05).select(features, 1 / 3, y=labels)
    assert np.bincount(labels[kept], minlength=3)[0] >= 48


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"backbone": 18}, "name of a timm model or an nn.Module"),
        ({"weights": "hubb"}, "did you mean 'hub'"),
        ({"input_size": 0}, "input_size must be"),
        ({"epochs": "many"}, "epochs must be"),
        ({"training_batch_size": 1}, "at least 2"),
        ({"learning_rate": -1}, "learning_rate must be"),
        ({"device": "cuda:99"}, "pass 'auto' or 'cpu'"),
    ],
)
def test_bad_parameters_are_refused_before_the_data_is_touched(parameters, message):
    with pytest.raises(InputError, match=message):
        sampler(**parameters).fit(object())


def test_data_that_cannot_be_scored_is_refused(digits):
    images, labels = digits
    with pytest.raises(InputError, match="has no labels"):
        sampler().fit(images)
    with pytest.raises(InputError, match=r"all labels are 'cat'; .* two classes"):
        sampler().fit(images[:5], y=["cat"] * 5)
    with pytest.raises(InputError, match=r"all labels are 0; .* two classes"):
        sampler().fit(_Undecodable(), y=[0, 0])
    with pytest.raises(InputError, match=r"loss of epoch \d is (nan|inf).*lower learning_rate"):
        sampler(learning_rate=1e38).fit(images, y=labels)
    with pytest.raises(InputError, match=r"loss of epoch 1 is nan.*take another network"):
        sampler(backbone=NotFinite()).fit(images, y=labels)
    huge = np.full((4, 3), 3e38, dtype=np.float32)
    with pytest.raises(InputError, match=r"loss of epoch 1 is nan.*scale the features"):
        sampler().fit(huge, y=[0, 1, 0, 1])
    with pytest.raises(InputError, match="did you mean 'resnet18'"):
        sampler(backbone="resnett18").fit(_Undecodable(), y=[0, 0])


class NotFinite(nn.Module):
    def forward(self, images):
        return images.mean(dim=(2, 3)) * torch.nan


class _Undecodable:
    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise AssertionError("decoded before backbone and labels were looked at")


class Hidden:
    """Images whose labels are only in the items; counts how often each is read."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels
        self.n_read = np.zeros(len(images), dtype=int)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.n_read[index] += 1
        return self.images[index], int(self.labels[index])


def test_labels_that_are_only_in_the_items_come_in_the_same_pass(digits):
    images, labels = digits
    dataset = Hidden(images, labels)
    given = {"backbone": nn.Flatten(), "epochs": 2, "random_state": 0}
    scores = TransferLoss(**given).fit(dataset).scores_
    assert np.array_equal(scores, TransferLoss(**given).fit(images, labels).scores_)
    # But for the few that are looked at before, and after for the fingerprint.
    assert np.median(dataset.n_read) == 1


def test_photographs_of_any_size_and_normalised_images_serve(digits):
    _, labels = digits
    generator = np.random.default_rng(0)
    photos = [
        generator.integers(0, 256, (*generator.integers(20, 40, 2), 3), dtype=np.uint8)
        for _ in range(40)
    ]
    small = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
    given = {"backbone": small, "epochs": 2, "random_state": 0}
    chosen = TransferLoss(**given, input_size=16).select(photos, 0.5, y=labels[:40])
    assert len(chosen) == 20
    normalised = generator.standard_normal((40, 8, 8, 3))
    assert len(TransferLoss(**given).select(normalised, 0.5, y=labels[:40])) == 20


def test_features_of_many_samples_are_kept_on_a_disk(monkeypatch, tmp_path, digits):
    expected = sampler().fit(*digits).scores_
    monkeypatch.setattr(pixel_cache, "BYTES_IN_MEMORY", 1_000)
    made = []
    write = pixel_cache.CachedPixels.write
    monkeypatch.setattr(
        pixel_cache.CachedPixels, "write", lambda *given: made.append(given) or write(*given)
    )
    assert np.array_equal(sampler(cache=tmp_path).fit(*digits).scores_, expected)
    assert sum(len(rows) for _, _, rows in made) == 300
    assert list(tmp_path.iterdir()) == []
    assert np.array_equal(sampler(cache=False).fit(*digits).scores_, expected)

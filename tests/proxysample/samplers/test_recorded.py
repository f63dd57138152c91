"""Samplers by training dynamics: of records, and of trainings that they record themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from proxysample import InputError, create_sampler, embed, mislabelled
from proxysample.dynamics import SCORES, DynamicsRecorder, from_arrays
from proxysample.dynamics.scores import easy_first
from proxysample.registry import sampler_class
from proxysample.samplers import AUM, EL2N, DynamicsSampler
from proxysample.samplers.self_recording import stratified_folds
from proxysample.testing import check_sampler, small_digits

every_score = pytest.mark.parametrize("name", SCORES)
QUICK = {"features": "pixels", "epochs": 4, "random_state": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def digits():
    return small_digits(200)


@pytest.fixture(scope="module")
def recorder(digits):
    """Of a planted training, with held-out samples."""
    generator = np.random.default_rng(0)
    labels = np.asarray(digits.targets)
    recorder = DynamicsRecorder(200, 10)
    ease = generator.random(200)
    for epoch in range(12):
        logits = generator.standard_normal((200, 10))
        logits[np.arange(200), labels] += ease * epoch
        recorder.record(np.arange(200), logits, labels, features=np.ones((200, 2)))
        recorder.record_held_out(logits[:50], labels[:50])
        recorder.end_epoch()
    return recorder


def path_of(recorder, tmp_path):
    recorder.save(tmp_path / "record.npz")
    return tmp_path / "record.npz"


@every_score
def test_a_record_is_read_from_wherever_it_is(name, recorder, digits, tmp_path):
    expected = easy_first(name, recorder.dynamics)
    path = path_of(recorder, tmp_path)
    for record in (recorder, recorder.dynamics, path, str(path)):
        sampler = create_sampler(name, record=record).fit(digits)
        np.testing.assert_array_equal(sampler.scores_, expected)
        again = create_sampler(name, record=sampler.record_).fit(digits)
        np.testing.assert_array_equal(again.scores_, expected)


@every_score
def test_samplers_of_a_record_keep_the_promises_of_the_library(name, digits):
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((4, 60, 10)).cumsum(axis=0)
    recorder = DynamicsRecorder(60, 10)
    labels = np.asarray(digits.targets[:60])
    for epoch in logits:
        recorder.record(np.arange(60), epoch, labels, features=np.ones((60, 2)))
        recorder.record_held_out(epoch, labels)
        recorder.end_epoch()
    check_sampler(create_sampler(name, record=recorder), small_digits(60))


@every_score
def test_each_keeps_the_end_that_its_authors_keep_and_keep_says_otherwise(name, recorder, digits):
    known = SCORES[name]
    values = recorder.scores(name)
    sampler = create_sampler(name, record=recorder)
    wanted = {"easy": -1 if known.hard == "high" else 1, "hard": 1 if known.hard == "high" else -1}
    # What dual keeps by default is drawn.
    for keep in ("easy", "hard") if name == "dual" else (None, "easy", "hard"):
        kept = sampler.set_params(keep=keep).select(digits, 0.25)
        dropped = np.setdiff1d(np.arange(200), kept)
        sign = wanted[keep or known.keeps]
        assert (sign * values[kept]).min() >= (sign * values[dropped]).max(), keep
    assert sampler_class(name).natural == ("high" if known.keeps == "hard" else "low")


def test_the_natural_ends():
    ends = {name: known.keeps for name, known in SCORES.items()}
    assert [name for name, end in ends.items() if end == "easy"] == [
        *("aum", "aum-p", "confidence", "csl", "learning-speed", "first-learned", "cld")
    ]
    # A low margin and a low correlation are hard; of the rest that are kept high, high is hard.
    assert [name for name, known in SCORES.items() if known.hard == "low"] == [
        *("aum", "aum-p", "margin", "confidence", "learning-speed", "cld")
    ]


def test_nothing_of_the_dataset_is_read_with_a_record(recorder):
    sampler = create_sampler("dual", record=recorder)
    assert (sampler.reads, sampler.needs_labels) == ("dynamics", False)
    assert len(sampler.select(np.zeros((200, 1)), 0.1)) == 20
    with pytest.raises(InputError, match="record is of 200 samples, and the dataset has 100"):
        sampler.select(np.zeros((100, 1)), 0.1)
    with pytest.raises(InputError, match="labels"):
        sampler.set_params(per_class=True).select(np.zeros((200, 1)), 0.1)


def test_classes_keep_their_shares_where_that_is_asked_for(recorder, digits):
    sampler = create_sampler("aum", record=recorder, per_class=True)
    check_sampler(sampler, digits)


def test_what_a_sampler_reads():
    assert AUM().reads == "features"
    assert AUM(features="pixels").reads == "pixels"
    assert AUM(features=np.zeros((3, 2))).reads == "labels"
    assert AUM(network="small").reads == "pixels"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"record": 3}, "record must be a file"),
        ({"record": "missing.npz"}, "no such file"),
        ({"options": {"epoch": 3}}, "unknown option of the score 'aum'"),
        ({"options": 3}, "options must be"),
        ({"network": "big"}, "network must be 'head', 'small' or an nn.Module"),
        ({"network": None}, "network must be"),
        ({"network": "small", "features": "pixels"}, "features are for network='head'"),
        ({"features": np.zeros(3)}, r"needed: \(n, d\)"),
        ({"folds": 1}, "folds must be an integer of at least 2"),
        ({"folds": 201, "features": "pixels"}, "folds=201 for 200 samples"),
        ({"epochs": 0}, "epochs must be"),
        ({"training_batch_size": 1}, "training_batch_size must be"),
        ({"learning_rate": 0}, "learning_rate must be"),
        ({"per_class": None}, "per_class must be"),
        ({"keep": "best"}, "unknown rule"),
        ({"keep": 3}, "unknown rule"),
    ],
)
def test_parameters_are_checked(parameters, words, digits):
    with pytest.raises(InputError, match=words):
        AUM(**parameters).select(digits, 0.5)


def test_too_few_epochs_for_a_score_are_told_before_the_training(digits):
    with pytest.raises(InputError, match="epochs=2; tdds needs 3 or more"):
        create_sampler("tdds", epochs=2).check_parameters()


def test_one_class_is_told_before_any_work():
    class Unreadable:
        targets = (1, 1, 1)

        def __len__(self):
            return 3

        def __getitem__(self, index):
            return np.zeros((8, 8, 1), dtype=np.uint8), 1

    with pytest.raises(InputError, match="all labels are 1; a classifier needs two"):
        AUM().select(Unreadable(), 0.5)


def test_a_head_on_features_learns_and_one_record_serves_all(digits):
    sampler = EL2N(features="pixels", random_state=0, epochs=20, device="cpu").fit(digits)
    right = sampler.record_.dynamics.measures["right"].mean(axis=1)
    assert right[-1] > 0.97 > right[0]
    assert sampler.record_.protocol == "train"
    for name in set(SCORES) - {"cld"}:
        found = create_sampler(name, record=sampler.record_).fit(digits)
        if name not in ("el2n", "grand"):
            own = create_sampler(name, **(QUICK | {"epochs": 20})).fit(digits)
            np.testing.assert_array_equal(found.scores_, own.scores_, err_msg=name)
    with pytest.raises(InputError, match="record_held_out"):
        create_sampler("cld", record=sampler.record_).fit(digits)


def test_grand_is_the_gradient_of_the_loss_by_a_linear_heads_weights():
    torch.manual_seed(0)
    head = nn.Linear(5, 3)
    features, labels = torch.randn(8, 5), torch.randint(3, (8,))
    recorder = DynamicsRecorder(8, 3)
    for _ in range(2):
        logits = head(features)
        recorder.record(torch.arange(8), logits, labels, features=features)
        recorder.end_epoch()
    expected = []
    for row in range(8):
        loss = nn.functional.cross_entropy(head(features[row]), labels[row])
        gradients = torch.autograd.grad(loss, list(head.parameters()))
        expected.append(float(torch.cat([one.flatten() for one in gradients]).norm()))
    np.testing.assert_allclose(recorder.scores("grand"), expected, rtol=1e-5)
    with pytest.raises(InputError, match="too early"):
        recorder.scores("grand", epoch=0)


def test_features_of_any_kind(digits, tmp_path):
    vectors = digits.images.reshape(200, -1).astype(np.float32)
    expected = AUM(**(QUICK | {"features": vectors})).fit(digits).scores_
    held = AUM(**(QUICK | {"features": None})).fit(vectors, digits.targets).record_
    assert held.n_epochs == 4
    embed(digits, backbone=nn.Flatten(), folder=tmp_path / "kept")
    kept = AUM(**(QUICK | {"features": f"embed:{tmp_path / 'kept'}"})).fit(digits)
    # The same up to a factor, which the head's inputs are free of.
    np.testing.assert_allclose(kept.scores_, expected, rtol=1e-2, atol=1e-2)


def test_features_beyond_the_cache_are_read_as_they_are_used(digits, monkeypatch):
    vectors = np.random.default_rng(0).standard_normal((200, 6)).astype(np.float32)
    expected = AUM(**(QUICK | {"features": vectors})).fit(digits).scores_
    monkeypatch.setattr("proxysample.samplers.self_recording.CACHED_BYTES", 0)
    found = AUM(**(QUICK | {"features": vectors})).fit(digits).scores_
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["aum", "grand", "cld"])
def test_a_small_network_on_the_pixels(name):
    sampler = create_sampler(
        name, network="small", epochs=3, training_batch_size=32, random_state=0, device="cpu"
    )
    check_sampler(sampler, small_digits(60))


class Own(nn.Module):
    """A network of one's own: with dropout, and what else it likes."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 10))

    def forward(self, images):
        return self.body(images)


def test_a_network_of_ones_own_is_copied_and_leaves_the_generators_alone(digits):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = Own()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    settings = {"network": network, "epochs": 3, "random_state": 0, "device": "cpu"}
    check_sampler(AUM(**settings), small_digits(60))
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    assert clone(AUM(**settings)).network is network
    sampler = create_sampler("grand", **settings).fit(digits)
    assert np.isfinite(sampler.scores_).all()


class NoLinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 10, 8)

    def forward(self, images):
        return self.convolution(images).flatten(1)


def test_a_network_without_a_linear_layer_has_all_scores_but_grand(digits):
    settings = {"network": NoLinear(), "epochs": 3, "random_state": 0, "device": "cpu"}
    assert np.isfinite(AUM(**settings).fit(digits).scores_).all()
    with pytest.raises(InputError, match="what goes into the last layer"):
        create_sampler("grand", **settings).fit(digits)


def test_folds_score_each_sample_by_networks_that_had_no_part_in_it(digits):
    labels = np.asarray(digits.targets).copy()
    sampler = AUM(**(QUICK | {"epochs": 15}), folds=4).fit(digits.images, labels)
    assert sampler.record_.protocol == "eval"
    # A wrong label of one sample is learned by heart by whoever sees it, and by no other.
    wrong = labels.copy()
    wrong[3] = (labels[3] + 1) % 10
    seen = AUM(**(QUICK | {"epochs": 15})).fit(digits.images, wrong)
    unseen = AUM(**(QUICK | {"epochs": 15}), folds=4).fit(digits.images, wrong)
    last = [one.record_.dynamics.measures["margin"][-1][3] for one in (seen, unseen)]
    assert last[1] < last[0] - 1
    check_sampler(AUM(**QUICK, folds=3), small_digits(60))


def test_folds_are_dealt_within_classes():
    codes = np.array([0] * 10 + [1] * 5 + [2] * 7)
    folds = stratified_folds(codes, 5, seed=0)
    assert np.ptp(np.bincount(folds)) <= 1
    for code in range(3):
        assert np.ptp(np.bincount(folds[codes == code], minlength=5)) <= 1
    assert not np.array_equal(folds, stratified_folds(codes, 5, seed=1))


def test_wrong_labels_are_found_on_the_digits():
    digits = small_digits(600)
    labels = np.asarray(digits.targets)
    generator = np.random.default_rng(0)
    wrong = generator.choice(600, 60, replace=False)
    noisy = labels.copy()
    noisy[wrong] = (labels[wrong] + generator.integers(1, 10, 60)) % 10
    settings = {"features": "pixels", "random_state": 0, "device": "cpu"}
    seen = AUM(**settings).fit(digits.images, noisy)
    unseen = AUM(**settings, folds=5).fit(digits.images, noisy)
    suspects = mislabelled(seen, unseen)
    found = np.isin(suspects.indices, wrong)
    assert found.mean() > 0.7
    assert found.sum() / 60 > 0.9
    # The likeliest first, and what they should have been.
    assert found[:30].mean() > found.mean()
    assert (suspects.suggested == labels[suspects.indices])[found].mean() > 0.85
    assert suspects.labels.tolist() == noisy[suspects.indices].tolist()
    frame = suspects.to_frame()
    assert list(frame.columns) == ["label", "suggested", "margin"]
    assert len(frame) == len(suspects)


def test_suspects_of_records_that_do_not_fit_are_refused(recorder, tmp_path):
    other = from_arrays(np.zeros((1, 200, 10)), np.zeros(200, dtype=int))
    with pytest.raises(InputError, match="same samples and labels"):
        mislabelled(recorder, other)
    for given in (3, AUM()):
        with pytest.raises(InputError, match="a record is"):
            mislabelled(given)
    expected = mislabelled(recorder)
    assert expected.indices.tolist() == mislabelled(path_of(recorder, tmp_path)).indices.tolist()
    assert np.all(np.diff(recorder.scores("aum")[expected.indices]) >= 0)
    assert mislabelled(other).indices.tolist() == []


def test_a_diverged_training_names_the_fix(digits):
    with pytest.raises(InputError, match=r"lower learning_rate|not finite"):
        AUM(**QUICK, learning_rate=1e30).fit(digits)


def test_ones_own_score_is_a_subclass(recorder, digits):
    class Later(DynamicsSampler):
        id = "el2n-later"
        score = "el2n"

    sampler = Later(record=recorder, options={"epoch": 9}).fit(digits)
    np.testing.assert_array_equal(sampler.scores_, recorder.scores("el2n", epoch=9))
    assert Later.natural == "high"


def test_a_record_of_another_order_or_dataset_is_refused(recorder, digits):
    labels = np.asarray(digits.targets)
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((2, 200, 10))
    shuffled = from_arrays(logits, generator.permutation(labels))
    with pytest.raises(InputError, match="not in its order: samples"):
        create_sampler("aum", record=shuffled).fit(digits)
    # Two classes in one differ, too.
    with pytest.raises(InputError, match="the record is not of this dataset"):
        create_sampler("aum", record=from_arrays(logits, labels // 2)).fit(digits)
    with pytest.raises(InputError, match="the record is not of this dataset"):
        create_sampler("aum", record=recorder).fit(digits, y=labels // 2)
    # However classes are numbered or named, they are the same.
    create_sampler("aum", record=from_arrays(logits, 9 - labels)).fit(digits)
    create_sampler("aum", record=recorder).fit(digits, y=[f"class {one}" for one in labels])
    # A dataset without labels has none to be compared.
    create_sampler("aum", record=recorder).fit(digits.images)

"""The recorder: any loop, any kind of outputs, gaps and repeats, ranks, files and checkpoints."""

from __future__ import annotations

import io
import json
import pickle
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from proxysample import InputError
from proxysample.dynamics import (
    Dynamics,
    DynamicsRecorder,
    RepeatedSamplesWarning,
    pending,
    with_indices,
)
from proxysample.dynamics.scores import SCORES

from ...real_gpu import count_waits
from ...simulated_gpu import simulated_gpu
from ...user_modes import state, user_modes

N, C, EPOCHS = 23, 4, 5


def planted(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.standard_normal((EPOCHS, N, C)) * 2, generator.integers(C, size=N)


def softmax(logits):
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def recorded(logits, labels, batch=7, seed=0, **settings) -> DynamicsRecorder:
    recorder = DynamicsRecorder(N, C, **settings)
    generator = np.random.default_rng(seed)
    for epoch in logits:
        for rows in np.array_split(generator.permutation(N), N // batch):
            recorder.record(rows, epoch[rows], labels[rows], features=np.ones((len(rows), 3)))
        recorder.record_held_out(epoch[:9], np.arange(9) % C)
        recorder.end_epoch()
    return recorder


def test_measures_are_those_of_the_definitions():
    logits, labels = planted()
    measures = recorded(logits, labels).dynamics.measures
    p = softmax(logits)
    own = np.arange(N), labels
    p_true = np.array([epoch[own] for epoch in p])
    others = p.copy()
    others[:, own[0], own[1]] = -1
    other_logits = logits.copy()
    other_logits[:, own[0], own[1]] = -np.inf
    in_order = np.sort(p, axis=-1)
    one_hot = np.eye(C)[labels]
    expected = {
        "p_true": p_true,
        "right": logits.argmax(axis=-1) == labels,
        "loss": -np.log(p_true),
        "margin": np.array([epoch[own] for epoch in logits]) - other_logits.max(axis=-1),
        "probability_margin": p_true - others.max(axis=-1),
        "error": np.linalg.norm(p - one_hot, axis=-1),
        "entropy": -(p * np.log(p)).sum(axis=-1),
        "top_margin": in_order[..., -1] - in_order[..., -2],
        "uncertainty": 1 - p.max(axis=-1),
        "gradient": np.linalg.norm(p - one_hot, axis=-1) * 2,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(measures[name], values, rtol=1e-5, atol=1e-6, err_msg=name)
    moved = np.abs(p[1:] * (np.log(p[1:] + 1e-8) - np.log(p[:-1] + 1e-8))).sum(axis=-1)
    np.testing.assert_allclose(measures["change"][1:], moved, rtol=1e-4)


def test_order_and_batches_of_an_epoch_change_nothing():
    logits, labels = planted()
    first, second = recorded(logits, labels), recorded(logits, labels, batch=3, seed=1)
    for name in SCORES:
        np.testing.assert_array_equal(first.scores(name), second.scores(name), err_msg=name)


@pytest.mark.parametrize(
    "convert",
    [
        lambda values: values.tolist(),
        lambda values: values.astype(np.float32),
        torch.from_numpy,
        lambda values: torch.from_numpy(values).float().requires_grad_(),
        lambda values: torch.from_numpy(values).bfloat16(),
        lambda values: torch.from_numpy(values).half(),
    ],
    ids=["lists", "float32", "float64 tensor", "with gradient", "bfloat16", "float16"],
)
def test_outputs_of_any_type(convert):
    logits, labels = planted()
    exact = np.asarray(torch.from_numpy(logits).bfloat16().double())
    exact = np.asarray(torch.from_numpy(exact).half().double())
    recorder = DynamicsRecorder(N, C)
    for epoch in exact:
        recorder.record(torch.arange(N), convert(epoch), torch.from_numpy(labels))
        recorder.end_epoch()
    expected = recorded(exact, labels)
    np.testing.assert_allclose(recorder.scores("aum"), expected.scores("aum"), rtol=1e-6)


def test_recorded_outputs_are_copies():
    outputs, indices, labels = torch.tensor([[1.0, 0.0]]), torch.tensor([0]), torch.tensor([0])
    recorder = DynamicsRecorder(1, 2)
    recorder.record(indices, outputs, labels)
    outputs.zero_()
    labels.fill_(1)
    recorder.end_epoch()
    assert recorder.scores("aum").tolist() == [1.0]


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_one_logit_of_two_classes(shape):
    recorder = DynamicsRecorder(3, 2)
    recorder.record([0, 1, 2], torch.tensor([2.0, -1.0, 0.5]).reshape(shape), [1, 1, 0])
    recorder.end_epoch()
    assert recorder.scores("aum").tolist() == [2.0, -1.0, -0.5]
    floats = DynamicsRecorder(3, 2, kind="probabilities")
    p = torch.sigmoid(torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)).reshape(shape)
    floats.record([0, 1, 2], p, torch.tensor([1.0, 1.0, 0.0]).reshape(shape))
    floats.end_epoch()
    np.testing.assert_allclose(floats.scores("aum"), [2.0, -1.0, -0.5], rtol=1e-6)


def test_a_loader_with_workers_gives_indices():
    data = TensorDataset(torch.arange(20.0)[:, None], torch.arange(20) % 2)
    loader = DataLoader(with_indices(data), batch_size=6, shuffle=True, num_workers=2)
    seen = {}
    for indices, (values, labels) in loader:
        for index, value, label in zip(indices, values[:, 0], labels, strict=True):
            seen[int(index)] = float(value), int(label)
    assert seen == {index: (float(index), index % 2) for index in range(20)}
    assert with_indices([5, 6])[-1] == (1, 6)
    with pytest.raises(IndexError):
        with_indices([5, 6])[2]


def test_gaps_are_named():
    logits, labels = planted()
    recorder = DynamicsRecorder(N, C)
    with pytest.raises(InputError, match="nothing was recorded"):
        recorder.end_epoch()
    recorder.record(np.arange(15), logits[0][:15], labels[:15])
    with pytest.raises(InputError, match=r"epoch 0 did not present 8 of 23 .*15, 16, 17, 18, 19, "):
        recorder.end_epoch()
    with pytest.raises(InputError, match=r"call end_epoch\(\)"):
        recorder.scores("aum")
    # What was recorded is still there.
    recorder.record(np.arange(15, N), logits[0][15:], labels[15:])
    recorder.end_epoch()
    assert recorder.n_epochs == 1


def test_repeats_are_told_once_and_count_by_their_mean():
    recorder = DynamicsRecorder(2, 2)

    def run_epoch():
        recorder.record([0, 1, 1], [[1.0, 0.0], [0.0, 1.0], [0.0, 4.0]], [0, 1, 1])
        recorder.end_epoch()

    with pytest.warns(RepeatedSamplesWarning, match=r"1 of 2 samples more than once \(1\)"):
        run_epoch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_epoch()
    assert recorder.repeats == [1, 1]
    assert recorder.scores("aum").tolist() == [1.0, 2.5]
    assert recorder.dynamics.measures["p_true"][0, 1] == pytest.approx(
        (1 / (1 + np.exp(-1)) + 1 / (1 + np.exp(-4))) / 2
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: r.record([0], [[1.0, 2.0, 3.0]], [0]), r"shape \(1, 3\); needed: \(rows, 4\)"),
        (lambda r: r.record([0, 1], [[1.0] * 4], [0]), r"indices have shape \(2,\) for 1 rows"),
        (lambda r: r.record([0], [[1.0] * 4], [[0.1, 0.9]]), "one-hot labels have to be class"),
        (lambda r: r.record([0.5], [[1.0] * 4], [0]), "indices must be integers"),
        (lambda r: r.record([23], [[1.0] * 4], [0]), "index 23 was recorded, and there are 23"),
        (lambda r: r.record([-1], [[1.0] * 4], [0]), "index -1"),
        (lambda r: r.record([0], [[1, 2, 3, 4]], [0]), "must be floating-point numbers"),
        (lambda r: r.record(["a"], [[1.0] * 4], [0]), "indices must be integers"),
        (lambda r: r.record([0], "abc", [0]), "outputs must be numbers"),
        (lambda r: r.record([7], [[1.0] * 4], [4]), "label of sample 7 is none of 0 to 3"),
        (lambda r: r.record([7], [[1.0] * 4], [-1]), "label of sample 7 is none of 0 to 3"),
        (lambda r: r.record([7], [[1.0] * 4], [0.5]), "label of sample 7 is none of 0 to 3"),
        (lambda r: r.record([7], [[np.nan] * 4], [0]), "outputs of sample 7 are not finite"),
        (lambda r: r.record([7], [[0.1, 0.2, 0.3, 0.4]], [0]), "said to be logits"),
    ],
)
def test_what_is_no_batch_is_refused(call, words):
    recorder = DynamicsRecorder(N, C, partial=True)

    def record():
        call(recorder)
        recorder.end_epoch()

    with pytest.raises(InputError, match=words):
        record()


def test_logits_that_are_called_probabilities_are_refused():
    recorder = DynamicsRecorder(N, C, kind="probabilities", partial=True)
    recorder.record([3], [[1.0, -2.0, 0.5, 0.0]], [0])
    with pytest.raises(InputError, match="sample 3 are no probabilities"):
        recorder.end_epoch()


def test_indices_that_are_not_those_of_the_dataset_show_by_labels():
    logits, labels = planted()
    recorder = recorded(logits[:1], labels)
    recorder.record(np.arange(N), logits[1], np.roll(labels, 1))
    with pytest.raises(InputError, match=r"the label of sample \d+ was \d and is \d: indices"):
        recorder.end_epoch()


@pytest.mark.parametrize(
    "settings",
    [{"n_samples": 0}, {"n_classes": 1}, {"kind": "scores"}, {"protocol": "both"}, {"partial": 1}],
)
def test_settings_are_checked(settings):
    with pytest.raises(InputError):
        DynamicsRecorder(**{"n_samples": 3, "n_classes": 2} | settings)


def test_ranks_merge_by_index_and_a_padded_sample_counts_once():
    logits, labels = planted()
    parts = [DynamicsRecorder(N, C, partial=True) for _ in range(3)]
    for number, epoch in enumerate(logits):
        order = np.random.default_rng(number).permutation(N)
        padded = np.concatenate([order, order[:1]])
        for rank, part in enumerate(parts):
            rows = padded[rank::3]
            values = epoch[rows].copy()
            if rank == 23 % 3:
                # The padding: the same sample in another state of the network.
                values[-1] += 9 * np.arange(C)
            part.record(rows, values, labels[rows])
            part.end_epoch()
    with pytest.raises(InputError, match="merge the parts of all ranks"):
        parts[0].scores("aum")
    found = DynamicsRecorder.merge(parts)
    expected = recorded(logits, labels)
    for name in set(SCORES) - {"tdds", "grand", "cld"}:
        np.testing.assert_array_equal(found.scores(name), expected.scores(name), err_msg=name)
    assert found.repeats == [1] * EPOCHS
    with pytest.raises(InputError, match="same samples"):
        found.scores("tdds")
    with pytest.raises(InputError, match="did not present"):
        DynamicsRecorder.merge(parts[:2])
    with pytest.raises(InputError, match="no parts"):
        DynamicsRecorder.merge([])
    with pytest.raises(InputError, match="part 1 has n_epochs=0, and the first 5"):
        DynamicsRecorder.merge([parts[0], DynamicsRecorder(N, C, partial=True)])


def test_ranks_of_fixed_parts_have_every_score():
    logits, labels = planted()
    parts = [DynamicsRecorder(N, C, partial=True) for _ in range(2)]
    for epoch in logits:
        for rank, part in enumerate(parts):
            rows = np.arange(rank, N, 2)
            part.record(rows, epoch[rows], labels[rows])
            part.record_held_out(epoch[:9][rank::2], (np.arange(9) % C)[rank::2])
            part.end_epoch()
    found, expected = DynamicsRecorder.merge(parts), recorded(logits, labels)
    for name in ("tdds", "cld"):
        np.testing.assert_allclose(found.scores(name), expected.scores(name), rtol=1e-6)


def all_scores(recorder: DynamicsRecorder) -> dict[str, list[float]]:
    return {name: recorder.scores(name).tolist() for name in SCORES}


def resumed_in_the_middle(logits, labels, through) -> DynamicsRecorder:
    recorder = recorded(logits[:2], labels)
    half = np.arange(N) < 11
    for part in (half, ~half):
        rows = np.flatnonzero(part)
        recorder.record(rows, logits[2][rows], labels[rows], features=np.ones((len(rows), 3)))
        recorder = through(recorder)
    recorder.record_held_out(logits[2][:9], np.arange(9) % C)
    recorder.end_epoch()
    for epoch in logits[3:]:
        recorder.record(np.arange(N), epoch, labels, features=np.ones((N, 3)))
        recorder.record_held_out(epoch[:9], np.arange(9) % C)
        recorder.end_epoch()
    return recorder


def test_a_file_resumes_in_the_middle_of_an_epoch(tmp_path):
    logits, labels = planted()

    def through(recorder):
        recorder.save(tmp_path / "record.npz")
        return DynamicsRecorder.load(tmp_path / "record.npz")

    found = through(resumed_in_the_middle(logits, labels, through))
    assert all_scores(found) == all_scores(recorded(logits, labels))
    assert [file.name for file in tmp_path.iterdir()] == ["record.npz"]


def test_a_checkpoint_resumes_in_the_middle_of_an_epoch():
    logits, labels = planted()

    def through(recorder):
        stream = io.BytesIO()
        torch.save({"recorder": recorder.state_dict()}, stream)
        stream.seek(0)
        fresh = DynamicsRecorder(N, C)
        fresh.load_state_dict(torch.load(stream, weights_only=True)["recorder"])
        return fresh

    found = resumed_in_the_middle(logits, labels, through)
    assert all_scores(found) == all_scores(recorded(logits, labels))


def test_a_new_recorder_is_saved_and_a_state_of_another_is_refused(tmp_path):
    fresh = DynamicsRecorder(3, 2, changes=False)
    fresh.save(tmp_path / "a.npz")
    assert DynamicsRecorder.load(tmp_path / "a.npz").n_epochs == 0
    with pytest.raises(InputError, match="n_samples=3"):
        DynamicsRecorder(4, 2, changes=False).load_state_dict(fresh.state_dict())
    with pytest.raises(InputError, match="changes=False"):
        DynamicsRecorder(3, 2).load_state_dict(fresh.state_dict())
    for damaged in ({}, {"header": 3}, [], {"header": "{"}, {"header": "{}"}):
        with pytest.raises(InputError, match="state of the recorder"):
            fresh.load_state_dict(damaged)
    with pytest.raises(InputError, match=r"\.npz"):
        fresh.save(tmp_path / "a.npy")
    with pytest.raises(InputError, match="no epoch was recorded"):
        fresh.scores("aum")


@pytest.fixture
def saved(tmp_path):
    logits, labels = planted()
    path = tmp_path / "record.npz"
    recorded(logits, labels).save(path)
    with np.load(path) as arrays:
        return path, dict(arrays)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("labels", lambda array: array + 4),
        ("labels", lambda array: array - 3),
        ("labels", lambda array: array[:-1]),
        ("labels", lambda array: array.astype(float)),
        ("epochs_p_true", lambda array: array + 1),
        ("epochs_p_true", lambda array: np.where(array > 0.2, array, np.nan)),
        ("epochs_loss", lambda array: array * np.inf),
        ("epochs_loss", lambda array: np.where(array > 0.2, array, np.nan)),
        ("epochs_right", lambda array: array.astype(float)),
        ("epochs_margin", lambda array: array[:-1]),
        ("epochs_error", lambda array: None),
        ("before", lambda array: array[:, :-1]),
        ("before", lambda array: array - 1),
        ("held_out", lambda array: -array),
        ("held_out_sums", lambda array: None),
        ("header", lambda array: None),
        ("header", lambda array: np.array("[" * 100_000)),
        ("header", lambda array: np.array(str(array).replace("-1", "-9"))),
        (
            "header",
            lambda array: np.array(str(array).replace('"n_samples": 23', '"n_samples": 1e9')),
        ),
        ("header", lambda array: np.array(str(array).replace("23", str(10**12)))),
        ("header", lambda array: np.array(str(array).replace('"n_classes": 4', '"n_classes": 99'))),
        ("header", lambda array: np.array(str(array).replace("logits", "scores"))),
    ],
)
def test_hostile_files_are_refused(saved, name, change):
    path, arrays = saved
    changed = change(arrays[name])
    if changed is None:
        del arrays[name]
    else:
        arrays[name] = changed
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=r"record\.npz"):
        DynamicsRecorder.load(path)


def test_files_of_python_objects_are_refused(saved):
    path, arrays = saved
    np.savez(path, **(arrays | {"labels": np.array([print] * N, dtype=object)}))
    with pytest.raises(InputError, match="Python objects"):
        DynamicsRecorder.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"no \.npz file"):
        DynamicsRecorder.load(path)
    with pytest.raises(InputError, match="no such file"):
        DynamicsRecorder.load(path.parent / "other.npz")
    assert json.loads(str(arrays["header"]))["format"] == "proxysample-dynamics-1"


def test_an_error_leaves_gradients_as_the_user_has_them():
    recorder = DynamicsRecorder(4, 2)
    recorder.record(torch.arange(4), torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]))
    recorder.end_epoch()
    recorder.record(torch.arange(4), torch.zeros(4, 2), torch.tensor([1, 1, 0, 1]))
    with torch.no_grad():
        with pytest.raises(InputError, match="the label of sample 0 was 0 and is 1"):
            recorder.end_epoch()
        assert not torch.is_grad_enabled()


@pytest.mark.parametrize("mode", list(user_modes()))
def test_a_loop_in_any_mode_of_a_users_records_the_same(mode):
    logits, labels = planted()
    # Far apart, so that probabilities underflow.
    logits = (logits * 60).astype(np.float32)
    expected = recorded(logits, labels)
    with user_modes()[mode]:
        before = state()
        found = recorded(torch.from_numpy(logits), labels)
        scores = all_scores(found)
        assert state() == before
    assert scores == all_scores(expected)


@pytest.mark.parametrize("room", [1 << 27, 64])
@pytest.mark.parametrize(
    "gpu",
    [
        simulated_gpu,
        pytest.param(
            nullcontext,
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
        ),
    ],
)
def test_a_gpu_is_waited_for_at_the_end_of_an_epoch_alone(gpu, room, monkeypatch):
    """Where it has room; some samples come twice, some from the host, and a checkpoint goes on."""
    monkeypatch.setattr(pending, "BYTES_ON_DEVICE", room)
    monkeypatch.setattr(pending, "BYTES_WAITING", 200)
    logits, labels = planted()
    rows = np.random.default_rng(0).permutation(N)
    batches = [rows[:8], rows[8:16], np.append(rows[16:], rows[:2])]

    def record(device: str, waits: Callable[[Callable[[], None]], int]) -> Dynamics:
        recorder = DynamicsRecorder(N, C)
        for number, epoch in enumerate(logits[:4]):
            for some in batches:
                place = "cpu" if number == 1 and some is batches[1] else device
                on_device = [torch.from_numpy(of[some]).to(place) for of in (epoch, labels)]
                n_waits = waits(partial(recorder.record, some, *on_device))
                assert not n_waits or place == "cpu" or room == 64
            if number == 2:
                state = recorder.state_dict()
                recorder = DynamicsRecorder(N, C)
                recorder.load_state_dict(state)
            recorder.end_epoch()
        return pickle.loads(pickle.dumps(recorder)).dynamics

    def crossed(run: Callable[[], None]) -> int:
        n_before = len(crossings)
        run()
        return len(crossings) - n_before

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RepeatedSamplesWarning)
        crossings: list = []
        expected = record("cpu", crossed)
        with gpu() as seen:
            if seen is None:
                found = record("cuda:0", lambda run: count_waits(run)[1])
            else:
                crossings = seen.crossings
                found = record("cuda:0", crossed)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-6)
    for name, values in expected.measures.items():
        np.testing.assert_allclose(found.measures[name], values, rtol=1e-5, atol=1e-6)


def test_an_epoch_can_be_discarded():
    logits, labels = planted()
    recorder, expected = recorded(logits[:2], labels), recorded(logits[:2], labels)
    assert not recorder.is_open
    recorder.record(np.arange(9), logits[2][:9], labels[:9])
    assert recorder.is_open
    recorder.discard_epoch()
    assert not recorder.is_open
    np.testing.assert_array_equal(recorder.scores("aum"), expected.scores("aum"))


RANK = """
import sys
import numpy as np, torch
from torch import distributed
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset
from proxysample.dynamics import DynamicsRecorder, with_indices

rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group(
    "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
)
generator = torch.Generator().manual_seed(0)
x, y = torch.randn(23, 4, generator=generator), torch.randint(4, (23,), generator=generator)
data = with_indices(TensorDataset(x, y))
sampler = DistributedSampler(data, shuffle=True, seed=0)
assert len(sampler) == 12
recorder = DynamicsRecorder(23, 4, partial=True)
for epoch in range(3):
    sampler.set_epoch(epoch)
    for indices, (images, labels) in DataLoader(data, batch_size=5, sampler=sampler):
        recorder.record(indices, images * (epoch + 1), labels)
    recorder.end_epoch()
recorder.save(f"{folder}/record-{rank}.npz")
distributed.destroy_process_group()
"""


def test_ranks_of_a_distributed_training_merge_to_the_record_of_one_process(forked, tmp_path):
    ranks = [forked(RANK, str(rank), str(tmp_path)) for rank in range(2)]
    for rank in ranks:
        assert rank.wait(120) == 0, rank.stderr
    parts = [DynamicsRecorder.load(tmp_path / f"record-{rank}.npz") for rank in range(2)]
    found = DynamicsRecorder.merge(parts)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(23, 4, generator=generator), torch.randint(4, (23,), generator=generator)
    expected = DynamicsRecorder(23, 4)
    for epoch in range(3):
        expected.record(torch.arange(23), x * (epoch + 1), y)
        expected.end_epoch()
    # 23 samples are 12 a rank: one is padding.
    assert found.repeats == [1, 1, 1]
    for name in set(SCORES) - {"tdds", "grand", "cld"}:
        np.testing.assert_array_equal(found.scores(name), expected.scores(name), err_msg=name)

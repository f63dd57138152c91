"""Records that others keep: arrays in any order, files of dataset cartography."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from proxysample import InputError
from proxysample.dynamics import from_arrays, from_jsonl

LOGITS = np.random.default_rng(0).standard_normal((12, 6, 3))
LABELS = np.array([0, 1, 2, 2, 1, 0])
ORDERS = np.stack([np.random.default_rng(epoch).permutation(6) for epoch in range(12)])
SHUFFLED = np.stack([epoch[order] for epoch, order in zip(LOGITS, ORDERS, strict=True)])


def expected(name):
    return from_arrays(LOGITS, LABELS).scores(name)


def test_rows_of_a_loader_are_put_in_the_order_of_the_dataset():
    found = from_arrays(SHUFFLED, LABELS, ORDERS)
    for name in ("aum", "tdds", "dual"):
        np.testing.assert_array_equal(found.scores(name), expected(name))


def test_arrays_of_many_kinds(tmp_path):
    np.save(tmp_path / "all.npy", LOGITS)
    for epoch, (rows, order) in enumerate(zip(SHUFFLED, ORDERS, strict=True)):
        np.save(tmp_path / f"{epoch}_Output.npy", rows)
        np.save(tmp_path / f"{epoch}_Index.npy", order)
    outputs = [tmp_path / f"{epoch}_Output.npy" for epoch in range(12)]
    orders = [str(tmp_path / f"{epoch}_Index.npy") for epoch in range(12)]
    for given in (
        from_arrays(LOGITS.tolist(), LABELS.tolist()),
        from_arrays(torch.from_numpy(LOGITS), torch.from_numpy(LABELS)),
        from_arrays([torch.from_numpy(epoch) for epoch in LOGITS], LABELS),
        from_arrays(tmp_path / "all.npy", LABELS),
        from_arrays(outputs, LABELS, orders),
    ):
        np.testing.assert_array_equal(given.scores("aum"), expected("aum"))


def test_probabilities_give_the_margins_of_logits():
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=-1, keepdims=True)
    found = from_arrays(p, LABELS, kind="probabilities")
    np.testing.assert_allclose(found.scores("aum"), expected("aum"), rtol=1e-5)
    certain = from_arrays([[[1.0, 0.0], [0.0, 1.0]]], [0, 0], kind="probabilities")
    assert np.isfinite(certain.scores("aum")).all()
    assert np.isfinite(certain.scores("csl")).all()


def test_probabilities_of_labels_are_put_in_order():
    p_true = np.random.default_rng(0).random((12, 6))
    shuffled = np.stack([epoch[order] for epoch, order in zip(p_true, ORDERS, strict=True)])
    found = from_arrays(shuffled, LABELS, ORDERS)
    np.testing.assert_allclose(found.scores("confidence"), p_true.mean(axis=0))


def test_one_column_of_two_classes():
    found = from_arrays(LOGITS[..., :1], LABELS % 2)
    signs = np.where(LABELS % 2, 1, -1)
    np.testing.assert_allclose(found.scores("aum"), LOGITS[..., 0].mean(axis=0) * signs, rtol=1e-5)


TWICE = ORDERS.copy()
TWICE[3, 0] = TWICE[3, 1]
AS_PROBABILITIES = np.full((12, 6, 3), 0.3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((LOGITS, LABELS[:5]), r"shape \(6, 3\); needed: \(5, n_classes\)"),
        ((LOGITS, LABELS + 1), "label of sample 2 is none of 0 to 2"),
        ((LOGITS, LABELS * 1.0), "class codes, which are integers"),
        ((LOGITS, LABELS - 1), "class codes from 0, not -1"),
        ((LOGITS, LABELS[:, None]), "class codes"),
        ((LOGITS, list("abcdef")), "class codes"),
        ((LOGITS, LABELS, ORDERS[:5]), "outputs of 12 epochs and indices of 5"),
        ((LOGITS, LABELS, TWICE), r"epoch 3 lack 1 samples"),
        ((LOGITS, LABELS, ORDERS + 1), "indices of epoch 0 hold 6, of 6 samples"),
        ((LOGITS, LABELS, ORDERS * 1.0), "needed: .6,. integers"),
        ((LOGITS, LABELS, ORDERS[:, :4]), "needed: .6,. integers"),
        ((LOGITS[0], LABELS), r"shape \(3,\); needed"),
        ((LOGITS.astype(int), LABELS), "floating-point numbers, not int64"),
        (([*LOGITS[:3], LOGITS[3][:, :2]], LABELS), r"epoch 3 have shape \(6, 2\)"),
        (([*LOGITS[:3], LOGITS[3] * np.nan], LABELS), "sample 0 are not finite"),
        (([], LABELS), "hold no epoch"),
        ((3.0, LABELS), "must be an array"),
        ((np.float64(3.0), LABELS), "one number"),
        ((LOGITS.astype(object), LABELS), "floating-point numbers, not object"),
        ((LOGITS[..., 0], LABELS), "in \\[0, 1\\]"),
        (("missing.npy", LABELS), "missing.npy: no such file"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        from_arrays(*arguments)


def test_the_kind_of_outputs_is_checked():
    with pytest.raises(InputError, match="are no probabilities"):
        from_arrays(AS_PROBABILITIES, LABELS, kind="probabilities")
    with pytest.raises(InputError, match="said to be logits"):
        from_arrays(AS_PROBABILITIES + 1 / 30, LABELS)
    with pytest.raises(InputError, match="did you mean 'logits'"):
        from_arrays(LOGITS, LABELS, kind="logit")


def write_cartography(folder, guids=range(6)):
    folder.mkdir(exist_ok=True)
    names = list(guids)
    for epoch, (rows, order) in enumerate(zip(SHUFFLED, ORDERS, strict=True)):
        lines = [
            json.dumps(
                {
                    "guid": names[index],
                    f"logits_epoch_{epoch}": row.tolist(),
                    "gold": int(LABELS[index]),
                }
            )
            for row, index in zip(rows, order, strict=True)
        ]
        (folder / f"dynamics_epoch_{epoch}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_files_of_cartography(tmp_path):
    # Of twelve epochs, 10 does not come before 2.
    folder = write_cartography(tmp_path)
    files = [folder / f"dynamics_epoch_{epoch}.jsonl" for epoch in range(12)]
    for given in (folder, str(folder), files):
        found = from_jsonl(given)
        np.testing.assert_array_equal(found.scores("tdds"), expected("tdds"))
    assert found.labels.tolist() == LABELS.tolist()


def test_guids_say_the_order_of_the_dataset(tmp_path):
    words = [f"sentence {index}" for index in range(6)]
    folder = write_cartography(tmp_path, words)
    with pytest.raises(InputError, match="pass guids="):
        from_jsonl(folder)
    found = from_jsonl(folder, words)
    np.testing.assert_array_equal(found.scores("aum"), expected("aum"))
    backwards = from_jsonl(folder, words[::-1])
    np.testing.assert_array_equal(backwards.scores("aum"), expected("aum")[::-1])
    with pytest.raises(InputError, match="no sample of the dataset has the guid 'sentence"):
        from_jsonl(folder, words[:5])
    with pytest.raises(InputError, match="lack 1 samples"):
        from_jsonl(folder, [*words, "another"])
    with pytest.raises(InputError, match="name a sample twice"):
        from_jsonl(folder, words + words)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 1 is damaged"),
        ("[" * 90_000, "line 1 is damaged"),
        ("3", "no mapping"),
        ('{"guid": 0, "gold": 0}', "no list of logits"),
        ('{"guid": 0, "gold": 0, "logits": []}', "no list of logits"),
        ('{"guid": 0, "gold": 0, "logits": [1.0], "logits_1": [1.0]}', "or several"),
        ('{"guid": 0, "gold": 3, "logits": [1.0, 2, 3]}', "gold is 3"),
        ('{"guid": 0, "gold": true, "logits": [1.0, 2, 3]}', "gold is True"),
        ('{"guid": 0, "gold": 0, "logits": [NaN, 2, 3]}', "no finite number"),
        ('{"guid": 0, "gold": 0, "logits": ["1", 2, 3]}', "no finite number"),
        ('{"guid": 0, "gold": 0, "logits": [1' + "0" * 400 + "]}", "damaged"),
        ('{"guid": 0, "gold": 0, "logits": [1' + "0" * 9000 + "]}", "damaged"),
        ('{"guid": [0], "gold": 0, "logits": [1.0]}', "guid"),
        ('{"guid": 0, "gold": 0, "logits": [1e39, 2e39, 3]}', "single precision"),
        ('{"guid": 5, "gold": 0, "logits": [1.0, 2, 3]}', "guids are not the integers"),
        (" " * (1 << 20), "a line of more than"),
        ("", "holds no line"),
    ],
)
def test_hostile_lines_are_refused(tmp_path, line, words):
    (tmp_path / "dynamics_epoch_0.jsonl").write_text(line)
    with pytest.raises(InputError, match=words):
        from_jsonl(tmp_path)


def test_lines_and_files_that_are_missing_are_named(tmp_path):
    folder = write_cartography(tmp_path / "training_dynamics")
    path = folder / "dynamics_epoch_4.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[0]]))
    with pytest.raises(InputError, match=r"epoch_4\.jsonl lack 1 samples"):
        from_jsonl(folder)
    path.write_text("\n".join([*lines, lines[0]]))
    with pytest.raises(InputError, match="name 1 samples more than once"):
        from_jsonl(folder)
    path.write_text("\n".join([*lines, '{"guid": 1, "gold": 1, "logits_epoch_4": [1.0]}']))
    with pytest.raises(InputError, match="line 7 has 1 logits, and line 1 3"):
        from_jsonl(folder)
    path.unlink()
    with pytest.raises(InputError, match="no file of epoch 4"):
        from_jsonl(folder)
    with pytest.raises(InputError, match="no file of epoch 0"):
        from_jsonl(tmp_path)
    for missing in (tmp_path / "other.jsonl", "/dev/zero"):
        with pytest.raises(InputError, match="is missing, or no file"):
            from_jsonl([missing])
    with pytest.raises(InputError, match="no files"):
        from_jsonl([])


def test_what_was_read_is_shown_in_one_line():
    read = from_arrays(np.zeros((2, 5000, 3)), np.zeros(5000, dtype=np.int64))
    assert repr(read).startswith("Dynamics(5,000 samples, 3 classes, 2 epochs; ")
    assert len(repr(read)) < 200

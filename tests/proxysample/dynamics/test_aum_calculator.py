"""The calls of the package aum: means of margins by name, and its files."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from proxysample import InputError
from proxysample.dynamics import AUMCalculator, DynamicsRecorder

NAMES = ["b.png", 'a,"1".png', "é", "0"]


def planted():
    generator = np.random.default_rng(0)
    return generator.standard_normal((3, 4, 5)), generator.integers(5, size=4)


@pytest.mark.parametrize("names", [NAMES, [7, 3, 12, 0], torch.tensor([7, 3, 12, 0])])
def test_means_are_those_of_the_recorder_and_are_written_highest_first(names, tmp_path):
    pd = pytest.importorskip("pandas")
    outputs, labels = planted()
    calculator = AUMCalculator(save_dir=tmp_path / "new")
    recorder = DynamicsRecorder(4, 5)
    for epoch in outputs:
        for rows in (slice(2, 4), slice(0, 2)):
            logits, targets = torch.from_numpy(epoch[rows]), torch.from_numpy(labels[rows])
            calculator.update(logits=logits, targets=targets, sample_ids=names[rows])
        recorder.record(np.arange(4), epoch, labels)
        recorder.end_epoch()
    calculator.finalize()
    table = pd.read_csv(tmp_path / "new" / "aum_values.csv", dtype={"sample_id": str})
    keys = [str(int(one) if isinstance(one, torch.Tensor) else one) for one in names]
    aum = dict(zip(keys, recorder.scores("aum"), strict=True))
    assert list(table.columns) == ["sample_id", "aum"]
    assert list(table.sample_id) == sorted(keys, key=lambda key: -aum[key])
    np.testing.assert_allclose(table.aum, [aum[key] for key in table.sample_id], rtol=1e-6)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["aum_values.csv"]


def test_each_margin_is_written_where_it_is_asked_for(tmp_path):
    calculator = AUMCalculator(str(tmp_path), compressed=False)
    for logits in ([[2.0, 0.0]], [[0.0, 1.0]]):
        calculator.update(torch.tensor(logits), torch.tensor([0]), ["a"])
    calculator.finalize(tmp_path)
    assert (tmp_path / "full_aum_records.csv").read_text().split() == [
        "sample_id,num_measurements,margin,aum",
        "a,1,2.0,2.0",
        "a,2,-1.0,0.5",
    ]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (([[1.0, 2.0]], [0], ["a", "b"]), "2 sample_ids"),
        (([[1.0, 2.0]], [0, 1], ["a"]), r"targets of shape \(2,\)"),
        (([[1.0, 2.0]], [0], [0.5]), "strings or integers"),
        ((torch.ones(2), [0, 1], ["a", "b"]), "needed: "),
        (([[1.0, 2.0]], [2], ["a"]), "none of 0 to 1"),
    ],
)
def test_what_is_no_batch_is_refused(call, words, tmp_path):
    calculator = AUMCalculator(tmp_path)

    def run():
        calculator.update(*call)
        calculator.finalize()

    with pytest.raises(InputError, match=words):
        run()
    assert not list(tmp_path.iterdir())


def test_nothing_recorded_is_refused(tmp_path):
    with pytest.raises(InputError, match="nothing was recorded"):
        AUMCalculator(tmp_path).finalize()

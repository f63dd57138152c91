from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from torch import nn

from proxysample import Features, KMeansOutlierRemoval, load_dataset, register
from proxysample.cli import main
from proxysample.registry import BACKBONES


@pytest.fixture
def proxysample(command_line):
    return partial(command_line, main)


@pytest.fixture
def quarter(monkeypatch):
    monkeypatch.setattr(BACKBONES, "_registered", BACKBONES.registered)
    network = nn.Sequential(nn.AvgPool2d(4), nn.Flatten())
    register(lambda: network, kind="backbone", name="quarter")
    return "quarter"


def test_features_are_embedded_once_and_selected_from(proxysample, quarter, tmp_path):
    folder, kept = tmp_path / "features", tmp_path / "kept.npy"
    words = ["embed", "--dataset", "digits", "--backbone", quarter, "--dtype", "float16", "-o"]
    code, out, err = proxysample(*words, str(folder))
    assert code == 0, err
    features = Features.open(folder)
    assert f"Features(1,437 x 4 float16, quarter, key {features.key}): {features.folder}" in out
    train = load_dataset("digits").train
    assert features.labels.tolist() == train.targets.tolist()
    words = "select --dataset digits --sampler km-or --param n_clusters=5 -r 0.25 -o"
    code, _, err = proxysample(*words.split(), str(kept), "--param", f"features=embed:{folder}")
    assert code == 0, err
    sampler = KMeansOutlierRemoval(n_clusters=5, features=np.asarray(features), random_state=0)
    assert np.load(kept).tolist() == sampler.select(train, 0.25).tolist()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dtype", "float8"], "unknown dtype 'float8'"),
        (["--executor", "slurm"], "unknown executor 'slurm'"),
        (["--gpus", "0.5"], "are for the executor 'ray'"),
        (["--backbone", "quarters"], "quarter"),
        (["--weights", "here"], "unknown source of weights 'here'"),
    ],
)
def test_what_cannot_be_is_one_message(proxysample, quarter, tmp_path, words, message):
    given = ["embed", "--dataset", "digits", "-o", str(tmp_path / "new")]
    backbone = [] if "--backbone" in words else ["--backbone", quarter]
    code, _, err = proxysample(*given, *backbone, *words)
    assert code == 2
    assert message in err
    assert not (tmp_path / "new").exists()


@pytest.mark.filterwarnings("default")
def test_embedding_is_quiet_or_tells_more_and_skips_on_request(proxysample, quarter, tmp_path):
    pixels = np.full((6, 8, 8, 3), 0.5, np.float32)
    pixels[2] = np.nan
    np.save(tmp_path / "x.npy", pixels)
    words = ["embed", "--dataset", f"npy:{tmp_path}/x.npy", "--backbone", quarter]
    code, _, err = proxysample(*words, "-o", str(tmp_path / "a"))
    assert code != 0
    assert "sample 2 holds NaN" in err
    code, out, err = proxysample(*words, "-o", str(tmp_path / "a"), "--broken", "skip", "-q")
    assert (code, out) == (0, ""), err
    assert "sample 2: it holds NaN" in err
    kept = np.asarray(Features.open(tmp_path / "a"))
    assert np.isnan(kept).any(axis=1).nonzero()[0].tolist() == [2]
    code, out, err = proxysample(*words, "-o", str(tmp_path / "b"), "--broken", "skip", "-v")
    assert out.startswith("Features(6 x 12 float32")
    assert "  samples_skipped: 1" in err

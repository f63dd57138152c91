"""The command line as a user types it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from proxysample.data.datasets import load_dataset
from proxysample.errors import InputError
from proxysample_nas.cli import _configuration, _refuse_part_of_a_study, main
from proxysample_nas.data.images import LabelledImages
from proxysample_nas.searchers import RandomSearch, SearchResult
from proxysample_nas.space.cell import Cell
from proxysample_nas.training import TrainedCell


@pytest.fixture
def proxysample_nas(command_line):
    return partial(command_line, main)


def test_a_cell_is_searched_on_selected_indices(proxysample_nas, tmp_path):
    indices, output = tmp_path / "indices.npy", tmp_path / "result.json"
    np.save(indices, np.arange(0, 1437, 12))
    words = "search --dataset digits --searcher darts-v1 --param n_nodes=3 --param epochs=1"
    words += " --param channels=4 --param cells_per_stage=1"
    words += f" --indices {indices} -o {output} --draw {tmp_path}/cell.png"
    code, out, err = proxysample_nas(*words.split())
    assert code == 0, err
    assert "darts-v1 on 120 images of digits" in out
    result = SearchResult.from_dict(json.loads(output.read_text()))
    assert result.cell == Cell.from_string(out.strip().splitlines()[-1])
    assert (tmp_path / "cell.png").exists()
    assert result.info.n_weight_samples + result.info.n_architecture_samples == 120


@pytest.fixture
def searched(monkeypatch):
    """Collect the images that cells are searched on."""
    original, found = RandomSearch.search, []

    def search(self, train: LabelledImages, **arguments: Any) -> SearchResult:
        found.append(train)
        return original(self, train, **arguments)

    monkeypatch.setattr(RandomSearch, "search", search)
    return found


ONE_CELL = "random --param n_nodes=2 --param n_samples=1 --param epochs=1 --param channels=4"
ONE_CELL += " --param cells_per_stage=1 --param batch_size=2"


@pytest.mark.filterwarnings("always:.* samples cannot be read")
def test_indices_name_the_samples_of_the_whole_part_where_some_are_skipped(
    proxysample_nas, searched, tmp_path
):
    generator = np.random.default_rng(0)
    pixels = generator.random((12, 8, 8, 3))
    labels = np.arange(12) % 2
    np.savez(tmp_path / "whole.npz", images=pixels, labels=labels)
    broken = pixels.copy()
    broken[[2, 7]] = np.nan
    np.savez(tmp_path / "broken.npz", images=broken, labels=labels)
    # In the order in which somebody picked them; both sides of what is skipped.
    np.save(tmp_path / "indices.npy", np.array([11, 1, 3, 8, 6, 0]))
    words = f"search --searcher {ONE_CELL} --indices {tmp_path}/indices.npy --dataset".split()

    code, _, err = proxysample_nas(*words, f"npz:{tmp_path}/whole.npz")
    assert code == 0, err
    code, out, err = proxysample_nas(*words, f"npz,broken=skip:{tmp_path}/broken.npz")
    assert code == 0, err
    assert "sample 2: " in err
    assert "random on 6 images" in out
    of_whole, of_broken = searched
    assert of_broken.images.equal(of_whole.images)
    assert of_broken.labels.tolist() == of_whole.labels.tolist() == [1, 1, 1, 0, 0, 0]

    np.save(tmp_path / "indices.npy", np.array([0, 1, 3, 7]))
    code, _, err = proxysample_nas(*words, f"npz,broken=skip:{tmp_path}/broken.npz")
    assert code == 2
    assert "names sample 7, which cannot be read and is skipped" in err
    assert len(searched) == 2


@pytest.mark.filterwarnings("always:.* samples cannot be read")
def test_a_search_on_all_images_leaves_out_what_is_to_be_skipped(
    proxysample_nas, searched, tmp_path
):
    pixels = np.random.default_rng(0).random((12, 8, 8, 3))
    pixels[5] = np.nan
    np.savez(tmp_path / "broken.npz", images=pixels, labels=np.arange(12) % 2)
    words = f"search --searcher {ONE_CELL} --dataset".split()
    code, out, err = proxysample_nas(*words, f"npz,broken=skip:{tmp_path}/broken.npz")
    assert code == 0, err
    assert "sample 5: " in err
    assert "random on 11 images" in out
    assert len(searched[0]) == 11


def test_a_cell_is_evaluated(proxysample_nas):
    words = "evaluate --dataset digits --cell |nor_conv_3x3~0| --param epochs=1 --param channels=4"
    words += " --param cells_per_stage=1 --param seeds=[777]"
    code, out, err = proxysample_nas(*words.split())
    assert code == 0, err
    assert "% of the test part of digits after the last epoch" in out


def test_the_networks_of_a_evaluated_cell_are_saved(proxysample_nas, tmp_path):
    words = "evaluate --dataset digits --cell |nor_conv_3x3~0| --param epochs=1 --param channels=4"
    words += " --param cells_per_stage=1 --param seeds=[1,2] --save-network"
    code, out, err = proxysample_nas(*words.split(), str(tmp_path / "net.safetensors"))
    assert code == 0, err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "net-1.safetensors",
        "net-2.safetensors",
    ]
    trained = TrainedCell.load(tmp_path / "net-2.safetensors")
    accuracy = trained.measure_accuracy(load_dataset("digits").test)
    assert f"{accuracy:.2f} (seed 2)" in out
    assert str(tmp_path / "net-2.safetensors") in out
    code, _, err = proxysample_nas(*words.split(), str(tmp_path / "net.pt"))
    assert code == 2
    assert "a network is saved as .safetensors, not 'net.pt'" in err


@pytest.mark.usefixtures("at_a_terminal")
def test_a_study_runs_and_is_reported_again(proxysample_nas, tmp_path):
    words = "study run --preset digits-demo --n-train 100 --sampler rs -r 0.5 --seed 777"
    words += " --train epochs=1 --train cells_per_stage=1 --channels 4 --workers 1"
    words += " --searcher darts-v1:n_nodes=2,channels=4,cells_per_stage=1,epochs=1 --output"
    code, first, err = proxysample_nas(*words.split(), str(tmp_path / "study"))
    assert code == 0, err
    assert "study: 100%" in err
    _, again, _ = proxysample_nas("study", "table", "--output", str(tmp_path / "study"))
    assert again == first
    assert (tmp_path / "study" / "table-darts-v1.csv").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("search --dataset digits --searcher darts-v9", "did you mean"),
        (
            "search --dataset digits --searcher darts-v1 --indices missing.npy",
            "missing.npy: no such file",
        ),
        ("search --dataset digits --searcher darts-v1 --param epoch=3", "did you mean 'epochs'"),
        ("evaluate --dataset digits --cell |nor_conv~0|", "nor_conv"),
        ("evaluate --dataset digits --cell |none~0| --recipe papers", "did you mean 'paper'"),
        ("evaluate --dataset digits --cell |none~0| --param epoch=1", "did you mean 'epochs'"),
        (
            "search --dataset digits --searcher gdas --param protocol=paper",
            "study run --architecture-data test-half",
        ),
        ("study run --preset digit -o x", "did you mean 'digits'"),
        ("study run --dataset digits -o x", "also needs samplers, ratios or n, searchers"),
        ("study run --preset digits -r half -o x", "not 'half'"),
        ("study table -o missing", "run one first"),
    ],
)
def test_bad_input_gets_one_clear_message(proxysample_nas, words, message):
    code, _out, err = proxysample_nas(*words.split())
    assert code == 2
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("search --searcher darts-v1 --param channels=x", "channels must be a positive integer"),
        ("search --searcher random -o there.json", "there.json is there already"),
        ("search --searcher random --draw there.png", "or pass --overwrite"),
        ("evaluate --cell |none~0| --save-network there.safetensors", "or pass --overwrite"),
    ],
)
def test_what_cannot_be_is_said_before_data_are_read(
    proxysample_nas, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    for suffix in ("json", "png"):
        (tmp_path / f"there.{suffix}").touch()
    (tmp_path / "there-777.safetensors").touch()
    monkeypatch.setattr("proxysample.data.datasets.load_dataset", lambda *_: pytest.fail("read"))
    code, _out, err = proxysample_nas(*words.split(), "--dataset", "digits")
    assert (code, message in err) == (2, True)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        (np.array([0, 1437]), "does not fit the dataset's 1,437 training samples"),
        (np.array([-1, 3]), "holds the index -1; they count from 0"),
        (np.array([3, 3]), "names a sample twice"),
        (np.array([0.5]), "integers"),
    ],
)
def test_indices_that_do_not_fit_are_refused(proxysample_nas, indices, message, tmp_path):
    np.save(tmp_path / "indices.npy", indices)
    words = "search --dataset digits --searcher darts-v1 --indices"
    code, _out, err = proxysample_nas(*words.split(), str(tmp_path / "indices.npy"))
    assert code == 2
    assert message in err


def test_a_checkpoint_in_no_folder_is_refused_before_the_search(proxysample_nas, tmp_path):
    words = f"search --dataset digits --searcher gdas --checkpoint {tmp_path}/none/kept.safetensors"
    code, _out, err = proxysample_nas(*words.split())
    assert (code, "none does not exist; make it first" in err) == (2, True)


def test_numbers_of_samples_stand_in_for_ratios():
    settings = {"dataset": "digits", "samplers": ["rs"], "searchers": ["random"], "n": [50]}
    assert _configuration(None, settings).n == (50,)
    assert _configuration("digits", {"n": [50]}).ratios == ()
    with pytest.raises(InputError, match=r"also needs dataset"):
        _configuration(None, {"ratios": [0.5]})
    with pytest.raises(InputError, match=r"mine has a study: .* study add .*; ratios without the"):
        _refuse_part_of_a_study(Path("mine"), {"ratios": [0.5]})

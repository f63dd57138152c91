"""The notebooks run from the first cell to the last, on a small budget."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "examples" / "notebooks"
# What a reader waits for is more than a test needs to show that every cell works.
SPLITS = "train, test = splits.train, splits.require_test()"
SMALL_BUDGET = {
    "shrink_your_dataset.ipynb": {
        "N_STEPS = 300": "N_STEPS = 5",
        SPLITS: (
            "train, test = splits.train, splits.require_test()\n"
            "train = type(train)(train.images[:300], train.targets[:300])"
        ),
    },
    "study_in_small.ipynb": {
        "EPOCHS = 4": "EPOCHS = 1",
        "N_TRAIN = 2000": "N_TRAIN = 200",
        "ratios=[0.5, 0.25]": "ratios=[0.5]",
        "seconds_each=0.5": "seconds_each=0.0",
    },
    "which_sampler.ipynb": {
        "SEEDS = 5": "SEEDS = 2",
        "EPOCHS = 5": "EPOCHS = 2",
        "[0.05, 0.1, 0.25]": "[0.1]",
        "ccs:epochs=5": "ccs:epochs=2",
    },
    "why_a_search_collapses.ipynb": {
        "N_EPOCHS = 24": "N_EPOCHS = 2",
        "epochs=6": "epochs=1",
        SPLITS: (
            "from torch.utils.data import Subset\n"
            "train = Subset(splits.train, range(200))\n"
            "test = Subset(splits.require_test(), range(50))"
        ),
    },
}


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    notebook = read(path)
    for before, after in SMALL_BUDGET[path.name].items():
        cells = [cell for cell in notebook.cells if before in cell.source]
        assert len(cells) == 1, f"{before!r} stands in {len(cells)} cells of {path.name}"
        cells[0].source = cells[0].source.replace(before, after)
    # A test's own home: nothing of the user's Jupyter settings is read or written.
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_is_shown_with_its_outputs(path):
    codes = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in codes] == list(range(1, len(codes) + 1))
    outputs = [output for cell in codes for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)

"""The notebooks run from the first cell to the last, on a small budget."""

from __future__ import annotations

import time
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from .forked import Forked

NOTEBOOKS = Path(__file__).parents[1] / "examples" / "notebooks"
# What a reader waits for is more than a test needs to show that every cell works.
SPLITS = "train, test = splits.train, splits.require_test()"
SMALL_BUDGET = {
    "shrink_your_dataset.ipynb": {
        "N_STEPS = 300": "N_STEPS = 5",
        SPLITS: (
            "train, test = splits.train, splits.require_test()\n"
            "train = type(train)(train.images[:100], train.targets[:100])"
        ),
    },
    "study_in_small.ipynb": {
        "EPOCHS = 4": "EPOCHS = 1",
        "N_TRAIN = 2000": "N_TRAIN = 100",
        "ratios=[0.5, 0.25]": "ratios=[0.5]",
        "search_seeds=[0, 1]": "search_seeds=[0]",
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
            "train = Subset(splits.train, range(96))\n"
            "test = Subset(splits.require_test(), range(30))"
        ),
    },
}


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


class ForkedKernel(KernelManager):
    """Of a process that was started before."""

    has_kernel = True


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """A process for all notebooks, so that what they import is imported once."""
    folder = tmp_path_factory.mktemp("jupyter")
    with pytest.MonkeyPatch.context() as patch:
        # A test's own home: nothing of the user's Jupyter settings is read or written.
        patch.setenv("JUPYTER_CONFIG_DIR", str(folder))
        path = folder / "kernel.json"
        process = Forked(KERNEL, ["-f", str(path)], folder)
        # Written when the kernel can be reached, and closed by a brace.
        while not (path.exists() and path.read_text().rstrip().endswith("}")):
            assert process.poll() is None, process.stderr
            time.sleep(0.01)
        kernel = ForkedKernel(connection_file=str(path), owns_kernel=False)
        kernel.load_connection_file()
        yield kernel
        process.kill()
        process.wait()


KERNEL = "from ipykernel.kernelapp import launch_new_instance; launch_new_instance()"


# Each begins where and with what a new process would, but for the modules.
ANEW = "%reset -f\nimport os\nos.chdir({!r})\ndel os"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_runs(path, kernel, tmp_path_factory):
    notebook = read(path)
    for before, after in SMALL_BUDGET[path.name].items():
        cells = [cell for cell in notebook.cells if before in cell.source]
        assert len(cells) == 1, f"{before!r} stands in {len(cells)} cells of {path.name}"
        cells[0].source = cells[0].source.replace(before, after)
    # The kernel stays in the folder until the next notebook begins.
    folder = tmp_path_factory.mktemp("notebook")
    notebook.cells.insert(0, nbformat.v4.new_code_cell(ANEW.format(str(folder))))
    client = NotebookClient(notebook, km=kernel, timeout=300)
    try:
        client.execute()
    finally:
        client.kc.stop_channels()


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_is_shown_with_its_outputs(path):
    codes = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in codes] == list(range(1, len(codes) + 1))
    outputs = [output for cell in codes for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)

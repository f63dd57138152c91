"""Every character of the tables that studies of written results end in."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
import scipy

from proxysample_nas.space.cell import Cell
from proxysample_nas.study import Transfer, preset
from proxysample_nas.study.reports.accuracy_table import accuracy_table
from proxysample_nas.study.reports.report import all_documents

from .written_store import CIFAR100, HALF_OF_CIFAR100, IMAGENET16, write_results

ROOT = next(one for one in Path(__file__).parents if (one / "pyproject.toml").exists())
EXPECTED = Path(__file__).parent / "expected_documents"
FILLED = {name: Cell.filled(name, n_nodes=4) for name in ("nor_conv_3x3", "nor_conv_1x1")}
SKIPS = Cell.filled("skip_connect", n_nodes=4)
CONVOLUTION, SMALL = FILLED.values()


def one_search_beside_the_paper(folder):
    """Some settings are not searched yet."""

    def found(setting, seed):
        if setting.r == 0.25:
            return None
        return (CONVOLUTION, 1244.567) if setting.sampler is None else (SKIPS, 5.0)

    return write_results(
        folder,
        found,
        lambda cell, channels: [60.0, 61.0, 65.0] if cell == CONVOLUTION else [15.0 + channels],
        info=HALF_OF_CIFAR100,
        architecture_data="test-half",
        recipe="paper",
        searchers=["darts-v1:n_nodes=4,protocol=paper", "gdas:n_nodes=4"],
        samplers=["cc-or:protocol=paper", "km-or:protocol=paper", "ae:protocol=paper,keep=hard"],
        ratios=[0.5, 0.25],
        channels=[16, 64],
    )


def several_searches(folder):
    """Not every found cell is evaluated yet, and not every search has ended."""
    cells = (CONVOLUTION, SKIPS, SMALL)
    means = {CONVOLUTION: [70.0, 74.0], SKIPS: [20.0], SMALL: []}

    def found(setting, seed):
        if setting.sampler is not None and seed == 2:
            return None
        return (cells[seed], 4.0 + seed)

    return write_results(
        folder,
        found,
        lambda cell, channels: means[cell],
        searchers=["gdas:n_nodes=4", "gdas:n_nodes=4,epochs=9"],
        search_seeds=[0, 1, 2],
        seeds=[7, 8],
    )


def other_datasets(folder):
    cells = {1.0: CONVOLUTION, 0.5: SMALL, 0.25: SKIPS}
    accuracies = {CONVOLUTION: 70.0, SMALL: 72.0, SKIPS: 20.0}
    return write_results(
        folder,
        lambda setting, seed: (cells[setting.r], {1.0: 100.0, 0.5: 60.0, 0.25: 101.0}[setting.r]),
        lambda cell, channels: [accuracies[cell], accuracies[cell] + 2],
        info=CIFAR100,
        transfer_info={"other": IMAGENET16},
        transferred=lambda cell: [accuracies[cell] / 2],
        searchers=["gdas:n_nodes=4"],
        samplers=["rs", "cc-or"],
        ratios=[0.5, 0.25],
        channels=[16, 32],
        transfers=[Transfer(dataset="other", n_best=1, channels=16)],
        scoring_seconds=0.01,
    )


# Before 1.17, quantiles of Student's distribution were right to ten digits.
HAS_ALL_DIGITS = tuple(map(int, scipy.__version__.split(".")[:2])) >= (1, 17)


def as_told(text):
    """The text itself, or with as many digits as this scipy knows."""
    if HAS_ALL_DIGITS:
        return text
    return re.sub(r"\d+\.\d{9,}(e-\d+)?", lambda found: f"{float(found[0]):.9g}", text)


def written(documents):
    return "".join(f"=== {name} ===\n{text}" for name, text in documents.items())


@pytest.mark.parametrize("study", [one_search_beside_the_paper, several_searches, other_datasets])
def test_every_document_is_the_same_to_the_character(study, tmp_path):
    expected = (EXPECTED / f"{study.__name__}.txt").read_text(encoding="utf-8")
    assert as_told(written(all_documents(study(tmp_path)))) == as_told(expected)


def read_cells(text):
    """A line of a table in Markdown as the texts of its cells."""
    words = re.split(r"(?<!\\)\|", text.strip().strip("|"))
    return [word.strip().strip("`").replace("\\", "") for word in words]


def test_the_readmes_table_is_what_its_results_give(tmp_path):
    (table,) = re.findall(r"^\| Method .*\n(?:\|.*\n)+", README, re.MULTILINE)
    rows = [cells for cells in map(read_cells, table.splitlines()[2:]) if cells[1]]
    accuracies, found, scoring = {}, {}, {}
    for method, r, _, accuracy, search, scored, *_, cell in rows:
        mean, std = map(float, accuracy.split(" ± "))
        accuracies[Cell.from_string(cell)] = [mean - std, mean, mean + std]
        found[method.rstrip("*"), float(r)] = (Cell.from_string(cell), float(search))
        scoring[method.rstrip("*")] = float(scored or 0)
    demo = preset("digits-demo")

    def look_up(setting, seed):
        label = "Full DS" if setting.sampler is None else setting.sampler.label
        return found[label, setting.r]

    results = write_results(
        tmp_path,
        look_up,
        lambda cell, channels: accuracies[cell],
        scoring_seconds=lambda sampler: scoring[sampler.label],
        dataset=demo.dataset,
        samplers=demo.samplers,
        searchers=demo.searchers,
        ratios=demo.ratios,
        channels=demo.channels,
        seeds=demo.seeds,
        training=demo.training,
    )
    assert table.strip() in all_documents(results)["table-darts-v1.md"]
    notes = accuracy_table(results, demo.searchers[0]).notes
    isomorphic = [f"- {note}" for note in notes if note.startswith("Cells:")]
    assert isomorphic == re.findall(r"^- Cells:.*$", README, re.MULTILINE)


README = (ROOT / "README.md").read_text(encoding="utf-8")


def words_of(label):
    """The words that name a component, of its label."""
    name, _, parameters = label.partition(" (")
    return f"{name.lower()}:{parameters.rstrip(')').replace(', ', ',')}".rstrip(":")


def test_the_published_csv_files_are_what_their_results_give(tmp_path):
    folder = ROOT / "docs" / "cifar100"
    tables = {name: (folder / f"table-{name}.csv").read_text() for name in ("darts-v1", "gdas")}
    records = [one for text in tables.values() for one in csv.DictReader(io.StringIO(text))]
    found = {
        (one["searcher"], one["method"], float(one["r"]), int(one["search_seed"])): (
            Cell.from_string(one["cell"]),
            float(one["search_seconds"]),
        )
        for one in records
    }
    scoring = {one["method"]: float(one["scoring_seconds"] or 0) for one in records}
    accuracies = {Cell.from_string(one["cell"]): float(one["accuracy_mean_c16"]) for one in records}

    def look_up(setting, seed):
        label = "Full DS" if setting.sampler is None else setting.sampler.label
        return found[setting.searcher.label, label, setting.r, seed]

    results = write_results(
        tmp_path,
        look_up,
        lambda cell, channels: [accuracies[cell]],
        scoring_seconds=lambda sampler: scoring[sampler.label],
        info=CIFAR100,
        searchers=[words_of(label) for label in dict.fromkeys(one["searcher"] for one in records)],
        samplers=[words_of(label) for label in scoring if label != "Full DS"],
        ratios=sorted({r for *_, r, _ in found} - {1.0}),
        search_seeds=sorted({seed for *_, seed in found}),
        channels=[16],
        seeds=[777],
    )
    documents = all_documents(results)
    page = (ROOT / "docs" / "cifar100.md").read_text(encoding="utf-8")
    for name, text in tables.items():
        assert as_told(documents[f"table-{name}.csv"]) == as_told(text)
        (note,) = re.findall("^- Cells: .*$", documents[f"table-{name}.md"], re.MULTILINE)
        assert f"\n{note}\n" in page
    for name in ("break-even.csv", "verdicts.csv"):
        assert as_told(documents[name]) == as_told((folder / name).read_text())

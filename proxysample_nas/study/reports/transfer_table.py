"""Table 5: the best cells, judged on other datasets too."""

from __future__ import annotations

from proxysample_nas.space.cell import Cell
from proxysample_nas.study.experiments.facts import DatasetFacts
from proxysample_nas.study.grid.judging import Transfer
from proxysample_nas.study.reports.accuracy_table import write_accuracy
from proxysample_nas.study.reports.comparison import is_cifar100
from proxysample_nas.study.reports.layout import Column, Layout, Section
from proxysample_nas.study.reports.papers_numbers import PapersTransferRow, papers_transfer_rows
from proxysample_nas.study.reports.protocol import describe_training
from proxysample_nas.study.reports.results import StudyResults
from proxysample_nas.study.reports.spreadsheet import write_csv
from proxysample_nas.study.results import GROUPS, CellAccuracy, Champion, best_cells

PAPERS_GROUPS = {
    "nas-bench-201": "NAS-Bench-201, as the paper cites it",
    "baseline": "Baseline",
    "ae": "AE",
    "tl": "TL",
}


def transfer_table(results: StudyResults) -> Layout | None:
    """Lay out how the best cells of each group do on other datasets.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    Layout or None
        None where the study has no other dataset.
    """
    transfers = results.configuration.transfers
    if not transfers:
        return None
    champions = _champions(results)
    found = [_accuracies(results, transfer, champions) for transfer in transfers]

    def line(one: Champion) -> list[str]:
        own = one.found.evaluations.get(results.widest)
        return [
            f"{one.row.setting.r:g}",
            one.row.method,
            results.name_of(one.row.setting.searcher).upper(),
            str(one.found.seed),
            "" if own is None else write_accuracy(own),
            *(_written(accuracies.get(one.found.cell)) for accuracies in found),
            str(one.found.cell),
        ]

    columns = (
        Column("r", "number"),
        Column("Method"),
        Column("Model"),
        Column("search seed", "number"),
        Column(f"{results.configuration.dataset}, C={results.widest}", "number"),
        *(Column(f"{one.dataset}, C={one.channels}", "number") for one in transfers),
        Column("cell", "code"),
    )
    sections = tuple(
        Section(group, [line(one) for one in champions if one.row.group == group])
        for group in GROUPS
        if any(one.row.group == group for one in champions)
    )
    return Layout(
        "Best cells on other datasets",
        columns,
        sections,
        (_selection(results), _how(results, found)),
    )


def transfers_to_csv(results: StudyResults) -> str:
    """Write the table with one line per cell and dataset, numbers unrounded.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    str
    """
    names = ["group", "method", "r", "searcher", "search_seed", "dataset", "channels"]
    names += ["accuracy_mean", "accuracy_std", "n_seeds", "cell"]
    champions = _champions(results)
    own = {
        one.found.cell: one.found.evaluations[results.widest]
        for one in champions
        if results.widest in one.found.evaluations
    }
    judged = [(results.configuration.dataset, results.widest, own)]
    judged += [
        (transfer.dataset, transfer.channels, _accuracies(results, transfer, champions))
        for transfer in results.configuration.transfers
    ]
    return write_csv(
        (
            {
                "group": one.row.group,
                "method": one.row.method.rstrip("*"),
                "r": one.row.setting.r,
                "searcher": one.row.setting.searcher.label,
                "search_seed": one.found.seed,
                "dataset": dataset,
                "channels": channels,
                "accuracy_mean": accuracies[one.found.cell].mean,
                "accuracy_std": accuracies[one.found.cell].std,
                "n_seeds": len(accuracies[one.found.cell].accuracies),
                "cell": one.found.cell,
            }
            for one in champions
            for dataset, channels, accuracies in judged
            if one.found.cell in accuracies
        ),
        names,
    )


def papers_transfer_table(results: StudyResults) -> Layout | None:
    """Lay the paper's own Table 5 out, where ours is of the same datasets.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    Layout or None
        None where the study's dataset is not CIFAR-100 or none of its others ImageNet16-120.
    """
    datasets = results.facts.datasets
    others = [datasets[transfer.dataset] for transfer in results.configuration.transfers]
    own = datasets[results.configuration.dataset]
    if not is_cifar100(own) or not any(map(is_imagenet16_120, others)):
        return None
    rows = papers_transfer_rows()
    return Layout(
        "The paper's Table 5",
        (
            Column("r", "number"),
            Column("Model"),
            Column("CIFAR-100", "number"),
            Column("ImageNet16-120", "number"),
        ),
        tuple(
            Section(heading, [_papers_line(row) for row in rows if row.group == group])
            for group, heading in PAPERS_GROUPS.items()
        ),
        (
            'Numbers of "Less is More: Proxy Datasets in NAS approaches", whose cells are others '
            "than ours: a table of its own, not a column to compare with. On CIFAR-100 they are "
            "those of its Tables 1 to 4 at C=64.",
        ),
    )


def is_imagenet16_120(data: DatasetFacts) -> bool:
    """Tell ImageNet16-120 by what a store knows of the data.

    Parameters
    ----------
    data : DatasetFacts

    Returns
    -------
    bool
    """
    return data.image_shape == (16, 16, 3) and data.n_classes == 120 and data.n_test == 6_000


def _champions(results: StudyResults) -> list[Champion]:
    n_best = max(transfer.n_best for transfer in results.configuration.transfers)
    return best_cells(list(results.rows), results.widest, n_best)


def _accuracies(
    results: StudyResults, transfer: Transfer, champions: list[Champion]
) -> dict[Cell, CellAccuracy]:
    return results.transferred(transfer, [one.found.cell for one in champions])


def _written(accuracy: CellAccuracy | None) -> str:
    return "" if accuracy is None else write_accuracy(accuracy)


def _papers_line(row: PapersTransferRow) -> list[str]:
    accuracies = (row.accuracies["cifar100"], row.accuracies["imagenet16-120"])
    return [f"{row.r:g}", row.model, *(accuracy.printed for accuracy in accuracies)]


def _selection(results: StudyResults) -> str:
    return (
        "Of each group of samplers, the cells with the best accuracy on "
        f"{results.configuration.dataset} at C={results.widest}. They were chosen by the same test "
        "accuracy that stands here, which is optimistic for that reason; the other datasets took "
        "no part in the choice. Only there can a baseline be compared with them."
    )


def _how(results: StudyResults, found: list[dict[Cell, CellAccuracy]]) -> str:
    configuration = results.configuration
    n_cells = len({one.found.cell for one in _champions(results)})
    described = []
    for transfer, accuracies in zip(configuration.transfers, found, strict=True):
        n_done = sum(len(accuracy.runs) for accuracy in accuracies.values())
        n_all = n_cells * len(configuration.seeds)
        described.append(
            f"{transfer.dataset}: {describe_training(transfer)}, {n_done:,} of {n_all:,} trainings "
            "ended"
        )
    return f"Judged from scratch on the other datasets. {'; '.join(described)}."

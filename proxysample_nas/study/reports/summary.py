"""What was run, how far it got, and how its numbers have to be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxysample.wording import pluralize
from proxysample_nas.study.experiments.plan import kind_named
from proxysample_nas.study.grid.configuration import StudyConfiguration
from proxysample_nas.study.reports.comparison import compare_with_paper
from proxysample_nas.study.reports.protocol import name_seeds
from proxysample_nas.study.reports.results import StudyResults


def what_was_run(results: StudyResults) -> list[str]:
    """Say what the study compares.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    list of str
    """
    configuration = results.configuration
    data = results.facts.datasets[configuration.dataset]
    lines = [
        f"Data: {configuration.dataset}, {data.n_train:,} training and {data.n_test:,} test images "
        f"of {'x'.join(map(str, data.image_shape))} in {data.n_classes:,} classes.",
        "Samplers: " + ", ".join(one.label for one in configuration.samplers) + ".",
        f"Parts kept: r = {_listed(configuration.ratios)}, and the full data.",
        "Searchers: " + ", ".join(one.label for one in configuration.searchers) + ".",
        f"Searched from {name_seeds(configuration.search_seeds)}; judged at C = "
        f"{_listed(configuration.channels)} {_judged_by(configuration)}.",
    ]
    if configuration.transfers:
        names = ", ".join(transfer.dataset for transfer in configuration.transfers)
        lines.append(f"Best cells judged on {names} too.")
    return lines


def _judged_by(configuration: StudyConfiguration) -> str:
    if configuration.lookup is None:
        return f"from {name_seeds(configuration.seeds)}"
    return f"by the published accuracies of {configuration.lookup.dataset}"


def how_far_it_got(results: StudyResults) -> list[str]:
    """Count what has ended and what is missing.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    list of str
    """
    configuration = results.configuration
    found = [one for row in results.rows for one in row.found]
    n_strays = len(results.store.results("search")) - len(found)
    n_searches = len(found) + len(results.missing_searches())
    judged = {
        (one.cell, channels): accuracy
        for one in found
        for channels, accuracy in one.evaluations.items()
    }
    cells = {one.cell for one in found}
    lines = [
        f"{len(found):,} of {n_searches:,} searches have ended, in "
        f"{pluralize(len(cells), 'distinct cell')}."
    ]
    if configuration.lookup is None:
        n_trainings = len(cells) * len(configuration.channels) * len(configuration.seeds)
        n_runs = sum(len(accuracy.runs) for accuracy in judged.values())
        lines.append(f"{n_runs:,} of the {n_trainings:,} trainings that judge them have ended.")
    else:
        lines.append(f"{len(judged):,} of them have a published accuracy.")
    if n_strays > 0:
        lines.append(
            f"{pluralize(n_strays, 'search')} in the store are of other settings than "
            "these, or of a version of this library with other parameters; they are not shown."
        )
    return lines


def reading_rules(results: StudyResults) -> Iterator[str]:
    """Say what the numbers do not show.

    Parameters
    ----------
    results : StudyResults

    Yields
    ------
    str
    """
    configuration = results.configuration
    if len(configuration.search_seeds) == 1:
        spread = ": a row's spread is over the trainings of the one cell that was found"
        has_spread = configuration.lookup is None and len(configuration.seeds) > 1
        yield f"One search per row says nothing about another search{spread if has_spread else ''}."
    else:
        yield (
            f"{len(configuration.search_seeds)} searches per row: a row's spread is over searches. "
            "So few values leave the mean uncertain by about the spread over the root of their "
            "number."
        )
    yield (
        "A smaller r means fewer updates as well as less data, unless a searcher's updates an "
        "epoch are fixed: a difference between ratios is not due to the data alone."
    )
    yield "The best of many rows is partly the luckiest: picked after the fact, it is optimistic."
    if configuration.architecture_data == "test-half":
        yield (
            "The architecture was trained on half of the test part, as in the paper's code, and "
            "judged on the other half."
        )
    yield "Seconds are wall-clock time of this machine under this load."
    compared = [
        compare_with_paper(configuration, results.facts, one) for one in configuration.searchers
    ]
    if not any(compared):
        yield "The paper's numbers are of CIFAR-100 and four searchers; none of its tables fits."


def describe_experiment(kind: str, specification: dict[str, Any]) -> str:
    """Name an experiment by what decides its result.

    Parameters
    ----------
    kind : str
        See `proxysample.experiments.experiment.experiment_key`.
    specification : dict

    Returns
    -------
    str

    Examples
    --------
    >>> describe_experiment("selection", {"data": "ab", "sampler": "ae"})
    'selection: ae'
    """
    return f"{kind}: {kind_named(kind).describe(specification)}"


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)

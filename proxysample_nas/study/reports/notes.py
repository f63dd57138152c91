"""What a report states beside its numbers.

What was run and how far it got, how each table's numbers came about (data, protocol, seeds, machine
and cost), and how they have to be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from proxysample.components import Component
from proxysample.keeping import kept_sizes, list_sizes
from proxysample.machine import describe_versions
from proxysample.wording import pluralize, without_folders
from proxysample_nas.space.cell import Cell
from proxysample_nas.study.configuration import StudyConfiguration
from proxysample_nas.study.experiments.data import DatasetInfo
from proxysample_nas.study.experiments.plan import kind_named
from proxysample_nas.study.experiments.published import RandomCell
from proxysample_nas.study.given import Transfer, create_trainer
from proxysample_nas.study.reports.results import StudyResults
from proxysample_nas.study.results import Row


def protocol_notes(results: StudyResults, searcher: Component) -> tuple[str, ...]:
    """State how the numbers of a searcher's table came about.

    Parameters
    ----------
    results : StudyResults
    searcher : Component
        One of the study's.

    Returns
    -------
    tuple of str
        One subject each.
    """
    configuration, rows = results.configuration, results.rows_of(searcher)
    lines = [_data(configuration, results.info.datasets[configuration.dataset])]
    baseline = next((row for row in rows if row.setting.sampler is None and row.found), None)
    if baseline is not None:
        lines.append(_search(configuration, searcher, baseline.found[0].search))
    searches = [one.search for row in rows for one in row.found]
    if searches:
        lines.append(describe_machines([search["machine"] for search in searches]))
    lines += describe_versions(results.machines)
    if results.random_cell is not None:
        lines.append(_random_cell(results.random_cell))
    lines += [
        _evaluation(configuration, rows),
        *_isomorphic(rows),
        _cost(rows),
        _searches(configuration, rows),
    ]
    return tuple(lines)


_MARKS = (
    "A * marks collapsed cells alone (skips and pools, without parameters on the way), a ‡ "
    "disconnected cells alone (no path to the output)."
)


def name_seeds(seeds: tuple[int, ...]) -> str:
    """Write one seed or several."""
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))


def _data(configuration: StudyConfiguration, info: DatasetInfo) -> str:
    drawn = " (the training images drawn from more)" if configuration.n_train else ""
    half = " (half of the test part)" if info.split == "test half" else ""
    return (
        f"Data: {without_folders(configuration.dataset)}, {info.n_train:,} training and "
        f"{info.n_test:,} test "
        f"images{half}{drawn}, fingerprint {info.fingerprint[:12]}."
    )


def _random_cell(cells: RandomCell) -> str:
    return (
        f"A random cell of the {cells.n_cells:,} in the table: mean {cells.mean:.1f} ± "
        f"{cells.std:.1f}, median {cells.median:.1f}, best {cells.best:.1f}."
    )


def _searches(configuration: StudyConfiguration, rows: list[Row]) -> str:
    is_trained = configuration.lookup is None
    if not configuration.searches_several:
        has_spread = is_trained and len(configuration.seeds) > 1
        spread = "the spread is over the seeds that train the found cell, and"
        text = (
            f"One search per row: {spread if has_spread else 'it'} says nothing about how another "
            f"search would end. {_MARKS}"
        )
    else:
        evaluated = "the mean over its trainings" if is_trained else "its published accuracy"
        text = (
            f"{_per_row(configuration)}: mean ± sample standard deviation over their cells, each "
            f"evaluated by {evaluated}, and in brackets the lowest and the highest, of the cells "
            "that have a path to their output. Disconnected cells, which score chance, are "
            f"counted beside them. {_MARKS}"
        )
    n_all = sum(configuration.n_searches_of(row.setting.sampler) for row in rows)
    n_missing = n_all - sum(len(row.found) for row in rows)
    return text + (f" {pluralize(n_missing, 'search')} missing." if n_missing else "")


def _per_row(configuration: StudyConfiguration) -> str:
    n_seeds, n_proxies = len(configuration.search_seeds), len(configuration.proxy_seeds)
    searches = pluralize(n_seeds, "search")
    if n_proxies < 2:
        return f"{searches} per row"
    each = f"{searches} on each of {n_proxies} draws"
    return f"{each} per row, of a sampler that draws, and {searches} of the others"


def _search(
    configuration: StudyConfiguration, searcher: Component, result: Mapping[str, Any]
) -> str:
    info = result["facts"]
    parameters = info["parameters"]
    if info["searcher"] == "random" and parameters.get("n_samples") == 1:
        return (
            f"Search: random, {parameters['n_nodes']} nodes, "
            f"{name_seeds(configuration.search_seeds)}: one cell is drawn, and nothing is trained, "
            "so r decides nothing."
        )
    held_out = configuration.architecture_data == "held-out"
    source = "held out of the given training images" if held_out else "half of the test part"
    unseen = "The test images are" if held_out else "The other half is"
    batches = f"batches of {parameters['batch_size']}"
    length = f"{pluralize(parameters['epochs'], 'epoch')} of {batches}"
    if not parameters["epochs"]:
        length = f"without training, scored on one of the {batches}"
    return (
        f"Search: {info['searcher']}, {parameters['n_nodes']} nodes, "
        f"C={parameters['channels']}, {pluralize(parameters['cells_per_stage'], 'cell')} a stage, "
        f"{length}{_changed(configuration, searcher)}, {name_seeds(configuration.search_seeds)}; "
        f"architecture data {source} ({info['n_weight_samples']:,} images train weights and "
        f"{info['n_architecture_samples']:,} the architecture at r=1). "
        f"{unseen} never seen. {_length(parameters)}"
    )


# What the sentence about a search says anyway.
_TOLD = frozenset(
    {"n_nodes", "channels", "cells_per_stage", "epochs", "batch_size", "steps_per_epoch"}
)


def _changed(configuration: StudyConfiguration, searcher: Component) -> str:
    """Name what else was given to a search, such as its protocol."""
    given = {name: value for name, value in searcher.told.items() if name not in _TOLD}
    if configuration.augmentation:
        given |= {"augmentation": dict(configuration.augmentation)}
    return f" (with {given} changed)" if given else ""


def _length(parameters: dict[str, Any]) -> str:
    steps = parameters.get("steps_per_epoch")
    if not parameters["epochs"]:
        return "Nothing is trained, so r decides only which images are looked at."
    if steps is None:
        return "Equal epochs at every r, so a smaller r also means fewer updates."
    return (
        f"{pluralize(steps, 'update')} an epoch at every r, so a smaller r means as many updates."
    )


def describe_machines(machines: list[dict[str, Any]]) -> str:
    """Tell what searches ran on, which their seconds depend on.

    Parameters
    ----------
    machines : list of dict
        As the store keeps them, one per search.

    Returns
    -------
    str
        Each way of running named once.
    """
    ways = list(dict.fromkeys(_machine(machine) for machine in machines))
    caution = " Not all ran alike: compare their seconds with caution." if len(ways) > 1 else ""
    return f"Machine: {'; and '.join(ways)}, which the seconds depend on.{caution}"


def _machine(machine: dict[str, Any]) -> str:
    experiments = pluralize(machine["n_side_by_side"], "experiment")
    threads = pluralize(machine["n_threads"], "thread")
    processor = machine.get("model") or machine["processor"]
    return (
        f"{processor}, {pluralize(machine['n_cores'], 'core')}, device "
        f"{machine['device']}, torch {machine['torch']}; {experiments} at a time, {threads} each"
    )


def _evaluation(configuration: StudyConfiguration, rows: list[Row]) -> str:
    lookup = configuration.lookup
    if lookup is not None:
        return (
            f"Evaluation: published accuracies of {lookup.dataset} after {lookup.epochs} epochs, "
            f"looked up in {without_folders(lookup.path)}; nothing was trained."
        )
    spread = "mean ± sample standard deviation over " if len(configuration.seeds) > 1 else ""
    return (
        "Evaluation: each distinct cell trained from scratch on all training images, "
        f"{describe_training(configuration)}; test accuracy in percent after the last epoch, "
        f"{spread}{name_seeds(configuration.seeds)}.{_missing(configuration, rows)}"
    )


def describe_training(evaluation: StudyConfiguration | Transfer) -> str:
    """Tell how cells are trained when they are evaluated."""
    changed = dict(evaluation.augmentation)
    augmentation = f", augmentation with {changed} changed" if changed else ""
    trainer = create_trainer(
        evaluation.recipe, 1, (0,), evaluation.training, evaluation.augmentation, False
    )
    per_epoch = trainer.steps_per_epoch
    steps = "" if per_epoch is None else f", {pluralize(per_epoch, 'update')} an epoch"
    return (
        f"{pluralize(trainer.epochs, 'epoch')}, batches of {trainer.batch_size}, learning rate "
        f"{trainer.learning_rate:g} (recipe {evaluation.recipe!r} with "
        f"{dict(evaluation.training) or 'nothing'} changed), "
        f"{pluralize(trainer.cells_per_stage, 'cell')} a stage{steps}{augmentation}"
    )


def _missing(configuration: StudyConfiguration, rows: list[Row]) -> str:
    trained = {
        (one.cell, channels): one.evaluations.get(channels)
        for row in rows
        for one in row.found
        for channels in configuration.channels
    }
    n_missing = sum(
        len(configuration.seeds) - (0 if accuracy is None else len(accuracy.accuracies))
        for accuracy in trained.values()
    )
    return f" {pluralize(n_missing, 'training')} missing." if n_missing else ""


def _isomorphic(rows: list[Row]) -> list[str]:
    cells = {one.cell for row in rows for one in row.found}
    n_forms = count_up_to_isomorphism(cells)
    if n_forms == len(cells):
        return []
    return [
        f"Cells: {len(cells):,} distinct, {n_forms:,} up to isomorphism. Isomorphic ones compute "
        "the same functions, and are evaluated apart."
    ]


def count_up_to_isomorphism(cells: Iterable[Cell]) -> int:
    """Count cells, those that compute the same functions once.

    Examples
    --------
    >>> left, right = "|skip_connect~0|+|none~0|nor_conv_3x3~1|", "|none~0|+|nor_conv_3x3~0|none~1|"
    >>> count_up_to_isomorphism([Cell.from_string(left), Cell.from_string(right)])
    1
    """
    return len({cell.unique_form() for cell in cells})


def _cost(rows: list[Row]) -> str:
    searching = sum(one.seconds for row in rows for one in row.found)
    scoring = {
        row.setting.sampler.label: row.scoring_seconds or 0 for row in rows if row.setting.sampler
    }
    evaluated = {
        (one.cell, channels): accuracy
        for row in rows
        for one in row.found
        for channels, accuracy in one.evaluations.items()
    }
    n_runs = sum(len(accuracy.runs) for accuracy in evaluated.values())
    evaluation = sum(accuracy.seconds for accuracy in evaluated.values())
    return (
        f"Cost: {sum(scoring.values()):,.1f} s scoring, {searching:,.1f} s searching, "
        f"{evaluation:,.1f} s evaluating {pluralize(n_runs, 'training')}."
    )


def what_was_run(results: StudyResults) -> list[str]:
    """Say what the study compares."""
    configuration = results.configuration
    data = results.info.datasets[configuration.dataset]
    settings = [row.setting for row in results.rows]
    own = {one.r for one in settings if one.sampler is not None and one.sampler.size is not None}
    asked = kept_sizes(data.n_train, configuration.ratios, configuration.n)
    ratios = (*configuration.ratios, *sorted(own - asked.keys(), reverse=True))
    lines = [
        f"Data: {without_folders(configuration.dataset)}, {data.n_train:,} training and "
        f"{data.n_test:,} test images of {'x'.join(map(str, data.image_shape))} in "
        f"{data.n_classes:,} classes.",
        "Samplers: " + ", ".join(one.label for one in configuration.samplers) + ".",
        f"Parts kept: {list_sizes(ratios, configuration.n)}, and the full data.",
        "Searchers: " + ", ".join(one.label for one in configuration.searchers) + ".",
        f"Searched from {name_seeds(configuration.search_seeds)}; evaluated at C = "
        f"{_listed(configuration.channels)} {_evaluated_by(configuration)}.",
    ]
    if configuration.transfers:
        names = ", ".join(without_folders(one.dataset) for one in configuration.transfers)
        lines.append(f"Best cells evaluated on {names} too.")
    return lines


def _evaluated_by(configuration: StudyConfiguration) -> str:
    if configuration.lookup is None:
        return f"from {name_seeds(configuration.seeds)}"
    return f"by the published accuracies of {configuration.lookup.dataset}"


def how_far_it_got(results: StudyResults) -> list[str]:
    """Count what has ended and what is missing."""
    configuration = results.configuration
    found = [one for row in results.rows for one in row.found]
    n_strays = len(results.store.results("search")) - len(found)
    n_searches = len(found) + len(results.missing_searches())
    evaluated = {
        (one.cell, channels): accuracy
        for one in found
        for channels, accuracy in one.evaluations.items()
    }
    cells = {one.cell for one in found}
    n_forms = count_up_to_isomorphism(cells)
    up_to = f", {n_forms:,} up to isomorphism" if n_forms != len(cells) else ""
    lines = [
        f"{len(found):,} of {n_searches:,} searches have ended, in "
        f"{pluralize(len(cells), 'distinct cell')}{up_to}."
    ]
    if configuration.lookup is None:
        n_trainings = len(cells) * len(configuration.channels) * len(configuration.seeds)
        n_runs = sum(len(accuracy.runs) for accuracy in evaluated.values())
        lines.append(f"{n_runs:,} of the {n_trainings:,} trainings that evaluate them have ended.")
    else:
        lines.append(f"{len(evaluated):,} of them have a published accuracy.")
    if n_strays > 0:
        lines.append(
            f"{pluralize(n_strays, 'search')} in the store are of other settings than "
            "these, or of a version of this library with other parameters; they are not shown."
        )
    return lines


def reading_rules(results: StudyResults) -> Iterator[str]:
    """Say what the numbers do not show.

    Yields
    ------
    str
    """
    configuration = results.configuration
    if not configuration.searches_several:
        spread = ": a row's spread is over the trainings of the one cell that was found"
        has_spread = configuration.lookup is None and len(configuration.seeds) > 1
        yield f"One search per row says nothing about another search{spread if has_spread else ''}."
    else:
        yield (
            f"{_per_row(configuration)}: a row's spread is over searches. So few values leave the "
            "mean uncertain by about the spread over the root of their number."
        )
    yield (
        "A smaller r means fewer updates as well as less data, unless a searcher's updates an "
        "epoch are fixed: a difference between ratios is not due to the data alone."
    )
    yield (
        "The best of many rows is partly the luckiest: picked after the fact, it is optimistic. "
        "The verdicts say how often chance alone puts one above the full data."
    )
    if configuration.architecture_data == "test-half":
        yield (
            "The architecture was trained on half of the test part, as in the paper's code, and "
            "evaluated on the other half."
        )
    yield "Seconds are wall-clock time of this machine under this load."
    compared = [results.compare_with_paper(one) for one in configuration.searchers]
    if results.paper_column and not any(compared):
        yield "The paper's numbers are of CIFAR-100 and four searchers; none of its tables fits."


def describe_experiment(kind: str, specification: dict[str, Any]) -> str:
    """Name an experiment by what decides its result.

    Parameters
    ----------
    kind : str
        See `proxysample.experiments.experiment.experiment_key`.
    specification : dict

    Examples
    --------
    >>> describe_experiment("selection", {"data": "ab", "sampler": "ae"})
    'selection: ae'
    """
    return f"{kind}: {kind_named(kind).describe(specification)}"


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)

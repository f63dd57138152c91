"""What a report must state beside its numbers: data, protocol, seeds, machine and cost."""

from __future__ import annotations

from typing import Any

from proxysample_nas.study.configuration import Component, StudyConfiguration
from proxysample_nas.study.settings import Setting, Specifications
from proxysample_nas.study.store import Store
from proxysample_nas.study.table import Row, read_configuration


def describe_protocol(store: Store, searcher: Component, rows: list[Row]) -> str:
    """State how the numbers of a searcher's table came about.

    Parameters
    ----------
    store : Store
    searcher : Component
        One of the study's.
    rows : list of Row
        Its table.

    Returns
    -------
    str
        Markdown, one item a line.
    """
    configuration, fingerprint = read_configuration(store)
    baseline = store.get(
        "search", Specifications(configuration, fingerprint).search(Setting(searcher, None, 1.0))
    )
    lines = [_data(configuration, fingerprint, rows)]
    if baseline is not None and baseline.result is not None:
        lines += [_search(baseline.result), _machine(baseline.result["machine"])]
    lines += [_judging(configuration, rows), _cost(rows)]
    lines.append(
        "One search per row: the spread is over the seeds that train the found cell, and says "
        "nothing about how another search would end. A * marks a cell without parameters."
    )
    return "\n".join(f"- {line}" for line in lines if line)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _data(configuration: StudyConfiguration, fingerprint: str, rows: list[Row]) -> str:
    runs = [run for row in rows for e in row.evaluations.values() for run in e.runs]
    sizes = f", {runs[0].n_train:,} training and {runs[0].n_test:,} test images" if runs else ""
    drawn = " (the training images drawn from more)" if configuration.n_train else ""
    return f"Data: {configuration.dataset}{sizes}{drawn}, fingerprint {fingerprint[:12]}."


def _search(result: dict[str, Any]) -> str:
    facts = result["facts"]
    parameters = facts["parameters"]
    # "held out" and "validation": see SearchFacts.architecture_source.
    source = (
        "held out of the given training images"
        if facts["architecture_source"] == "held out"
        else "given apart"
    )
    return (
        f"Search: {facts['searcher']}, {parameters['n_nodes']} nodes, "
        f"C={parameters['channels']}, {_count(parameters['cells_per_stage'], 'cell')} a stage, "
        f"{_count(parameters['epochs'], 'epoch')} of batches of {parameters['batch_size']}, "
        f"seed {facts['seed']}; architecture data {source} "
        f"({facts['n_weight_samples']:,} images train weights and "
        f"{facts['n_architecture_samples']:,} the architecture at r=1). The test images are "
        "never seen. Equal epochs at every r, so a smaller r also means fewer updates."
    )


def _machine(machine: dict[str, Any]) -> str:
    experiments = _count(machine["n_side_by_side"], "experiment")
    threads = _count(machine["n_threads"], "thread")
    return (
        f"Machine: {machine['processor']}, {_count(machine['n_cores'], 'core')}, device "
        f"{machine['device']}, torch {machine['torch']}; {experiments} at a time, {threads} "
        "each, which the seconds depend on."
    )


def _judging(configuration: StudyConfiguration, rows: list[Row]) -> str:
    trainer = configuration.create_trainer(configuration.channels[0])
    seeds = ", ".join(map(str, configuration.seeds))
    missing = sum(
        len(configuration.seeds) - len(row.evaluations[c].runs if c in row.evaluations else ())
        for row in rows
        for c in configuration.channels
    )
    unfinished = f" {missing} trainings are missing." if missing else ""
    return (
        f"Judging: each distinct cell trained from scratch on all training images, "
        f"{_count(trainer.epochs, 'epoch')}, batches of {trainer.batch_size}, learning rate "
        f"{trainer.learning_rate:g} (recipe {configuration.recipe!r} with "
        f"{dict(configuration.training) or 'nothing'} changed), "
        f"{_count(trainer.cells_per_stage, 'cell')} a stage; test accuracy in percent "
        f"after the last epoch, mean ± sample standard deviation over seeds {seeds}.{unfinished}"
    )


def _cost(rows: list[Row]) -> str:
    searching = sum(row.search_seconds or 0 for row in rows)
    scoring = {
        row.setting.sampler.label: row.scoring_seconds or 0 for row in rows if row.setting.sampler
    }
    runs = {
        (str(run.cell), channels, run.seed): run.seconds
        for row in rows
        for channels, evaluation in row.evaluations.items()
        for run in evaluation.runs
    }
    return (
        f"Cost: {sum(scoring.values()):.1f} s scoring, {searching:.1f} s searching, "
        f"{sum(runs.values()):.1f} s judging {len(runs)} trainings."
    )

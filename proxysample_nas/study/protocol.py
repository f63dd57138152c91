"""What a report must state beside its numbers: data, protocol, seeds, machine and cost."""

from __future__ import annotations

from typing import Any

from proxysample_nas.study.component import Component
from proxysample_nas.study.configuration import StudyConfiguration
from proxysample_nas.study.facts import DatasetFacts
from proxysample_nas.study.rows import Row, read_configuration
from proxysample_nas.study.settings import Setting, Specifications
from proxysample_nas.study.store import Store


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
    configuration, facts = read_configuration(store)
    seed = configuration.search_seeds[0]
    baseline = store.get(
        "search", Specifications(configuration, facts).search(Setting(searcher, None, 1.0), seed)
    )
    lines = [_data(configuration, facts.datasets[configuration.dataset])]
    if baseline is not None and baseline.result is not None:
        lines += [
            _search(configuration, baseline.result),
            _machine(baseline.result["machine"]),
        ]
    lines += [_judging(configuration, rows), _cost(rows), _searches(configuration)]
    return "\n".join(f"- {line}" for line in lines if line)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _data(configuration: StudyConfiguration, facts: DatasetFacts) -> str:
    drawn = " (the training images drawn from more)" if configuration.n_train else ""
    half = " (half of the test part)" if facts.split == "test half" else ""
    return (
        f"Data: {configuration.dataset}, {facts.n_train:,} training and {facts.n_test:,} test "
        f"images{half}{drawn}, fingerprint {facts.fingerprint[:12]}."
    )


def _searches(configuration: StudyConfiguration) -> str:
    marked = "A * marks a row whose cells have no parameters."
    if len(configuration.search_seeds) == 1:
        return (
            "One search per row: the spread is over the seeds that train the found cell, and says "
            f"nothing about how another search would end. {marked}"
        )
    return (
        f"{len(configuration.search_seeds)} searches per row, mean ± sample standard deviation "
        f"over their cells, each judged by the mean over its trainings. {marked}"
    )


def _search(configuration: StudyConfiguration, result: dict[str, Any]) -> str:
    facts = result["facts"]
    parameters = facts["parameters"]
    held_out = configuration.architecture_data == "held-out"
    source = "held out of the given training images" if held_out else "half of the test part"
    unseen = "The test images are" if held_out else "The other half is"
    seeds = ", ".join(map(str, configuration.search_seeds))
    return (
        f"Search: {facts['searcher']}, {parameters['n_nodes']} nodes, "
        f"C={parameters['channels']}, {_count(parameters['cells_per_stage'], 'cell')} a stage, "
        f"{_count(parameters['epochs'], 'epoch')} of batches of {parameters['batch_size']}, "
        f"seed {seeds}; architecture data {source} "
        f"({facts['n_weight_samples']:,} images train weights and "
        f"{facts['n_architecture_samples']:,} the architecture at r=1). "
        f"{unseen} never seen. Equal epochs at every r, so a smaller r also means fewer updates."
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
    lookup = configuration.lookup
    if lookup is not None:
        return (
            f"Judging: published accuracies of {lookup.dataset} after {lookup.epochs} epochs, "
            f"looked up in {lookup.path}; nothing was trained."
        )
    trainer = configuration.create_trainer(configuration.channels[0])
    seeds = ", ".join(map(str, configuration.seeds))
    return (
        f"Judging: each distinct cell trained from scratch on all training images, "
        f"{_count(trainer.epochs, 'epoch')}, batches of {trainer.batch_size}, learning rate "
        f"{trainer.learning_rate:g} (recipe {configuration.recipe!r} with "
        f"{dict(configuration.training) or 'nothing'} changed), "
        f"{_count(trainer.cells_per_stage, 'cell')} a stage; test accuracy in percent "
        f"after the last epoch, mean ± sample standard deviation over seeds {seeds}."
        f"{_missing(configuration, rows)}"
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
    return f" {_count(n_missing, 'training')} missing." if n_missing else ""


def _cost(rows: list[Row]) -> str:
    searching = sum(one.seconds for row in rows for one in row.found)
    scoring = {
        row.setting.sampler.label: row.scoring_seconds or 0 for row in rows if row.setting.sampler
    }
    judged = {
        (one.cell, channels): accuracy
        for row in rows
        for one in row.found
        for channels, accuracy in one.evaluations.items()
    }
    n_runs = sum(len(accuracy.runs) for accuracy in judged.values())
    judging = sum(accuracy.seconds for accuracy in judged.values())
    return (
        f"Cost: {sum(scoring.values()):.1f} s scoring, {searching:.1f} s searching, "
        f"{judging:.1f} s judging {_count(n_runs, 'training')}."
    )

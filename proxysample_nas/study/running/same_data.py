"""A study goes on with the data that it began with, or not at all."""

from __future__ import annotations

from proxysample.errors import InputError
from proxysample_nas.study.experiments.facts import StudyFacts
from proxysample_nas.study.grid.configuration import StudyConfiguration
from proxysample_nas.study.results.rows import read_configuration
from proxysample_nas.study.store.store import Store


def refuse_changed_data(store: Store, configuration: StudyConfiguration, facts: StudyFacts) -> None:
    """Refuse data that have changed under the same name since a study's last run.

    What had finished on the old data would be left out of every table from then on, since
    experiments are named by what is in the data: hours of work, lost without a word.

    Parameters
    ----------
    store : Store
        Of the study's folder.
    configuration : StudyConfiguration
    facts : StudyFacts
        Of the data as they are now.

    Raises
    ------
    InputError
        If a dataset of the same name, cut to size alike, is another than before.
    """
    if store.fact("configuration") is None or store.fact("facts") is None:
        return
    earlier, known = read_configuration(store)
    for name, now in facts.datasets.items():
        before = known.datasets.get(name)
        if before is None or not _is_cut_alike(name, earlier, configuration):
            continue
        if before.fingerprint != now.fingerprint:
            raise InputError(
                f"the data of {name!r} have changed since this study's last run (fingerprint "
                f"{before.fingerprint[:12]} before, {now.fingerprint[:12]} now), and results on "
                "the two cannot stand in one table: bring the old data back, or run the study in "
                "another folder"
            )


def _is_cut_alike(name: str, earlier: StudyConfiguration, now: StudyConfiguration) -> bool:
    if earlier.dataset != name or now.dataset != name:
        # Other datasets are read whole, where neither study cuts them.
        return name not in (earlier.dataset, now.dataset)
    return (earlier.n_train, earlier.random_state) == (now.n_train, now.random_state)

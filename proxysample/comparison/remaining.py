"""What a comparison is to run, and how much of that its store has."""

from __future__ import annotations

from pathlib import Path

from proxysample.comparison.configuration import Configuration
from proxysample.comparison.data import CLEAN, ArmInfo, ComparisonInfo
from proxysample.comparison.experiments import ComparisonStore, Listing, read_comparison
from proxysample.wording import aligned, pluralize


def remaining_work(configuration: Configuration, path: Path) -> str:
    """Count what is to be run, a line for each sampler, without reading any data.

    Parameters
    ----------
    configuration : Configuration
    path : Path
        Of the store, which need not be there.
    """
    states: dict[str, tuple[str, float]] = {}
    info = _unread(configuration)
    if path.is_file():
        store = ComparisonStore(path)
        states = store.states()
        if store.info("facts") is not None:
            known = read_comparison(store)[1]
            # Arms that were not asked for before are not known yet.
            info = ComparisonInfo(
                {arm: known.arms.get(arm, one) for arm, one in info.arms.items()},
                known.held_out,
                known.features,
                known.features_key,
            )
    listing = Listing(configuration, info)
    found: dict[str, list[tuple[str, str]]] = {"scored": [], "trained": []}
    for scoring in listing.scorings():
        found["scored"].append((_name(scoring.method.component.label, scoring.arm), scoring.key))
    for place in listing.places():
        found["trained"].append((_name(place.method, place.arm), place.training.key))
    done = {key for key, (status, _) in states.items() if status == "done"}
    counts = {what: sum(key in done for _, key in keys) for what, keys in found.items()}
    words = " and ".join(
        f"{pluralize(len(found[what]), noun)}, {counts[what]:,} of them done"
        for what, noun in (("scored", "scoring"), ("trained", "training"))
    )
    lines = [["", "scored", "trained", "left"]]
    for name in dict.fromkeys(name for keys in found.values() for name, _ in keys):
        own = {what: [key for one, key in keys if one == name] for what, keys in found.items()}
        n_left = sum(key not in done for keys in own.values() for key in keys)
        lines.append([name, *(f"{len(keys):,}" for keys in own.values()), f"{n_left:,}"])
    return f"{words}\n{aligned(lines)}"


def _name(label: str, arm: str) -> str:
    return label if arm == CLEAN else f"{label}, {arm}"


def _unread(configuration: Configuration) -> ComparisonInfo:
    arms = [CLEAN] if configuration.source is None else configuration.source.arms
    return ComparisonInfo({arm: ArmInfo(arm, 1, 1, 1, "") for arm in arms}, "")

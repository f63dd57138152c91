"""Compare greedy orders on features with other packages: objective, seconds and processor seconds.

Facility location beside apricot-select and submodlib-py, k-center beside scikit-activeml's CoreSet,
on synthetic features of 100 classes. Those that are not installed are left out, and named. All
pick per class, as the samplers here do by default; the others are given one class after the other,
and only `--rival-classes` of them. Then all pick from one group of `--overall` rows.

    OMP_NUM_THREADS=1 python benchmarks/greedy.py
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import numpy as np

from proxysample.coverage.greedy import (
    facility_location_order,
    facility_location_value,
    herding_order,
    k_center_order,
)
from proxysample.coverage.groups import Group, for_each_group, members_of, places
from proxysample.features.rows import Rows, Workers
from proxysample.keeping import FloatArray, IntArray

Pick = Callable[[FloatArray, int], IntArray]


def make_features(n: int, d: int, n_classes: int) -> tuple[FloatArray, IntArray]:
    """Draw classes of features that are all positive, as those behind a ReLU are."""
    random = np.random.default_rng(0)
    codes = random.permutation(np.arange(n) % n_classes)
    centers = random.standard_normal((n_classes, d), dtype=np.float32)
    features = centers[codes]
    features += random.standard_normal((n, d), dtype=np.float32)
    return np.maximum(features, 0, out=features), codes


def cosine_similarities(features: FloatArray) -> FloatArray:
    """Compute what the others take: the matrix of all pairs."""
    directions = features / np.linalg.norm(features, axis=1, keepdims=True)
    similarities: FloatArray = directions @ directions.T
    return np.clip(similarities, 0, 1, out=similarities)


def by_apricot(features: FloatArray, n_picks: int) -> IntArray:
    """Pick by apricot's lazy greedy."""
    kind = import_module("apricot").FacilityLocationSelection
    selection = kind(n_picks, metric="precomputed", optimizer="lazy")
    return np.asarray(selection.fit(cosine_similarities(features)).ranking)


def by_submodlib(features: FloatArray, n_picks: int) -> IntArray:
    """Pick by submodlib's lazy greedy."""
    kind = import_module("submodlib.functions.facilityLocation").FacilityLocationFunction
    similarities = cosine_similarities(features)
    function = kind(n=len(features), mode="dense", sijs=similarities, separate_rep=False)
    with contextlib.redirect_stdout(io.StringIO()):
        found = function.maximize(
            budget=min(n_picks, len(features) - 1),  # it refuses to order the last
            optimizer="LazyGreedy",
            stopIfZeroGain=False,
            stopIfNegativeGain=False,
            show_progress=False,
        )
    return np.array([index for index, _ in found])


def by_skactiveml(features: FloatArray, n_picks: int) -> IntArray:
    """Pick by scikit-activeml's CoreSet, from the row nearest to the mean as we do."""
    labels = np.full(len(features), np.nan)
    first = int(np.argmin(np.linalg.norm(features - features.mean(axis=0), axis=1)))
    labels[first] = 0
    strategy = import_module("skactiveml.pool").CoreSet(random_state=0)
    found = strategy.query(X=features, y=labels, batch_size=n_picks - 1)
    return np.array([first, *found])


# By what it is called: the module, the package, what picks, and the objective.
RIVALS: dict[str, tuple[str, str, Pick]] = {
    "facility-location, apricot": ("apricot", "apricot-select", by_apricot),
    "facility-location, submodlib": ("submodlib", "submodlib-py", by_submodlib),
    "k-center, scikit-activeml": ("skactiveml", "scikit-activeml", by_skactiveml),
}

OURS: dict[str, Callable[..., IntArray]] = {
    "herding": herding_order,
    "k-center": k_center_order,
    "facility-location": facility_location_order,
}


def radius(features: FloatArray, chosen: IntArray) -> float:
    """Measure how far the farthest row is from the nearest that is chosen."""
    nearest = np.full(len(features), np.inf)
    for index in chosen:
        np.minimum(nearest, np.linalg.norm(features - features[index], axis=1), out=nearest)
    return float(nearest.max())


def objective(name: str, features: FloatArray, chosen: IntArray) -> float:
    """Measure what a method is greedy for."""
    wide = features.astype(np.float64)
    if name.startswith("facility"):
        return facility_location_value(Group(wide), chosen)
    if name.startswith("k-center"):
        return radius(wide, chosen)
    return float(np.linalg.norm(wide[chosen].mean(axis=0) - wide.mean(axis=0)))


def per_class(options: argparse.Namespace, rivals: dict[str, Pick]) -> None:
    """Order each class: all by ours, and some by all."""
    features, codes = make_features(options.rows, options.features, options.classes)
    order_classes(features, codes, options.kept, {})
    if options.rival_classes:
        some = codes < options.rival_classes
        order_classes(features[some], codes[some], options.kept, rivals)
    print(f"objective: mean over classes, with {options.kept:.0%} of each kept")


def order_classes(
    features: FloatArray, codes: IntArray, kept: float, rivals: dict[str, Pick]
) -> None:
    """Order each class to its end, by the others also as far as is kept."""
    members = members_of(codes, len(features))
    n_picks = [max(1, round(kept * len(group))) for group in members]
    print(f"\n{len(features):,} x {features.shape[1]:,} in {len(members)} classes, each by itself")
    header()
    for name, function in OURS.items():

        def order(group: Group, function: Callable[..., IntArray] = function) -> FloatArray:
            return places(function(group))

        with Clock() as clock, Workers() as workers:
            scores = for_each_group(order, Rows(features), codes, workers)
        firsts = [
            group[np.argsort(scores[group])[:count]]
            for group, count in zip(members, n_picks, strict=True)
        ]
        chosen = [
            np.searchsorted(group, first) for group, first in zip(members, firsts, strict=True)
        ]
        row(name, "all", clock, mean_objective(name, features, members, chosen))
    for name, pick in rivals.items():
        for share in (kept, 1.0):
            with Clock() as clock:
                chosen = [
                    pick(features[group], max(1, round(share * len(group)))) for group in members
                ]
            firsts = [found[:count] for found, count in zip(chosen, n_picks, strict=True)]
            worth = mean_objective(name, features, members, firsts)
            row(name, "all" if share == 1 else f"{share:.0%}", clock, worth)


def mean_objective(
    name: str, features: FloatArray, members: list[IntArray], chosen: list[IntArray]
) -> float:
    """Average the objective over classes."""
    found = [objective(name, features[g], c) for g, c in zip(members, chosen, strict=True)]
    return float(np.mean(found))


def overall(options: argparse.Namespace, rivals: dict[str, Pick]) -> None:
    """Pick from one group, of growing size, as far as memory and patience go."""
    for n in options.overall:
        features, _ = make_features(n, options.features, options.classes)
        picks = options.picks
        print(f"\n{n:,} x {options.features:,} in one group, {picks:,} picks")
        header()
        for name, function in OURS.items():
            with Clock() as clock, Workers() as workers:
                group = Group(features.astype(np.float64), 0, workers.map)
                chosen = function(group, picks)
            row(name, f"{picks:,}", clock, objective(name, features, chosen))
        for name, pick in rivals.items():
            if n > options.rivals_hold:
                print(f"| {name} | {picks:,} | left out: {8 * n * n / 1e9:,.0f} GB of pairs |||")
                continue
            with Clock() as clock:
                chosen = pick(features, picks)
            row(name, f"{picks:,}", clock, objective(name, features, chosen))


def present() -> dict[str, Pick]:
    """Give the others that are installed, compiled and loaded by a first small run."""
    found = {name: pick for name, (module, _, pick) in RIVALS.items() if find_spec(module)}
    small, _ = make_features(20, 4, 2)
    for pick in found.values():
        pick(small, 5)
    return found


class Clock:
    """Measures seconds and processor seconds, as a context."""

    def __enter__(self) -> Clock:
        self._started = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds = time.perf_counter() - self._started[0]
        self.cpu_seconds = time.process_time() - self._started[1]


def header() -> None:
    """Print the head of a table."""
    print("| | picks | seconds | CPU seconds | objective |\n|---|---|---|---|---|")


def row(name: str, picks: str, clock: Clock, worth: float) -> None:
    """Print a line of a table."""
    print(f"| {name} | {picks} | {clock.seconds:.2f} | {clock.cpu_seconds:.2f} | {worth:.6f} |")


def main() -> None:
    """Read the options, say what is there, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--features", type=int, default=1_280)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--rival-classes", type=int, default=10)
    parser.add_argument("--kept", type=float, default=0.1)
    parser.add_argument("--overall", type=int, nargs="*", default=[5_000, 50_000])
    parser.add_argument("--picks", type=int, default=500)
    parser.add_argument("--rivals-hold", type=int, default=20_000, help="rows the others get")
    options = parser.parse_args()
    for _, package, _ in RIVALS.values():
        try:
            print(f"{package} {version(package)}")
        except PackageNotFoundError:
            print(f"{package} is not installed and left out")
    warnings.simplefilter("ignore")
    rivals = present()
    per_class(options, rivals)
    overall(options, rivals)


if __name__ == "__main__":
    main()

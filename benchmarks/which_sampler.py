"""Which sampler pays on CIFAR-100: what each keeps, against class-random parts of the same size.

Two regimes, held to the test images. ``head``: all 50,000 training images, frozen features of the
packaged backbone, and a linear head on them; minutes once the features are made. ``network``: 20
classes of 500 images, a small network from scratch on the pixels; features are known to the
samplers alone. Scores by training dynamics come from one recorded training of the same kind on all
of the data, by a seed that no evaluation uses. Settings are the samplers' defaults, or stand in the
name; none was tuned on the test images. The one setting of our own, what herding cuts and compares,
was chosen by ``choice``: on a tenth of the training images that is set aside, and no sampler sees.
What has finished is kept in the folder, and the same call goes on.

    python benchmarks/which_sampler.py choice --dataset npz:.data/cifar100.npz
    python benchmarks/which_sampler.py head --dataset npz:.data/cifar100.npz
    python benchmarks/which_sampler.py network --dataset npz:.data/cifar100.npz
    python benchmarks/which_sampler.py head --show results/evidence/head --figure head.svg
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from proxysample import ArrayDataset, DynamicsRecorder, create_sampler, embed, load_dataset
from proxysample.comparison import Comparison
from proxysample.comparison.comparison import set_up
from proxysample.comparison.parts import BudgetKind
from proxysample.comparison.results import ComparisonResults, Row
from proxysample.data.datasets import Splits
from proxysample.figures import HUES, INK, MARKERS, create_figure, save_figure, settle_layout

OF_FEATURES = (
    "herding:random_state=0", "herding:metric=cosine,random_state=0",
    "herding:metric=cosine,cut=0.3,random_state=0", "facility-location", "d2", "moderate",
    "prototypes:random_state=0", "prototypes:keep=hard,random_state=0", "k-center:random_state=0",
    "semdedup:random_state=0", "zcore:random_state=0",
)  # fmt: skip
OF_THE_PAPER = (
    "cc-or", "km-or:random_state=0", "km-or:features=pixels,random_state=0", "tl:random_state=0",
    "tl:keep=hard,random_state=0", "ae:epochs=5,random_state=0",
)  # fmt: skip
OF_DYNAMICS = (
    "ccs", "ccs:per_class=true", "dual", "dual:per_class=true", "aum", "aum:per_class=true", "el2n",
    "el2n:keep=easy,per_class=true", "forgetting", "entropy", "margin", "least-confidence",
    "variability", "confidence", "dyn-unc", "tdds", "csl", "learning-speed", "first-learned",
)  # fmt: skip
OF_GRADIENTS = ("grand:random_state=1000", "cld:random_state=1000")
RECORDED = frozenset(word.partition(":")[0] for word in OF_DYNAMICS)
OF_CHOICE = (
    "herding:random_state=0", "herding:metric=cosine,random_state=0",
    *(f"herding:metric=cosine,cut={cut},random_state=0" for cut in (0.1, 0.2, 0.3, 0.5)),
)  # fmt: skip
OF_NETWORK = (
    "herding:random_state=0", "herding:metric=cosine,random_state=0",
    "herding:metric=cosine,cut=0.3,random_state=0", "facility-location", "dual",
    "dual:per_class=true", "ccs", "ccs:per_class=true",
)  # fmt: skip
SETTINGS = {
    "choice": (OF_CHOICE, (0.05, 0.1, 0.25, 0.5), 3),
    "head": (OF_FEATURES + OF_THE_PAPER + OF_DYNAMICS + OF_GRADIENTS, (0.05, 0.1, 0.25, 0.5), 5),
    "network": (OF_NETWORK, (0.1, 0.25, 0.5), 10),
}
DRAWN = (
    "rs2", "herding (cut=0.3, metric=cosine)", "herding", "dual", "ccs", "facility-location",
    "k-center", "moderate", "el2n", "cc-or", "km-or (features=pixels)", "tl", "ae (epochs=5)",
)  # fmt: skip
TOLD = {
    "cc-or": "cc-or, on pixels",
    "km-or (features=pixels)": "km-or, on pixels",
    "el2n": "el2n, hardest",
}
OF_PAPER = ("cc-or", "km-or", "tl", "ae")
BAND = "#8a97a5"
N_CLASSES_OF_NETWORK = 20
SEED_OF_RECORD = 1000


def main(arguments: list[str] | None = None) -> None:
    """Run what is left, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("regime", choices=sorted(SETTINGS))
    parser.add_argument("--dataset", default="npz:.data/cifar100.npz")
    parser.add_argument("--folder", type=Path, default=Path("results/evidence"))
    parser.add_argument("--features", help="an .npy of features, training part first")
    parser.add_argument("--budget", choices=("epochs", "steps", "both"), default="epochs")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--show", type=Path, nargs="+", help="folders that are only to be shown")
    parser.add_argument("--figure", help="with --show: draw accuracy over r, as an SVG or PNG")
    options = parser.parse_args(arguments)
    if options.show:
        for folder in options.show:
            print(table(Comparison.open(folder)))
        if options.figure:
            draw(options.show, options.figure)
        return
    folder = options.folder / options.regime
    folder.mkdir(parents=True, exist_ok=True)
    splits, features = data(options)
    samplers, ratios, seeds = SETTINGS[options.regime]
    if options.regime == "choice":
        more = {"evaluator": "head", "held_out": 0.1, "features": features[: len(splits.train)]}
        splits = Splits(splits.name, splits.train)
    else:
        record = recorded(options.regime, splits, features, folder / "record.npz")
        samplers = tuple(with_record(word, record) for word in samplers)
        more = {"evaluator": options.regime, "features": features}
    comparison = set_up(
        splits, samplers, ratios, folder, seeds=seeds, budget=options.budget, **more
    )
    comparison.run(n_workers=options.workers, progress=True)
    print(table(comparison))
    comparison.report()


def with_record(word: str, record: Path) -> str:
    """Have a sampler that goes by training dynamics read a record."""
    if word.partition(":")[0] not in RECORDED and "cut=" not in word:
        return word
    return f"{word}{',' if ':' in word else ':'}record={record}"


def data(options: argparse.Namespace) -> tuple[Splits, np.ndarray]:
    """Read the parts that a regime compares on, and their features, training part first."""
    splits = load_dataset(options.dataset)
    parts = [splits.train, splits.require_test()]
    if options.features is None:
        made = [np.asarray(embed(part, folder=options.folder / "features")) for part in parts]
    else:
        both = np.load(options.features, mmap_mode="r")
        made = [both[: len(parts[0])], both[len(parts[0]) :]]
    if options.regime == "network":
        rows = [np.flatnonzero(np.asarray(part.targets) < N_CLASSES_OF_NETWORK) for part in parts]
        parts = [
            ArrayDataset(part.images[kept], np.asarray(part.targets)[kept])
            for part, kept in zip(parts, rows, strict=True)
        ]
        made = [one[kept] for one, kept in zip(made, rows, strict=True)]
    return Splits(splits.name, *parts), np.concatenate(made)


def recorded(regime: str, splits: Splits, features: np.ndarray, path: Path) -> Path:
    """Record one training on all of the training part, unless that was done before."""
    if not path.exists():
        own = (
            {"network": "small"}
            if regime == "network"
            else {"features": np.array(features[: len(splits.train)])}
        )
        sampler = create_sampler("aum", random_state=SEED_OF_RECORD, progress=True, **own)
        record = sampler.fit(splits.train).record_
        assert isinstance(record, DynamicsRecorder)
        record.save(path)
    return path


def table(comparison: Comparison) -> str:
    """Give accuracies, and differences to class-random with 95 % intervals; * is Holm below .05."""
    results = comparison.results()
    told = [
        f"Equal {budget}. {table_of(results, budget)}" for budget in results.configuration.budgets
    ]
    ran = "; ".join(results.machines)
    return (
        "\n\n".join(told) + f"\n\n{ran}; {results.n_missing} trainings missing.\n"
        f"{comparison.verdict}"
    )


def table_of(results: ComparisonResults, budget: BudgetKind) -> str:
    """Give what was found by one budget."""
    methods = list(dict.fromkeys(row.method for row in results.rows))
    ratios = sorted({row.r for row in results.rows} - {1.0})
    lines = [
        "| kept by | " + " | ".join(f"r = {r:g}" for r in ratios) + " | scoring, s |",
        "|---" * (len(ratios) + 2) + "|",
    ]
    for method in methods:
        found = [results.find(method, r) for r in ratios]
        if all(row is None or budget not in row.cells for row in found):
            continue
        seconds = next(
            (row.scoring_seconds for row in found if row and row.scoring_seconds is not None), None
        )
        words = ["" if row is None else cell(row, budget) for row in found]
        lines.append(
            f"| {short(method)} | "
            + " | ".join(words)
            + f" | {'' if seconds is None else f'{seconds:.1f}'} |"
        )
    whole = next((row for row in results.rows if row.r == 1), None)
    told = "" if whole is None else f"All data: {cell(whole, budget)}.\n\n"
    return told + "\n".join(lines)


def draw(folders: Sequence[Path], path: str) -> None:
    """Draw accuracy over r of some methods; of several runs the last that has one."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for folder in folders:
        found |= accuracies(folder / "comparison.csv")
    figure = create_figure(7.2, 4.6)
    axes = figure.subplots()
    whole = found["all data"][0][1]
    axes.axhline(whole, color=INK, linewidth=1, linestyle=":", label=f"all data ({whole:.1f})")
    ratios, means, spreads = map(np.array, zip(*found["cc-rs"], strict=True))
    axes.fill_between(ratios, means - spreads, means + spreads, color=BAND, alpha=0.35, linewidth=0)
    axes.plot(ratios, means, color=BAND, linewidth=2.5, label="cc-rs, mean and std")
    for place, name in enumerate(name for name in DRAWN if name in found):
        axes.plot(
            *list(zip(*found[name], strict=True))[:2],
            color=INK if name == "rs2" else HUES[place % len(HUES)],
            marker=MARKERS[place % len(MARKERS)],
            linestyle="--" if name.partition(" ")[0] in OF_PAPER else "-",
            markersize=4.5,
            linewidth=1.2,
            label=TOLD.get(name, name),
        )
    axes.set_xscale("log")
    axes.set_xticks(ratios, [f"{r:g}" for r in ratios])
    axes.minorticks_off()
    axes.set_xlabel("r, part of the training data")
    axes.set_ylabel("test accuracy, %")
    axes.grid(axis="y", color="#d5dbe1", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    settle_layout(figure)
    save_figure(figure, path)


def accuracies(path: Path) -> dict[str, list[tuple[float, float, float]]]:
    """Read r, mean and deviation of each method from the table that a comparison leaves."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    with path.open(newline="") as stream:
        for line in csv.DictReader(stream):
            values = (line["r"], line["mean_accuracy_epochs"], line["std_accuracy_epochs"] or 0)
            found.setdefault(short(line["method"]), []).append(tuple(map(float, values)))
    return {method: sorted(values) for method, values in found.items()}


def cell(row: Row, budget: BudgetKind) -> str:
    """Say what one method came to at one ratio."""
    if budget not in row.cells:
        return ""
    found = row.cells[budget]
    words = f"{found.mean:.1f}" + ("" if found.std is None else f" ± {found.std:.1f}")
    if found.difference is None:
        return words
    half = found.difference.half or float("nan")
    marked = "*" if found.is_better or found.is_worse else ""
    return f"{words} ({found.difference.mean:+.1f} ± {half:.1f}){marked}"


def short(method: str) -> str:
    """Leave out what says only where a record lies, or which seed drew."""
    words = re.sub(r"(, )?(record=[^,)]*|random_state=0)", "", method)
    return words.replace("(, ", "(").replace(" ()", "").lower()


if __name__ == "__main__":
    main()

"""The command line of proxysample: select, score, embed, compare, report, samplers."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from proxysample.cli_compare import compare
from proxysample.cli_support import (
    OverwriteOption,
    QuietOption,
    VerboseOption,
    VersionOption,
    echo,
    echo_line,
    list_entries,
    make_app,
    parse_ratio,
    refuse_existing,
    run_app,
)
from proxysample.errors import InputError
from proxysample.own_modules import named_class
from proxysample.registry import (
    READERS,
    RULES,
    SAMPLERS,
    create_sampler,
    takes_parameter,
)
from proxysample.wording import parse_parameters

if TYPE_CHECKING:
    from proxysample.ranking import Ranking
    from proxysample.sampler import Sampler

app = make_app("Pick the part of a training set worth keeping.")

DatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset",
        help=f"digits, or one of {', '.join(name for name in READERS if name != 'digits')} with "
        ":PATH; its training part. Options go before the colon: csv,root=photos:train.csv.",
    ),
]
AUTO = "auto"
SamplerOption = Annotated[
    str,
    typer.Option(
        "--sampler", help=f"One of {', '.join(SAMPLERS)}, or module:Class of one of your own."
    ),
]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option("--param", help="A sampler's parameter, name=value. May be repeated."),
]
ImageOption = Annotated[
    str | None,
    typer.Option("--image", help="Where the image is in a sample: a key, a column or a position."),
]
LabelOption = Annotated[
    str | None,
    typer.Option("--label", help="Where the label is in a sample: a key, a column or a position."),
]
FeaturesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--features",
        help="A column of vectors to read in place of images, or, repeated, columns of numbers.",
    ),
]
BrokenOption = Annotated[
    str | None,
    typer.Option(
        "--broken",
        help="stop, as by default, or skip: samples that cannot be read are told and never kept.",
    ),
]
DistinctLabelsOption = Annotated[
    bool,
    typer.Option(
        "--distinct-labels", help="Confirm that labels which are all different are classes."
    ),
]
KeepOption = Annotated[
    str | None,
    typer.Option(
        "--keep",
        help=f"Keeping rule: one of {', '.join(name for name in RULES if name != 'given')}, with "
        "parameters as in ccs:beta=0.3; for samplers that have a choice.",
    ),
]
RandomStateOption = Annotated[
    int, typer.Option("--random-state", min=0, help="Seed, for samplers that draw.")
]


OptionalDatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="As for score; with --ranking it may be left out where no files are written.",
    ),
]
OptionalSamplerOption = Annotated[
    str | None,
    typer.Option("--sampler", help=f"One of {', '.join(SAMPLERS)}; auto, unless --ranking."),
]
BalanceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--balance",
        help="none, proportional, equal, counts such as cat=100,dog=50, weights:cat=2,dog=1, or "
        "need:cat=0.9,dog=0.5, which are recalls. By default the sampler's way.",
    ),
]
MinPerClassOption = Annotated[
    int, typer.Option("--min-per-class", min=0, help="Keep at least so many of each class.")
]
MustKeepOption = Annotated[
    Path | None,
    typer.Option(
        "--must-keep",
        help="A list of samples to keep whatever their scores: an index, file or key a line, or "
        ".npy.",
    ),
]
ExcludeOption = Annotated[
    Path | None, typer.Option("--exclude", help="A list of samples never to keep.")
]


def main() -> NoReturn:
    """Run the command line."""
    run_app(app)


@app.callback()
def about(version: VersionOption = False) -> None:
    """Pick the part of a training set worth keeping."""


@app.command()
def select(
    dataset: OptionalDatasetOption = None,
    sampler: OptionalSamplerOption = None,
    ranking: Annotated[
        Path | None,
        typer.Option("--ranking", help="What score wrote, .npz: it is cut, and nothing is scored."),
    ] = None,
    r: Annotated[
        list[str] | None,
        typer.Option("--ratio", "-r", help="Fraction to keep, in (0, 1]. May be repeated."),
    ] = None,
    n: Annotated[
        list[int] | None,
        typer.Option("--number", "-n", help="Number of samples to keep. May be repeated."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Indices as .npy, a table of all samples as .csv or .parquet, the kept files as "
            ".txt, or .json; - prints indices. Of several sets {r} in it is the ratio or number.",
        ),
    ] = None,
    link_to: Annotated[
        str | None,
        typer.Option("--link-to", help="New folder of links to the kept files; {r} as above."),
    ] = None,
    copy_to: Annotated[
        str | None,
        typer.Option("--copy-to", help="New folder of copies of the kept files; {r} as above."),
    ] = None,
    link_kind: Annotated[
        str,
        typer.Option(
            "--link-kind", help="symbolic, by absolute paths, or hard, on one file system."
        ),
    ] = "symbolic",
    balance: BalanceOption = None,
    min_per_class: MinPerClassOption = 0,
    must_keep: MustKeepOption = None,
    exclude: ExcludeOption = None,
    param: ParameterOption = None,
    keep: KeepOption = None,
    random_state: RandomStateOption = 0,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    image: ImageOption = None,
    label: LabelOption = None,
    features: FeaturesOption = None,
    broken: BrokenOption = None,
    distinct_labels: DistinctLabelsOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Write which samples to keep: indices, a table, a list of files, or a folder.

    Indices are ascending int64 and point into the dataset's training part.
    """
    from proxysample.cli_select import (
        Destinations,
        Teller,
        cuts_of,
        rules_of,
        score_or_load,
        tell_kept,
    )
    from proxysample.data.keys import keys_of
    from proxysample.outputs import SelectionWriter
    from proxysample.sampler import with_indices

    _check_source(dataset, sampler, ranking, param)
    if ranking is None:
        sampler = sampler or AUTO
    ratios, counts = [parse_ratio(word) for word in r or ()], list(n or ())
    rules = rules_of(balance, min_per_class, must_keep, exclude)
    cuts = cuts_of(ratios, counts, rules)
    places = Destinations.named(cuts, output, link_to, copy_to, link_kind)
    refuse_existing(places.files, overwrite)
    teller = Teller(quiet, verbose, to_stderr=places.echoes)
    saved = None if ranking is None else _load_ranking(ranking, keep)
    chosen = (
        None if sampler is None else _sampler(sampler, param, keep, random_state, quiet, verbose)
    )
    train = (
        None
        if dataset is None
        else _training_part(dataset, image, label, features, broken, distinct_labels)
    )
    keys = None if train is None else keys_of(train)
    places.check_against(keys, dataset is not None)
    rules = with_indices(train, rules)
    cuts = cuts_of(ratios, counts, rules)
    made = score_or_load(chosen, saved, train, cuts)
    teller.explain(f"{made!r} in {made.provenance.get('seconds', 0.0):.1f} s")
    writer = SelectionWriter(made, keys, dataset)
    of = "samples" if dataset is None else f"training samples of {dataset}"
    kept = made.cut_many(cuts)
    for place, (cut, indices) in enumerate(zip(cuts, kept, strict=True)):
        where = places.write(place, writer, cut, indices)
        size = "" if cut.r is None else f" (r={cut.r:g})"
        name = sampler or made.provenance.get("sampler", str(ranking))
        n_whole, skipped = len(made.whole_indices), _skipped_words(made)
        teller.say(f"{name} keeps {len(indices):,} of the {n_whole:,} {of}{size}{skipped}: {where}")
        tell_kept(teller, made, indices)
    if sampler == AUTO:
        teller.say(f"auto took {made.provenance['details']['chosen']}")
    if len(cuts) > 1:
        teller.say_unless_nested(made)


def _check_source(
    dataset: str | None, sampler: str | None, ranking: Path | None, param: list[str] | None
) -> None:
    if sampler is not None and ranking is not None:
        raise InputError("give --sampler, or --ranking FILE to cut what was scored before")
    if dataset is None and ranking is None:
        raise InputError("give --dataset")
    if ranking is not None and param:
        raise InputError("--param is a sampler's, and --ranking was scored before; leave it out")


def _load_ranking(path: Path, keep: str | None) -> Ranking:
    from proxysample.ranking import Ranking

    loaded = Ranking.load(path)
    return loaded if keep is None else loaded.with_rule(keep)


@app.command()
def score(
    dataset: DatasetOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="Ranking, as .npz.")],
    sampler: SamplerOption = AUTO,
    param: ParameterOption = None,
    keep: KeepOption = None,
    random_state: RandomStateOption = 0,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    image: ImageOption = None,
    label: LabelOption = None,
    features: FeaturesOption = None,
    broken: BrokenOption = None,
    distinct_labels: DistinctLabelsOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Write a ranking: the scores of all samples, to be cut at any ratio.

    By proxysample select --ranking PATH, or in Python Ranking.load(PATH).select(0.25).
    """
    from proxysample.cli_select import Teller
    from proxysample.files import check_output

    chosen = _sampler(sampler, param, keep, random_state, quiet, verbose)
    check_output(output, ".npz", "a ranking is saved")
    refuse_existing([output], overwrite)
    train = _training_part(dataset, image, label, features, broken, distinct_labels)
    ranking = chosen.rank(train)
    ranking.save(output)
    if not quiet:
        seconds = ranking.provenance["seconds"]
        echo_line(f"{ranking!r}{_skipped_words(ranking)} in {seconds:.1f} s: {output}")
    Teller(quiet).say_unless_nested(ranking)


@app.command()
def embed(
    dataset: DatasetOption,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of features; made where missing.")
    ],
    backbone: Annotated[
        str, typer.Option("--backbone", help="A timm model, or a registered backbone.")
    ] = "tf_efficientnet_lite0",
    weights: Annotated[str, typer.Option("--weights", help="auto, package or hub.")] = "auto",
    input_size: Annotated[
        int | None, typer.Option("--input-size", min=1, help="Pixels a side; else the network's.")
    ] = None,
    dtype: Annotated[str, typer.Option("--dtype", help="float32 or float16.")] = "float32",
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    num_workers: Annotated[
        int, typer.Option("--num-workers", min=0, help="Processes that decode.")
    ] = 0,
    image: ImageOption = None,
    label: LabelOption = None,
    broken: BrokenOption = None,
    executor: Annotated[
        str, typer.Option("--executor", help="in-process, or ray: spread by Ray Data.")
    ] = "in-process",
    n_workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Networks side by side on Ray.")
    ] = None,
    n_threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads of each on Ray.")
    ] = None,
    n_gpus: Annotated[
        float | None, typer.Option("--gpus", help="GPUs of each on Ray, such as 0.25.")
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Of a running Ray cluster, such as auto.")
    ] = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Compute features by a frozen network, once, and keep them for every sampler.

    Taken up where it was if it is stopped or killed. Samplers read what it writes:
    --param features=embed:FOLDER.
    """
    from typing import cast

    from proxysample.features.backbones import Weights
    from proxysample.features.embedding import Executor
    from proxysample.features.embedding import embed as embed_dataset
    from proxysample.features.store import DType

    train = _training_part(dataset, image, label, broken=broken)
    features = embed_dataset(
        train,
        folder=output,
        backbone=backbone,
        # Whatever else they are is refused there.
        weights=cast(Weights, weights),
        input_size=input_size,
        dtype=cast(DType, dtype),
        device=device,
        num_workers=num_workers,
        progress=_shows_progress(quiet, verbose),
        executor=cast(Executor, executor),
        n_workers=n_workers,
        n_threads=n_threads,
        n_gpus=n_gpus,
        address=address,
    )
    if not quiet:
        echo_line(f"{features!r}: {features.folder}")
    if verbose:
        for name, value in features.provenance.items():
            echo_line(f"  {name}: {value}", err=True)


app.command()(compare)


@app.command()
def report(
    dataset: DatasetOption,
    sampler: SamplerOption = AUTO,
    r: Annotated[
        list[str] | None,
        typer.Option(
            "--ratio",
            "-r",
            help="Fraction to keep, in (0, 1]. Repeated, the others are offered on the page, too, "
            "which matters where sets do not nest.",
        ),
    ] = None,
    n: Annotated[
        int | None, typer.Option("--number", "-n", help="Number of samples to keep.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A page to look through: .html, or a folder for more than some thousand samples; "
            "by default text.",
        ),
    ] = None,
    neighbours: Annotated[
        str | None,
        typer.Option(
            "--neighbours-by",
            help="What neighbours on the page are found by: embed:FOLDER or a backbone's name. By "
            "default the sampler's own features, or the thumbnails' pixels.",
        ),
    ] = None,
    balance: BalanceOption = None,
    min_per_class: MinPerClassOption = 0,
    must_keep: MustKeepOption = None,
    exclude: ExcludeOption = None,
    param: ParameterOption = None,
    keep: KeepOption = None,
    random_state: RandomStateOption = 0,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    image: ImageOption = None,
    label: LabelOption = None,
    features: FeaturesOption = None,
    broken: BrokenOption = None,
    distinct_labels: DistinctLabelsOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Show what a sampler keeps and drops: as text, or as a page of pictures to look through."""
    from proxysample.cli_select import rules_of
    from proxysample.gallery.page import check_page
    from proxysample.selection import Cut

    ratios = [parse_ratio(one) for one in r or ()]
    rules = rules_of(balance, min_per_class, must_keep, exclude)
    ratio = ratios[0] if ratios else None
    Cut(r=ratio, n=n, **rules)
    chosen = _sampler(sampler, param, keep, random_state, quiet, verbose)
    if output is not None:
        check_page(output)
        refuse_existing([output], overwrite)
    elif len(ratios) > 1 or neighbours is not None:
        raise InputError("more than one -r, and --neighbours-by, are for a page: name it by -o")
    train = _training_part(dataset, image, label, features, broken, distinct_labels)
    if output is not None:
        check_page(output, len(train))
    built = chosen.report(train, ratio, n=n, **rules)
    if output is None:
        echo(str(built))
        return
    built.save(output, ratios=ratios[1:], features=neighbours)
    if not quiet:
        echo_line(f"{built.title}: {output}")


@app.command()
def samplers() -> None:
    """List the samplers, those of plug-ins with their package."""
    list_entries(SAMPLERS)


def _training_part(
    dataset: str,
    image: str | None = None,
    label: str | None = None,
    features: list[str] | None = None,
    broken: str | None = None,
    distinct_labels: bool = False,
) -> Any:
    """Load what is selected from, as a view that says what it does not tell of itself."""
    from typing import cast

    from proxysample.data.datasets import load_dataset
    from proxysample.data.fields import Broken

    columns = None if not features else as_field(features[0]) if len(features) == 1 else features
    return load_dataset(
        dataset,
        image=None if image is None else as_field(image),
        label=None if label is None else as_field(label),
        features=columns,
        # Whatever else it is is refused there.
        broken=cast("Broken | None", broken),
        distinct_labels=distinct_labels or None,
    ).train


def as_field(word: str) -> str | int:
    """Read a key, or a position such as 1 or -1.

    Examples
    --------
    >>> as_field("species"), as_field("-1")
    ('species', -1)
    """
    return int(word) if re.fullmatch(r"-?[0-9]{1,9}", word) else word


def _skipped_words(ranking: Ranking) -> str:
    n_skipped = len(ranking) - len(ranking.whole_indices)
    return f", {n_skipped:,} more cannot be read and are skipped" if n_skipped else ""


def _shows_progress(quiet: bool, verbose: bool) -> bool:
    # Some work takes an hour, and a person who waits should see how far it is.
    return verbose or (sys.stderr.isatty() and not quiet)


def _sampler(
    name: str,
    words: list[str] | None,
    keep: str | None,
    random_state: int,
    quiet: bool,
    verbose: bool,
) -> Sampler:
    first, colon, rest = name.partition(":")
    if colon and first in SAMPLERS:
        raise InputError(
            f"--sampler takes an id alone here: give --sampler {first}, and what is in {rest!r} "
            "by --param name=value, one for each"
        )
    name = named_class(name, SAMPLERS)
    parameters = parse_parameters(words or ())
    if keep is not None:
        parameters["keep"] = _checked_keep(name, parameters, keep)
    shown = _shows_progress(quiet, verbose)
    for parameter, value in {"random_state": random_state, "progress": shown}.items():
        if takes_parameter(name, parameter):
            parameters.setdefault(parameter, value)
    made = create_sampler(name, **parameters)
    # Before any data are read.
    made.check_parameters()
    return made


def _checked_keep(name: str, parameters: dict[str, Any], keep: str) -> str:
    if "keep" in parameters:
        raise InputError("--param keep= and --keep are one thing; leave one out")
    if not takes_parameter(name, "keep"):
        raise InputError(f"{name} has no keeping rule to choose; leave --keep out")
    return keep

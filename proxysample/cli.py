"""The command line of proxysample: select, score, embed, report, samplers."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from proxysample.cli_support import list_entries, parse_ratio, run_app
from proxysample.registry import (
    READERS,
    SAMPLERS,
    create_sampler,
    takes_parameter,
)
from proxysample.wording import parse_parameters

if TYPE_CHECKING:
    from proxysample.data.fields import FieldArguments
    from proxysample.ranking import Ranking
    from proxysample.sampler import Sampler

app = typer.Typer(
    help="Pick the part of a training set worth keeping.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

DatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset",
        help=f"digits, or one of {', '.join(name for name in READERS if name != 'digits')} with "
        ":PATH; its training part.",
    ),
]
SamplerOption = Annotated[str, typer.Option("--sampler", help=f"One of {', '.join(SAMPLERS)}.")]
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
    str,
    typer.Option(
        "--broken",
        help="stop, or skip: samples that cannot be read are told and never kept.",
    ),
]
DistinctLabelsOption = Annotated[
    bool,
    typer.Option(
        "--distinct-labels", help="Confirm that labels which are all different are classes."
    ),
]
RandomStateOption = Annotated[
    int, typer.Option("--random-state", min=0, help="Seed, for samplers that draw.")
]


def main() -> NoReturn:
    """Run the command line."""
    run_app(app)


@app.command()
def select(
    dataset: DatasetOption,
    sampler: SamplerOption,
    r: Annotated[str, typer.Option("--ratio", "-r", help="Fraction to keep, in (0, 1].")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Indices, as .npy.")],
    param: ParameterOption = None,
    random_state: RandomStateOption = 0,
    image: ImageOption = None,
    label: LabelOption = None,
    features: FeaturesOption = None,
    broken: BrokenOption = "stop",
    distinct_labels: DistinctLabelsOption = False,
) -> None:
    """Write the indices of the samples to keep.

    The indices are ascending int64 and point into the dataset's training part.
    """
    import numpy as np

    from proxysample.files import check_output, replace_file

    ratio = parse_ratio(r)
    chosen = _sampler(sampler, param, random_state)
    check_output(output, ".npy", "indices are written")
    train, reading = _training_part(dataset, image, label, features, broken, distinct_labels)
    ranking = chosen.rank(train, **reading)
    indices = ranking.select(ratio)
    with replace_file(output) as stream:
        np.save(stream, indices, allow_pickle=False)
    typer.echo(
        f"{sampler} keeps {len(indices):,} of the {len(ranking.whole_indices):,} training samples "
        f"of {dataset} (r={ratio:g}){_skipped_words(ranking)}: {output}"
    )


@app.command()
def score(
    dataset: DatasetOption,
    sampler: SamplerOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="Ranking, as .npz.")],
    param: ParameterOption = None,
    random_state: RandomStateOption = 0,
    image: ImageOption = None,
    label: LabelOption = None,
    features: FeaturesOption = None,
    broken: BrokenOption = "stop",
    distinct_labels: DistinctLabelsOption = False,
) -> None:
    """Write a ranking: the scores of all samples, to be cut at any ratio.

    In Python: Ranking.load(PATH).select(0.25).
    """
    from proxysample.files import check_output

    chosen = _sampler(sampler, param, random_state)
    check_output(output, ".npz", "a ranking is saved")
    train, reading = _training_part(dataset, image, label, features, broken, distinct_labels)
    ranking = chosen.rank(train, **reading)
    ranking.save(output)
    seconds = ranking.provenance["seconds"]
    typer.echo(f"{ranking!r}{_skipped_words(ranking)} in {seconds:.1f} s: {output}")


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
) -> None:
    """Compute features by a frozen network, once, and keep them for every sampler.

    Taken up where it was if it is stopped or killed. Samplers read what it writes:
    --param features=embed:FOLDER.
    """
    from typing import cast

    from proxysample.data.datasets import load_dataset
    from proxysample.features.backbones import Weights
    from proxysample.features.embedding import DType, Executor
    from proxysample.features.embedding import embed as embed_dataset

    train = load_dataset(
        dataset,
        image=None if image is None else as_field(image),
        label=None if label is None else as_field(label),
    ).train
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
        progress=sys.stderr.isatty(),
        executor=cast(Executor, executor),
        n_workers=n_workers,
        n_threads=n_threads,
        n_gpus=n_gpus,
        address=address,
    )
    typer.echo(f"{features!r}: {features.folder}")


@app.command()
def report(
    dataset: DatasetOption,
    sampler: SamplerOption,
    r: Annotated[str, typer.Option("--ratio", "-r", help="Fraction to keep, in (0, 1].")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A page, as .html; by default text."),
    ] = None,
    param: ParameterOption = None,
    random_state: RandomStateOption = 0,
    image: ImageOption = None,
    label: LabelOption = None,
    features: FeaturesOption = None,
    broken: BrokenOption = "stop",
    distinct_labels: DistinctLabelsOption = False,
) -> None:
    """Show what a sampler keeps and drops: classes, scores, pictures and cost."""
    from proxysample.files import check_output

    ratio = parse_ratio(r)
    chosen = _sampler(sampler, param, random_state)
    if output is not None:
        check_output(output, ".html", "a report is saved")
    train, reading = _training_part(dataset, image, label, features, broken, distinct_labels)
    built = chosen.report(train, ratio, **reading)
    if output is None:
        typer.echo(str(built))
    else:
        built.save(output)
        typer.echo(f"{built.title}: {output}")


@app.command()
def samplers() -> None:
    """List the samplers, those of plug-ins with their package."""
    list_entries(SAMPLERS)


def _training_part(
    dataset: str,
    image: str | None,
    label: str | None,
    features: list[str] | None,
    broken: str,
    distinct_labels: bool,
) -> tuple[Any, FieldArguments]:
    """Load what is selected from, and give what samplers are to be told of it."""
    from proxysample.data.datasets import load_dataset
    from proxysample.data.fields import check_broken

    checked = check_broken(broken)
    columns = None if not features else as_field(features[0]) if len(features) == 1 else features
    train = load_dataset(
        dataset,
        image=None if image is None else as_field(image),
        label=None if label is None else as_field(label),
        features=columns,
        broken=checked,
    ).train
    return train, {"broken": checked, "distinct_labels": distinct_labels}


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


def _sampler(name: str, words: list[str] | None, random_state: int) -> Sampler:
    parameters = parse_parameters(words or ())
    # Some samplers work for an hour, and a person who waits should see how far they are.
    defaults = {"random_state": random_state, "progress": sys.stderr.isatty()}
    for parameter, value in defaults.items():
        if takes_parameter(name, parameter):
            parameters.setdefault(parameter, value)
    return create_sampler(name, **parameters)

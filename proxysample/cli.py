"""The command line of proxysample: select, score, report, samplers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

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
) -> None:
    """Write the indices of the samples to keep.

    The indices are ascending int64 and point into the dataset's training part.
    """
    import numpy as np

    from proxysample.data.datasets import load_dataset
    from proxysample.files import check_output, replace_file

    ratio = parse_ratio(r)
    chosen = _sampler(sampler, param, random_state)
    check_output(output, ".npy", "indices are written")
    train = load_dataset(dataset).train
    indices = chosen.select(train, ratio)
    with replace_file(output) as stream:
        np.save(stream, indices, allow_pickle=False)
    typer.echo(
        f"{sampler} keeps {len(indices):,} of the {len(train):,} training samples of {dataset} "
        f"(r={ratio:g}): {output}"
    )


@app.command()
def score(
    dataset: DatasetOption,
    sampler: SamplerOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="Ranking, as .npz.")],
    param: ParameterOption = None,
    random_state: RandomStateOption = 0,
) -> None:
    """Write a ranking: the scores of all samples, to be cut at any ratio.

    In Python: Ranking.load(PATH).select(0.25).
    """
    from proxysample.data.datasets import load_dataset
    from proxysample.files import check_output

    chosen = _sampler(sampler, param, random_state)
    check_output(output, ".npz", "a ranking is saved")
    ranking = chosen.rank(load_dataset(dataset).train)
    ranking.save(output)
    typer.echo(f"{ranking!r} in {ranking.provenance['seconds']:.1f} s: {output}")


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
) -> None:
    """Show what a sampler keeps and drops: classes, scores, pictures and cost."""
    from proxysample.data.datasets import load_dataset
    from proxysample.files import check_output

    ratio = parse_ratio(r)
    chosen = _sampler(sampler, param, random_state)
    if output is not None:
        check_output(output, ".html", "a report is saved")
    built = chosen.report(load_dataset(dataset).train, ratio)
    if output is None:
        typer.echo(str(built))
    else:
        built.save(output)
        typer.echo(f"{built.title}: {output}")


@app.command()
def samplers() -> None:
    """List the samplers, those of plug-ins with their package."""
    list_entries(SAMPLERS)


def _sampler(name: str, words: list[str] | None, random_state: int) -> Sampler:
    parameters = parse_parameters(words or ())
    # Some samplers work for an hour, and a person who waits should see how far they are.
    defaults = {"random_state": random_state, "progress": sys.stderr.isatty()}
    for parameter, value in defaults.items():
        if takes_parameter(name, parameter):
            parameters.setdefault(parameter, value)
    return create_sampler(name, **parameters)

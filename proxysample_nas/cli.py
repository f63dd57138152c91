"""The command line of proxysample_nas: search and evaluate; see cli_study for studies."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from proxysample.cli_support import VersionOption, list_entries, make_app, run_app
from proxysample.errors import InputError, check_names
from proxysample.registry import READERS
from proxysample.words import parse_parameters
from proxysample_nas.cli_study import study_app
from proxysample_nas.searchers.registry import SEARCHERS, list_searchers

app = make_app("Search cells on proxy datasets, and judge what was found.")
app.add_typer(study_app, name="study")

DatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset",
        help=f"digits, or one of {', '.join(name for name in READERS if name != 'digits')} with "
        ":PATH.",
    ),
]


def main() -> NoReturn:
    """Run the command line."""
    run_app(app)


@app.callback()
def about(version: VersionOption = False) -> None:
    """Search cells on proxy datasets, and judge what was found."""


@app.command()
def search(
    dataset: DatasetOption,
    searcher: Annotated[
        str, typer.Option("--searcher", help=f"One of {', '.join(list_searchers())}.")
    ],
    indices: Annotated[
        Path | None, typer.Option("--indices", help="What `proxysample select` wrote.")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", help="A searcher's parameter, name=value. Repeat."),
    ] = None,
    random_state: Annotated[int, typer.Option("--random-state", min=0, help="Seed.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The whole result, as .json.")
    ] = None,
    drawing: Annotated[
        Path | None, typer.Option("--draw", help="The cell, as .png, .svg or .pdf.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="File to go on from when killed.")
    ] = None,
) -> None:
    """Search a cell on a dataset's training part, or on a proxy of it, and print the cell."""
    from proxysample.data.datasets import load_dataset
    from proxysample.files import check_writable
    from proxysample_nas.data.images import load_images
    from proxysample_nas.drawing import check_drawing_path, save_drawing
    from proxysample_nas.searchers import create_searcher

    parameters: dict[str, Any] = {"random_state": random_state} | parse_parameters(param or ())
    chosen = create_searcher(searcher, **parameters)
    if parameters.get("protocol") == "paper":
        raise InputError(
            "protocol=paper trains the architecture on half of the test part, which a study "
            "gives it: proxysample-nas study run --architecture-data test-half"
        )
    for path in (output, drawing):
        if path is not None:
            check_writable(path)
    if drawing is not None:
        check_drawing_path(drawing)
    train = load_images(load_dataset(dataset).train)
    if indices is not None:
        import torch

        from proxysample.samplers import read_indices

        train = train.take(torch.from_numpy(read_indices(indices, len(train))))
    result = chosen.search(train, checkpoint=checkpoint)
    if output is not None:
        result.save(output)
    if drawing is not None:
        title = f"{searcher} on {len(train):,} images of {dataset}"
        save_drawing(result.cell, drawing, title, result.space)
    typer.echo(f"{searcher} on {len(train):,} images of {dataset}, {result.seconds:.1f} s:")
    typer.echo(str(result.cell))


@app.command()
def searchers() -> None:
    """List the searchers, those of plug-ins with their package."""
    list_entries(SEARCHERS)


@app.command()
def evaluate(
    dataset: DatasetOption,
    cell: Annotated[str, typer.Option("--cell", help="Such as '|nor_conv_3x3~0|'.")],
    recipe: Annotated[str, typer.Option("--recipe", help="paper or nas-bench-201.")] = "paper",
    param: Annotated[
        list[str] | None,
        typer.Option("--param", help="A parameter of CellTrainer, name=value. Repeat."),
    ] = None,
    save_network: Annotated[
        Path | None,
        typer.Option("--save-network", help="The network, as .safetensors; NAME-SEED if several."),
    ] = None,
) -> None:
    """Train a cell's network from scratch on the training part and judge it on the test part."""
    from proxysample.data.datasets import load_dataset
    from proxysample_nas.space.cell import Cell
    from proxysample_nas.training.trained import check_network_paths
    from proxysample_nas.training.trainer import CellTrainer

    judged = Cell.from_string(cell)
    parameters = parse_parameters(param or ())
    check_names("parameter of CellTrainer", parameters, [one.name for one in fields(CellTrainer)])
    try:
        trainer = CellTrainer.from_recipe(recipe, **parameters)
    except TypeError as error:
        raise InputError(f"CellTrainer: {error}") from error
    paths = check_network_paths(save_network, trainer.seeds)
    splits = load_dataset(dataset)
    result = trainer.evaluate(judged, splits.train, splits.require_test(), keep_network=bool(paths))
    seeds = ", ".join(
        f"{accuracy:.2f} (seed {seed})"
        for accuracy, seed in zip(result.accuracies, result.seeds, strict=True)
    )
    spread = f" ± {result.std:.2f}" if len(result.runs) > 1 else ""
    typer.echo(
        f"{result.mean:.2f}{spread} % of {splits.name}'s test part after the last "
        f"epoch: {seeds}; {result.n_parameters:,} parameters, {result.seconds:.1f} s"
    )
    for trained, path in zip(result.trained, paths, strict=True):
        trained.save(path)
        typer.echo(f"network: {path}")

"""The command line of proxysample_nas: search, evaluate, and studies run, watched and reported."""

from __future__ import annotations

import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from proxysample.cli_support import (
    AddressOption,
    CountOption,
    ExecutorOption,
    GpusOption,
    MaxHoursOption,
    OverwriteOption,
    RetryFailedOption,
    ThreadsOption,
    VersionOption,
    WorkersOption,
    echo,
    echo_line,
    list_entries,
    make_app,
    parse_ratio,
    refuse_existing,
    run_app,
    run_to_end,
    say,
    tell_failures,
    wanted_progress,
)
from proxysample.errors import InputError, check_names
from proxysample.own_modules import find_modules_here, named_class
from proxysample.registry import READERS, SAMPLERS
from proxysample.wording import parse_parameters
from proxysample_nas.cli_rank import LookupDatasetOption, LookupEpochsOption, lookup_settings, rank
from proxysample_nas.searchers.registry import SEARCHERS, list_searchers

if TYPE_CHECKING:
    from proxysample.agreement import RankAgreement
    from proxysample.experiments.store import Store
    from proxysample_nas.data.images import LabelledImages
    from proxysample_nas.study import Study, StudyConfiguration


PaperColumnOption = Annotated[
    bool,
    typer.Option(
        "--paper-column/--no-paper-column",
        help="Whether the paper's numbers stand beside ours where they may.",
    ),
]


def study_report(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the study.")],
    page: Annotated[
        Path | None, typer.Option("--page", help="The page; by default report/report.html in it.")
    ] = None,
    paper_column: PaperColumnOption = True,
) -> None:
    """Write every table, figure and one page from a study's store alone, into report/."""
    from proxysample_nas.study import Study

    for path in Study.open(output).report(page, paper_column=paper_column):
        say(f"saved {path}")


study_app = make_app("Run a study and report it.")

OutputFolder = Annotated[Path, typer.Option("--output", "-o", help="Folder of the study.")]


SamplerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--sampler",
        help=f"One of {', '.join(SAMPLERS)}, with parameters as in km-or:n_clusters=50 or "
        "indices:path=FILE.npy. Repeat.",
    ),
]
RatioOption = Annotated[
    list[str] | None, typer.Option("--ratio", "-r", help="Fraction to keep. Repeat.")
]
SearcherOption = Annotated[
    list[str] | None,
    typer.Option(
        "--searcher",
        help=f"One of {', '.join(list_searchers())}, with parameters as in "
        "darts-v1:epochs=10. Repeat.",
    ),
]
SearchSeedOption = Annotated[
    list[int] | None, typer.Option("--search-seed", help="One search for each. Repeat.")
]
ProxySeedOption = Annotated[
    list[int] | None,
    typer.Option("--proxy-seed", help="One draw of each sampler that draws. Repeat."),
]
ChannelsOption = Annotated[
    list[int] | None, typer.Option("--channels", help="Width of evaluation. Repeat.")
]
SeedOption = Annotated[list[int] | None, typer.Option("--seed", help="Of evaluation. Repeat.")]


@study_app.command("run")
def study_run(
    output: OutputFolder,
    preset: Annotated[str | None, typer.Option("--preset", help="A study by name.")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="With a test part.")] = None,
    sampler: SamplerOption = None,
    r: RatioOption = None,
    n: CountOption = None,
    searcher: SearcherOption = None,
    search_seed: SearchSeedOption = None,
    proxy_seed: ProxySeedOption = None,
    architecture_data: Annotated[
        str | None, typer.Option("--architecture-data", help="held-out, or test-half as the paper.")
    ] = None,
    channels: ChannelsOption = None,
    seed: SeedOption = None,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", help="Of evaluation: nas-bench-201 (the default) or paper."),
    ] = None,
    train: Annotated[
        list[str] | None,
        typer.Option("--train", help="A parameter of CellTrainer, name=value. Repeat."),
    ] = None,
    augment: Annotated[
        list[str] | None,
        typer.Option("--augment", help="Of the images, such as flip=false. Repeat."),
    ] = None,
    n_train: Annotated[
        int | None, typer.Option("--n-train", help="Use only so many training images.")
    ] = None,
    transfer: Annotated[
        list[str] | None,
        typer.Option(
            "--transfer",
            help="Evaluate the best cells on another dataset too, such as cifar10:DIR,channels=16; "
            "none takes a preset's away. Repeat.",
        ),
    ] = None,
    lookup: Annotated[
        Path | None, typer.Option("--lookup", help="Published accuracies, in place of training.")
    ] = None,
    lookup_dataset: LookupDatasetOption = None,
    lookup_epochs: LookupEpochsOption = None,
    workers: WorkersOption = None,
    threads: ThreadsOption = 1,
    executor: ExecutorOption = None,
    gpus: GpusOption = None,
    address: AddressOption = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="List what is left, and how long it takes here by a short calibration.",
        ),
    ] = False,
    calibration_seconds: Annotated[
        float,
        typer.Option(
            "--calibration-seconds",
            min=0,
            help="For each sampler, searcher and width in a dry run, where there is a choice.",
        ),
    ] = 4.0,
    retry_failed: RetryFailedOption = False,
    max_hours: MaxHoursOption = None,
    rank_cells: Annotated[
        int | None,
        typer.Option(
            "--rank-cells",
            min=3,
            help="Then also rank so many random cells on the full data and on every proxy, by a "
            "small budget, and tell how far the ranks agree.",
        ),
    ] = None,
    drop: Annotated[
        bool,
        typer.Option(
            "--drop", help="Leave out of the tables what the folder's study has and this has not."
        ),
    ] = False,
) -> None:
    """Run what the study in a folder lacks, print its tables and save them there.

    With --output alone the study that is there goes on. One that was killed goes on where it
    stopped, and several commands may run the same study at a time.
    """
    from proxysample_nas.study import Study
    from proxysample_nas.study.run import store_path

    find_modules_here([*(sampler or ()), *(searcher or ())])
    given = {
        "dataset": dataset,
        "samplers": sampler,
        "ratios": [parse_ratio(word) for word in r] if r else None,
        "n": n or None,
        "searchers": searcher,
        "search_seeds": search_seed,
        "proxy_seeds": proxy_seed,
        "architecture_data": architecture_data,
        "channels": channels,
        "seeds": seed,
        "recipe": recipe,
        "training": parse_parameters(train) if train else None,
        "augmentation": parse_parameters(augment) if augment else None,
        "n_train": n_train,
        "transfers": [] if transfer == ["none"] else transfer,
        "lookup": lookup_settings(lookup, lookup_dataset, lookup_epochs),
    }
    settings = {name: value for name, value in given.items() if value is not None}
    is_there = store_path(output).exists()
    if preset is None and not settings and is_there:
        study = Study.open(output)
    else:
        if is_there and preset is None:
            _refuse_part_of_a_study(output, settings)
        study = Study.from_configuration(output, _configuration(preset, settings))
    if dry_run:
        _estimate(study, workers, threads, calibration_seconds)
        if rank_cells is not None:
            echo(f"\nThen cells are ranked. {_planned_ranking(study, rank_cells).outline()}")
        return
    _finish(
        study,
        rank_cells=rank_cells,
        executor=executor,
        n_workers=workers,
        n_threads=threads,
        n_gpus=gpus,
        address=address,
        retry_failed=retry_failed,
        max_hours=max_hours,
        drop=drop,
    )


@study_app.command("add")
def study_add(
    output: OutputFolder,
    sampler: SamplerOption = None,
    r: RatioOption = None,
    n: CountOption = None,
    searcher: SearcherOption = None,
    channels: ChannelsOption = None,
    seed: SeedOption = None,
    search_seed: SearchSeedOption = None,
    proxy_seed: ProxySeedOption = None,
    workers: WorkersOption = None,
    threads: ThreadsOption = 1,
    executor: ExecutorOption = None,
    gpus: GpusOption = None,
    address: AddressOption = None,
    retry_failed: RetryFailedOption = False,
    max_hours: MaxHoursOption = None,
) -> None:
    """Add to what the study in a folder compares, and run what is new.

    All that has finished stays in the tables.
    """
    from proxysample_nas.study import Study

    find_modules_here([*(sampler or ()), *(searcher or ())])
    study = Study.open(output).add(
        samplers=sampler or (),
        ratios=[parse_ratio(word) for word in r or ()],
        n=n or (),
        searchers=searcher or (),
        channels=channels or (),
        seeds=seed or (),
        search_seeds=search_seed or (),
        proxy_seeds=proxy_seed or (),
    )
    _finish(
        study,
        executor=executor,
        n_workers=workers,
        n_threads=threads,
        n_gpus=gpus,
        address=address,
        retry_failed=retry_failed,
        max_hours=max_hours,
    )


@study_app.command("status")
def study_status(output: OutputFolder) -> None:
    """Tell from a study's store alone what is done, running, failed and left."""
    from proxysample_nas.study import Study

    echo(Study.open(output).status())


@study_app.command("watch")
def study_watch(
    output: OutputFolder,
    every: Annotated[
        float, typer.Option("--every", min=0.1, help="Seconds between two looks.")
    ] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, and leave.")] = False,
) -> None:
    """Tell again and again how far a study is, with the epochs of the searches that run.

    It ends when nothing is left, or on Ctrl-C; the study does not notice.
    """
    from proxysample_nas.study import Study

    study = Study.open(output)
    while True:
        status = study.status()
        echo("\n".join([str(status), *map(str, study.running_searches())]))
        if once or not any(stage.running or stage.left for stage in status.stages):
            return
        echo("")
        time.sleep(every)


@study_app.command("table")
def study_table(output: OutputFolder, paper_column: PaperColumnOption = True) -> None:
    """Print and save the tables of a study that was run before, from its store alone."""
    from proxysample_nas.study import Study

    _report(Study.open(output), paper_column)


study_app.command("report")(study_report)


def _refuse_part_of_a_study(output: Path, settings: dict[str, Any]) -> None:
    """Say how a folder's study goes on, where some of a study's settings are given and no more."""
    if not {"dataset", "samplers", "searchers"} <= settings.keys():
        raise InputError(
            f"{output} has a study: --output alone goes on with it, and proxysample-nas study add "
            f"gives it more of what it compares; {', '.join(settings)} without the rest of its "
            "settings is no study"
        )


def _configuration(preset: str | None, settings: dict[str, Any]) -> StudyConfiguration:
    from proxysample_nas.study import StudyConfiguration
    from proxysample_nas.study import preset as by_name

    if preset is not None:
        return by_name(preset, **settings)
    needed = ("dataset", "samplers", "ratios", "searchers")
    missing = [
        name
        for name in needed
        if name not in settings and (name != "ratios" or "n" not in settings)
    ]
    if missing:
        words = ", ".join(name if name != "ratios" else "ratios or n" for name in missing)
        raise InputError(f"a study without --preset also needs {words}")
    return StudyConfiguration.build(**settings)


def _estimate(study: Study, workers: int | None, threads: int, seconds: float) -> None:
    echo(
        study.estimate(
            n_workers=workers, n_threads=threads, seconds_each=seconds, **wanted_progress()
        )
    )


def _finish(study: Study, *, rank_cells: int | None = None, **options: Any) -> None:
    """Run a study, and the ranking that was asked for, show them, and tell of what failed."""
    began = time.monotonic()
    # First, so that what cannot be ranked is told before hours of work.
    ranking = None if rank_cells is None else _planned_ranking(study, rank_cells)
    n_failed = run_to_end(study.run, **options, **wanted_progress())
    _report(study)
    stores: list[Store] = [study.store]
    if ranking is not None:
        del options["drop"]
        if options["max_hours"] is not None:
            # A run ends at once that has no time left.
            over = (time.monotonic() - began) / 3600
            options["max_hours"] = max(options["max_hours"] - over, 1e-9)
        n_failed += run_to_end(ranking.run, **options, **wanted_progress())
        echo(ranking.table())
        stores.append(ranking.store)
    tell_failures(n_failed, *stores)


def _planned_ranking(study: Study, n_cells: int) -> RankAgreement:
    from proxysample_nas.agreement.rank import plan_study_ranking

    return plan_study_ranking(study, n_cells)


def _report(study: Study, paper_column: bool = True) -> None:
    for component in study.configuration.searchers:
        echo(study.table(component.label, paper_column=paper_column))
    echo(study.verdicts())
    for path in study.save_tables(paper_column=paper_column):
        say(f"saved {path}")


app = make_app("Search cells on proxy datasets, and evaluate what was found.")
app.add_typer(study_app, name="study")
app.command("rank")(rank)

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
    """Search cells on proxy datasets, and evaluate what was found."""


@app.command()
def search(
    dataset: DatasetOption,
    searcher: Annotated[
        str,
        typer.Option(
            "--searcher",
            help=f"One of {', '.join(list_searchers())}, or module:Class of one of your own.",
        ),
    ],
    indices: Annotated[
        Path | None, typer.Option("--indices", help="What `proxysample select -o FILE.npy` wrote.")
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
    overwrite: OverwriteOption = False,
) -> None:
    """Search a cell on a dataset's training part, or on a proxy of it, and print the cell."""
    from proxysample.data.datasets import load_dataset
    from proxysample.figures import check_drawing_path
    from proxysample.files import check_writable
    from proxysample_nas.data.images import load_images
    from proxysample_nas.drawing import save_drawing
    from proxysample_nas.searchers import create_searcher

    searcher = named_class(searcher, SEARCHERS)
    parameters: dict[str, Any] = {"random_state": random_state} | parse_parameters(param or ())
    if "progress" in create_searcher(searcher).get_params(deep=False):
        parameters = {**wanted_progress(), **parameters}
    chosen = create_searcher(searcher, **parameters)
    # Before any data are read.
    chosen.check_parameters()
    if parameters.get("protocol") == "paper":
        raise InputError(
            "protocol=paper trains the architecture on half of the test part, which a study "
            "gives it: proxysample-nas study run --architecture-data test-half"
        )
    for path in (output, drawing, checkpoint):
        if path is not None:
            check_writable(path)
    if drawing is not None:
        check_drawing_path(drawing)
    refuse_existing([output, drawing], overwrite)
    part = load_dataset(dataset).train
    train = load_images(part) if indices is None else _picked_images(part, indices)
    result = chosen.search(train, checkpoint=checkpoint)
    if output is not None:
        result.save(output)
    if drawing is not None:
        title = f"{searcher} on {len(train):,} images of {dataset}"
        save_drawing(result.cell, drawing, title, result.space)
    say(f"{searcher} on {len(train):,} images of {dataset}, {result.seconds:.1f} s:")
    echo(str(result.cell))


def _picked_images(part: Any, file: Path) -> LabelledImages:
    """Read the images that are named by their indices in a dataset, of which some are skipped."""
    import numpy as np
    import torch

    from proxysample.data.whole import read_whole
    from proxysample.samplers import read_indices
    from proxysample_nas.data.images import load_images

    images, rows = read_whole(part)
    picked = read_indices(file, len(part))
    missing = np.setdiff1d(picked, rows)
    if len(missing):
        raise InputError(f"{file} names sample {missing[0]}, which cannot be read and is skipped")
    return load_images(images).take(torch.from_numpy(np.searchsorted(rows, picked)))


@app.command()
def searchers() -> None:
    """List the searchers, those of plug-ins with their package."""
    list_entries(SEARCHERS)


@app.command()
def evaluate(
    dataset: DatasetOption,
    cell: Annotated[str, typer.Option("--cell", help="Such as '|nor_conv_3x3~0|'.")],
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="nas-bench-201 (the default) or paper.")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", help="A parameter of CellTrainer, name=value. Repeat."),
    ] = None,
    save_network: Annotated[
        Path | None,
        typer.Option("--save-network", help="The network, as .safetensors; NAME-SEED if several."),
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Train a cell's network from scratch on the training part and evaluate it on the test part."""
    from proxysample.data.datasets import load_dataset
    from proxysample_nas.space.cell import Cell
    from proxysample_nas.training.trained import check_network_paths
    from proxysample_nas.training.trainer import DEFAULT_RECIPE, CellTrainer

    evaluated = Cell.from_string(cell)
    parameters = parse_parameters(param or ())
    check_names("parameter of CellTrainer", parameters, [one.name for one in fields(CellTrainer)])
    try:
        settings = {**wanted_progress(), **parameters}
        trainer = CellTrainer.from_recipe(recipe or DEFAULT_RECIPE, **settings)
    except TypeError as error:
        raise InputError(f"CellTrainer: {error}") from error
    paths = check_network_paths(save_network, trainer.seeds)
    refuse_existing(paths, overwrite)
    splits = load_dataset(dataset)
    result = trainer.evaluate(
        evaluated, splits.train, splits.require_test(), keep_network=bool(paths)
    )
    seeds = ", ".join(
        f"{accuracy:.2f} (seed {seed})"
        for accuracy, seed in zip(result.accuracies, result.seeds, strict=True)
    )
    spread = f" ± {result.std:.2f}" if len(result.runs) > 1 else ""
    echo_line(
        f"{result.mean:.2f}{spread} % of the test part of {splits.name} after the last "
        f"epoch: {seeds}; {result.n_parameters:,} parameters, {result.seconds:.1f} s"
    )
    for trained, path in zip(result.trained, paths, strict=True):
        trained.save(path)
        say(f"network: {path}")

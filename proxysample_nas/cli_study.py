"""The command line of studies: run, status, table, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxysample.cli_support import parse_ratio
from proxysample.errors import InputError
from proxysample.registry import SAMPLERS
from proxysample.words import parse_parameters
from proxysample_nas.cli_report import study_report
from proxysample_nas.searchers.registry import list_searchers

if TYPE_CHECKING:
    from proxysample_nas.study import Study, StudyConfiguration

study_app = typer.Typer(help="Run a study and report it.", no_args_is_help=True)

OutputFolder = Annotated[Path, typer.Option("--output", "-o", help="Folder of the study.")]


@study_app.command("run")
def study_run(
    output: OutputFolder,
    preset: Annotated[str | None, typer.Option("--preset", help="A study by name.")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="With a test part.")] = None,
    sampler: Annotated[
        list[str] | None,
        typer.Option(
            "--sampler",
            help=f"One of {', '.join(SAMPLERS)}, with parameters as in km-or:n_clusters=50 or "
            "indices:path=FILE.npy. Repeat.",
        ),
    ] = None,
    r: Annotated[
        list[str] | None, typer.Option("--ratio", "-r", help="Fraction to keep. Repeat.")
    ] = None,
    searcher: Annotated[
        list[str] | None,
        typer.Option(
            "--searcher",
            help=f"One of {', '.join(list_searchers())}, with parameters as in "
            "darts-v1:epochs=10. Repeat.",
        ),
    ] = None,
    search_seed: Annotated[
        list[int] | None, typer.Option("--search-seed", help="One search for each. Repeat.")
    ] = None,
    architecture_data: Annotated[
        str | None, typer.Option("--architecture-data", help="held-out, or test-half as the paper.")
    ] = None,
    channels: Annotated[
        list[int] | None, typer.Option("--channels", help="Width of judging. Repeat.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option("--seed", help="Of judging. Repeat.")] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="Of judging: paper or nas-bench-201.")
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
            help="Judge the best cells on another dataset too, such as cifar10:DIR,channels=16; "
            "none takes a preset's away. Repeat.",
        ),
    ] = None,
    lookup: Annotated[
        Path | None, typer.Option("--lookup", help="Published accuracies, in place of training.")
    ] = None,
    lookup_dataset: Annotated[
        str, typer.Option("--lookup-dataset", help="cifar10, cifar100 or imagenet16.")
    ] = "cifar100",
    workers: Annotated[
        int | None, typer.Option("--workers", help="Processes; by default one a core.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", help="Of each experiment.")] = 1,
    executor: Annotated[
        str | None,
        typer.Option(
            "--executor",
            help="in-process, processes or ray; by default in-process for one worker.",
        ),
    ] = None,
    gpus: Annotated[
        float | None,
        typer.Option("--gpus", help="Of each experiment on Ray, such as 0.25 to share one."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", help="Of a running Ray cluster; by default one starts here."),
    ] = None,
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
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run experiments again that failed.")
    ] = False,
) -> None:
    """Run what the study in a folder lacks, print its tables and save them there.

    A study that was killed goes on where it stopped, and several commands may run the same
    study at a time.
    """
    from proxysample_nas.study import Study

    given = {
        "dataset": dataset,
        "samplers": sampler,
        "ratios": [parse_ratio(word) for word in r] if r else None,
        "searchers": searcher,
        "search_seeds": search_seed,
        "architecture_data": architecture_data,
        "channels": channels,
        "seeds": seed,
        "recipe": recipe,
        "training": parse_parameters(train) if train else None,
        "augmentation": parse_parameters(augment) if augment else None,
        "n_train": n_train,
        "transfers": [] if transfer == ["none"] else transfer,
        "lookup": {"path": str(lookup), "dataset": lookup_dataset} if lookup else None,
    }
    settings = {name: value for name, value in given.items() if value is not None}
    study = Study.from_configuration(output, _configuration(preset, settings))
    if dry_run:
        _estimate(study, workers, threads, calibration_seconds)
        return
    n_failed = _run(
        study,
        executor=executor,
        n_workers=workers,
        n_threads=threads,
        n_gpus=gpus,
        address=address,
        retry_failed=retry_failed,
    )
    _report(study)
    if n_failed:
        for failure in study.store.failures():
            typer.secho(f"failed: {failure.kind}: {failure.error}", fg="red", err=True)
        raise InputError(
            f"{n_failed} experiments failed, or need one that did; the same command with "
            "--retry-failed runs them again"
        )


@study_app.command("status")
def study_status(output: OutputFolder) -> None:
    """Tell from a study's store alone what is done, running, failed and left."""
    from proxysample_nas.study import Study

    typer.echo(Study.open(output).status())


@study_app.command("table")
def study_table(output: OutputFolder) -> None:
    """Print and save the tables of a study that was run before, from its store alone."""
    from proxysample_nas.study import Study

    _report(Study.open(output))


study_app.command("report")(study_report)


def _configuration(preset: str | None, settings: dict[str, Any]) -> StudyConfiguration:
    from proxysample_nas.study import StudyConfiguration
    from proxysample_nas.study import preset as by_name

    if preset is not None:
        return by_name(preset, **settings)
    missing = [
        name for name in ("dataset", "samplers", "ratios", "searchers") if name not in settings
    ]
    if missing:
        raise InputError(f"a study without --preset also needs {', '.join(missing)}")
    return StudyConfiguration.build(**settings)


def _estimate(study: Study, workers: int | None, threads: int, seconds: float) -> None:
    typer.echo(study.estimate(n_workers=workers, n_threads=threads, seconds_each=seconds))


def _run(study: Study, **options: Any) -> int:
    from proxysample.experiments.runner import RunInterrupted

    try:
        return study.run(**options)
    except RunInterrupted as interruption:
        typer.secho(
            f"ended by {interruption}: what had finished is kept, and the same command goes on",
            fg="yellow",
            err=True,
        )
        raise typer.Exit(interruption.exit_code) from None


def _report(study: Study) -> None:
    for component in study.configuration.searchers:
        typer.echo(study.table(component.label))
    for path in study.save_tables():
        typer.echo(f"saved {path}")

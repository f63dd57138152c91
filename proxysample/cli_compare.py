"""The command ``proxysample compare``: samplers compared by what a model learns from each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxysample.cli_support import (
    AddressOption,
    CountOption,
    ExecutorOption,
    GpusOption,
    MaxHoursOption,
    RetryFailedOption,
    ThreadsOption,
    WorkersOption,
    echo,
    parse_ratio,
    run_to_end,
    say,
    tell_failures,
    wanted_progress,
)
from proxysample.errors import InputError, MissingDependencyError
from proxysample.own_modules import find_modules_here, named_function
from proxysample.registry import EVALUATORS, READERS, SAMPLERS

if TYPE_CHECKING:
    from proxysample.comparison.comparison import Comparison


def compare(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the comparison; made where missing.")
    ],
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            help=f"digits, or one of {', '.join(name for name in READERS if name != 'digits')} "
            "with :PATH.",
        ),
    ] = None,
    sampler: Annotated[
        list[str] | None,
        typer.Option(
            "--sampler",
            help=f"One of {', '.join(SAMPLERS)}, with parameters as in km-or:n_clusters=50 or "
            "indices:path=FILE.npy. Repeat. cc-rs and rs are always in it.",
        ),
    ] = None,
    r: Annotated[
        list[str] | None, typer.Option("--ratio", "-r", help="Fraction to keep. Repeat.")
    ] = None,
    n: CountOption = None,
    evaluator: Annotated[
        str,
        typer.Option(
            "--evaluator",
            help=f"One of {', '.join(EVALUATORS)}, with parameters as in head:epochs=10; or a "
            "function of yours, module:function.",
        ),
    ] = "head",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings of each.")] = 3,
    draws: Annotated[
        int | None, typer.Option("--draws", min=0, help="Of cc-rs and rs; by default more.")
    ] = None,
    budget: Annotated[
        str, typer.Option("--budget", help="epochs, steps or both: what is equal for all.")
    ] = "epochs",
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            help="pixels, an .npy file of the training samples and, behind them, the test part's, "
            "embed:FOLDER, or a backbone.",
        ),
    ] = None,
    held_out: Annotated[
        float | None,
        typer.Option(
            "--held-out",
            help="Hold models to so much of the training part, such as 0.2, in place of the test "
            "part.",
        ),
    ] = None,
    noise: Annotated[
        float, typer.Option("--noise", help="Once more with so many labels flipped, such as 0.2.")
    ] = 0.0,
    imbalance: Annotated[
        float,
        typer.Option("--imbalance", help="Once more with classes of unequal sizes, such as 10."),
    ] = 1.0,
    random_state: Annotated[
        int, typer.Option("--random-state", min=0, help="Of what is drawn of the data.")
    ] = 0,
    workers: WorkersOption = None,
    threads: ThreadsOption = 1,
    executor: ExecutorOption = None,
    gpus: GpusOption = None,
    address: AddressOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and what is done; run nothing.")
    ] = False,
    retry_failed: RetryFailedOption = False,
    max_hours: MaxHoursOption = None,
) -> None:
    """Tell which sampler pays: train the same model on what each keeps, and compare.

    A comparison that was killed goes on where it stopped. Without --dataset, one that was run
    before is shown again.
    """
    find_modules_here(sampler)
    comparison = _comparison(
        output,
        dataset,
        sampler,
        r,
        n=n or (),
        evaluator=named_function(evaluator, EVALUATORS),
        seeds=seeds,
        draws=draws,
        budget=budget,
        features=features,
        held_out=held_out,
        noise=noise,
        imbalance=imbalance,
        random_state=random_state,
    )
    if dry_run:
        echo(comparison.remaining())
        return
    n_failed = 0
    if dataset is not None:
        n_failed = run_to_end(
            comparison.run,
            executor=executor,
            n_workers=workers,
            n_threads=threads,
            n_gpus=gpus,
            address=address,
            **wanted_progress(),
            retry_failed=retry_failed,
            max_hours=max_hours,
        )
    echo(comparison.table())
    echo(comparison.verdict)
    for path in _save(comparison):
        say(f"saved {path}")
    tell_failures(n_failed, comparison.store)


def _save(comparison: Comparison) -> list[Path]:
    saved = comparison.save()
    try:
        return [*saved, comparison.report()[0]]
    except MissingDependencyError as error:
        echo(f"no page is written: {error}", colour="yellow", err=True)
        return saved


def _comparison(
    output: Path,
    dataset: str | None,
    samplers: list[str] | None,
    r: list[str] | None,
    **settings: Any,
) -> Comparison:
    from proxysample.comparison.comparison import Comparison, set_up

    if dataset is None:
        if samplers or r or settings["n"]:
            raise InputError("give --dataset, too")
        return Comparison.open(output)
    if not samplers:
        raise InputError("give at least one --sampler besides cc-rs and rs")
    return set_up(dataset, samplers, [parse_ratio(word) for word in r or ()], output, **settings)

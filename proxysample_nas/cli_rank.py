"""``proxysample-nas rank``: whether proxies order cells as the full data do."""

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
from proxysample.errors import InputError
from proxysample.own_modules import find_modules_here
from proxysample.registry import SAMPLERS
from proxysample.wording import parse_parameters

if TYPE_CHECKING:
    from proxysample.agreement import RankAgreement


LookupDatasetOption = Annotated[
    str | None,
    typer.Option(
        "--lookup-dataset", show_default="cifar100", help="cifar10, cifar100 or imagenet16."
    ),
]
LookupEpochsOption = Annotated[
    int | None,
    typer.Option(
        "--lookup-epochs",
        min=1,
        show_default="200",
        help="Of the published trainings, such as 12 or 200.",
    ),
]


def rank(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder that keeps what is finished.")
    ],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Its training part; without it, what was run is shown."),
    ] = None,
    sampler: Annotated[
        list[str] | None,
        typer.Option(
            "--sampler",
            help=f"One of {', '.join(SAMPLERS)}, with parameters as in cc-or:keep=hard. Repeat.",
        ),
    ] = None,
    r: Annotated[
        list[str] | None, typer.Option("--ratio", "-r", help="Fraction to keep. Repeat.")
    ] = None,
    n: CountOption = None,
    n_cells: Annotated[
        int, typer.Option("--cells", min=1, help="How many, no two of which are isomorphic.")
    ] = 40,
    n_nodes: Annotated[int, typer.Option("--nodes", help="Of a cell, its input included.")] = 4,
    cell_seed: Annotated[int, typer.Option("--cell-seed", min=0, help="Of their draw.")] = 0,
    scored: Annotated[
        str,
        typer.Option(
            "--scored", help="alone: each cell is trained; supernet: one training a proxy."
        ),
    ] = "alone",
    train: Annotated[
        list[str] | None,
        typer.Option(
            "--train",
            help="A parameter of CellTrainer, or of OneSupernet, such as epochs=4. Repeat.",
        ),
    ] = None,
    augment: Annotated[
        list[str] | None,
        typer.Option("--augment", help="Of the images, such as flip=false. Repeat."),
    ] = None,
    lookup: Annotated[
        Path | None, typer.Option("--lookup", help="Published accuracies, a second reference.")
    ] = None,
    lookup_dataset: LookupDatasetOption = None,
    lookup_epochs: LookupEpochsOption = None,
    zero_cost: Annotated[
        list[str] | None,
        typer.Option(
            "--zero-cost",
            help="A score of untrained networks as a row: synflow, jacov, naswot, parameters or "
            "flops. Repeat.",
        ),
    ] = None,
    proxy_seed: Annotated[
        list[int] | None,
        typer.Option("--proxy-seed", min=0, help="Of samplers that draw; by default 0, 1. Repeat."),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(
            "--seed",
            min=0,
            help="Of trainings on the full data: the reference, then the ceiling; by default "
            "0, 1. Repeat.",
        ),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option("--budget", help="epochs (the default): equal passes; steps: equal updates."),
    ] = None,
    held_out: Annotated[
        float, typer.Option("--held-out", help="Share of the training part that scores cells.")
    ] = 0.2,
    n_train: Annotated[
        int | None, typer.Option("--n-train", help="Use only so many images of it.")
    ] = None,
    random_state: Annotated[
        int, typer.Option("--random-state", min=0, help="Of what is held out.")
    ] = 0,
    workers: WorkersOption = None,
    threads: ThreadsOption = 1,
    executor: ExecutorOption = None,
    gpus: GpusOption = None,
    address: AddressOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all settings and count what is to be trained.")
    ] = False,
    retry_failed: RetryFailedOption = False,
    max_hours: MaxHoursOption = None,
) -> None:
    """Rank cells by training them on proxies, and say how far the full data agree.

    Without --sampler, --ratio and -n the full data alone are ranked on, to find a budget that
    serves. What was killed goes on where it stopped, and several commands may run at a time.
    """
    if dataset is None:
        from proxysample.agreement import RankAgreement

        if sampler or r or n or train or zero_cost or lookup is not None:
            raise InputError("give --dataset, too; --output alone shows what was run there")
        _show(RankAgreement.open(output))
        return
    from proxysample_nas.agreement import plan_ranking

    find_modules_here(sampler)
    planned = plan_ranking(
        dataset,
        sampler or (),
        [parse_ratio(word) for word in r or ()],
        n=n or (),
        folder=output,
        n_cells=n_cells,
        n_nodes=n_nodes,
        cell_seed=cell_seed,
        scored=scored,  # type: ignore[arg-type]  # checked there
        training=parse_parameters(train or ()),
        augmentation=parse_parameters(augment or ()),
        lookup=lookup_settings(lookup, lookup_dataset, lookup_epochs),
        zero_cost=zero_cost or (),  # type: ignore[arg-type]  # checked there
        proxy_seeds=proxy_seed or (0, 1),
        seeds=seed or (0, 1),
        budgets=budget or ("epochs",),  # type: ignore[arg-type]  # checked there
        held_out=held_out,
        n_train=n_train,
        random_state=random_state,
    )
    if dry_run:
        echo(planned.outline())
        return
    n_failed = run_to_end(
        planned.run,
        executor=executor,
        n_workers=workers,
        n_threads=threads,
        n_gpus=gpus,
        address=address,
        retry_failed=retry_failed,
        max_hours=max_hours,
        **wanted_progress(),
    )
    _show(planned)
    tell_failures(n_failed, planned.store)


def lookup_settings(
    path: Path | None, dataset: str | None, epochs: int | None
) -> dict[str, Any] | None:
    """Give what stands for published accuracies in Python, from what the command line has."""
    if path is None:
        if dataset is not None or epochs is not None:
            raise InputError(
                "--lookup-dataset and --lookup-epochs say what to read of a table of published "
                "accuracies: give --lookup FILE.csv, too"
            )
        return None
    return {"path": str(path), "dataset": dataset or "cifar100", "epochs": epochs or 200}


def _show(found: RankAgreement) -> None:
    echo(found.table())
    for path in found.save():
        say(f"saved {path}")

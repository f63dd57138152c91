"""Rank cells on proxies: whether a proxy dataset orders architectures as the full data would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from proxysample.agreement.agreement import RankAgreement
from proxysample.agreement.design import Budget, Design
from proxysample.checks import MAPPING, POSITIVE_INTEGER, SEED, as_tuple
from proxysample.data.datasets import training_part
from proxysample.errors import InputError, check_name, check_names, unknown_name
from proxysample.isolation import isolated
from proxysample.printing import shown
from proxysample_nas.agreement.scorers import (
    SMALL_BUDGET,
    CellScorer,
    OneSupernet,
    TrainedAlone,
)
from proxysample_nas.data.images import load_images
from proxysample_nas.data.loader import Augmentation
from proxysample_nas.data.normalization import Normalization, Normalize
from proxysample_nas.searchers.candidates import draw_cells
from proxysample_nas.space.cell import Cell, n_edges
from proxysample_nas.space.modules import try_operations
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace, refuse_described
from proxysample_nas.space.zero_cost import SCORES, ZeroCost, zero_cost_score
from proxysample_nas.study import Study, StudyConfiguration
from proxysample_nas.study.experiments.published import N_NODES, PublishedAccuracies
from proxysample_nas.study.given import Lookup, create_augmentation
from proxysample_nas.study.reports.ranking import RANKING_FOLDER
from proxysample_nas.training.trainer import CellTrainer

MOST_DRAWS_EACH = 200
"""So many cells are drawn for each that is wanted before a space counts as too small."""


def draw_distinct_cells(
    n: int, n_nodes: int = 4, *, seed: int = 0, space: SearchSpace = NAS_BENCH_201
) -> list[Cell]:
    """Draw cells that are connected and pairwise not isomorphic.

    Parameters
    ----------
    n : int
        Number of cells.
    n_nodes : int
        Nodes of a cell, its input included.
    seed : int
        More cells from the same seed begin with the same ones.
    space : SearchSpace, optional
        By default that of NAS-Bench-201.

    Returns
    -------
    list of Cell
        In the order of drawing. A cell that computes the same functions as an earlier one is
        passed over, so that families with many members are met no more often than once.

    Raises
    ------
    InputError
        If there are not so many, as far as drawing can tell.

    Examples
    --------
    >>> cells = draw_distinct_cells(3, seed=1)
    >>> len({cell.unique_form() for cell in cells}), cells == draw_distinct_cells(5, seed=1)[:3]
    (3, True)
    """
    POSITIVE_INTEGER.check("n_cells", n)
    SEED.check("cell_seed", seed)
    space = SearchSpace.of(space)
    if n > len(space.operations) ** n_edges(n_nodes):
        raise InputError(f"there are fewer cells of {n_nodes} nodes than n_cells={shown(n)}")
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Cell] = {}
    for _ in range(MOST_DRAWS_EACH * n):
        cell = draw_cells(1, n_nodes, connected_only=True, generator=generator, space=space)[0]
        found.setdefault(cell.unique_form(), cell)
        if len(found) == n:
            return list(found.values())
    raise InputError(
        f"only {len(found)} cells of {n_nodes} nodes that compute different functions were found; "
        f"n_cells={n} is too many"
    )


Scored = Literal["alone", "supernet"]


def plan_ranking(
    dataset: Any,
    samplers: Iterable[Any],
    ratios: Iterable[float] = (),
    *,
    n: Iterable[int] = (),
    folder: str | Path | None = None,
    cells: Iterable[Cell | str] | None = None,
    n_cells: int = 40,
    n_nodes: int = N_NODES,
    cell_seed: int = 0,
    space: SearchSpace | Iterable[str] = NAS_BENCH_201,
    scored: Scored = "alone",
    training: Mapping[str, Any] | None = None,
    augmentation: Mapping[str, Any] | None = None,
    lookup: Lookup | Mapping[str, Any] | None = None,
    proxy_seeds: Iterable[int] = (0, 1),
    seeds: Iterable[int] = (0, 1),
    budgets: Iterable[Budget] = ("epochs",),
    held_out: float = 0.2,
    random_state: int = 0,
    n_train: int | None = None,
    zero_cost: Iterable[ZeroCost] = (),
) -> RankAgreement:
    """Set up a ranking of cells, which its ``run`` carries out and `rank_cells` runs at once.

    Parameters
    ----------
    dataset : str or object
        A name, of which the training part is taken, or a dataset of labelled images. The test
        part is not looked at.
    samplers, ratios, n, folder, proxy_seeds, seeds, budgets, held_out, random_state, n_train
        See `proxysample.rank_agreement`.
    cells : iterable of Cell or str, optional
        What is ranked; by default drawn.
    n_cells, n_nodes, cell_seed, space
        See `proxysample_nas.agreement.rank.draw_distinct_cells`.
    scored : {"alone", "supernet"}
        Whether each cell is trained alone, or all use the weights of one supernet for each proxy.
    training : mapping, optional
        Parameters of `CellTrainer`, over those of a small budget (8 channels, one cell a stage, 4
        epochs, batches of 64), or of `OneSupernet`.
    augmentation : mapping, optional
        Parameters of `Augmentation`.
    lookup : Lookup or mapping, optional
        Published accuracies of all the cells: those after the named number of epochs are a second
        reference, with which those after other numbers are compared too.
    zero_cost : iterable of {"synflow", "jacov", "naswot", "parameters", "flops"}
        Scores of the untrained networks, a row each; see `zero_cost_scores`.

    Returns
    -------
    RankAgreement
        Nothing has been run.

    Raises
    ------
    InputError
        If a setting cannot be used.
    """
    if not isinstance(scored, str) or scored not in get_args(Scored):
        raise unknown_name("way to score cells", scored, get_args(Scored))
    MAPPING.or_none().check("training", training)
    if not isinstance(augmentation, Augmentation):
        MAPPING.or_none().check("augmentation", augmentation)
    chosen_space = SearchSpace.of(space)
    if cells is None:
        ranked = draw_distinct_cells(n_cells, n_nodes, seed=cell_seed, space=chosen_space)
    else:
        given = as_tuple("cells", cells)
        ranked = [one if isinstance(one, Cell) else Cell.from_string(one) for one in given]
        if len({one.n_nodes for one in ranked}) > 1:
            raise InputError("the cells to be ranked have different numbers of nodes")
        n_nodes = ranked[0].n_nodes if ranked else n_nodes
    if scored == "supernet":
        for cell in ranked:
            chosen_space.indices_of(cell)
    covered = chosen_space.covering(ranked)
    refuse_described(covered.operations)
    try_operations(covered)
    scores = as_tuple("zero_cost", zero_cost)
    for score in scores:
        check_name("zero-cost score", score, SCORES)
    estimates = {} if not scores else zero_cost_scores(ranked, dataset, scores, training or {})
    design = Design.build(
        dataset=dataset,
        samplers=samplers,
        ratios=ratios,
        n=n,
        evaluate=_scorer(scored, n_nodes, chosen_space, training or {}, augmentation or {}),
        configurations=ranked,
        proxy_seeds=proxy_seeds,
        seeds=seeds,
        budgets=budgets,
        known={} if lookup is None else published_scores(ranked, Lookup.parse(lookup)),
        held_out=held_out,
        random_state=random_state,
        n_train=n_train,
        estimates=estimates,
    )
    return RankAgreement(design, folder, dataset)


OPTIONS_OF_RUN = (
    "executor",
    "n_workers",
    "n_threads",
    "n_gpus",
    "address",
    "progress",
    "retry_failed",
    "max_hours",
)


@isolated()
def rank_cells(
    dataset: Any,
    samplers: Iterable[Any],
    ratios: Iterable[float] = (),
    *,
    run: Mapping[str, Any] | None = None,
    **settings: Any,
) -> RankAgreement:
    """Tell whether proxies rank cells as the full data would.

    Parameters
    ----------
    dataset, samplers, ratios, **settings
        See `plan_ranking`.
    run : mapping, optional
        Options of the run, such as ``{"n_workers": 2}``; see `proxysample.rank_agreement`.

    Returns
    -------
    RankAgreement

    Raises
    ------
    InputError
        If a setting cannot be used; nothing has been run by then.

    Examples
    --------
    >>> found = rank_cells(
    ...     "digits", ["cc-or"], [0.5], n_cells=3, n_nodes=3, n_train=100,
    ...     training={"channels": 4, "epochs": 1}, proxy_seeds=[0], run={"progress": False},
    ... )
    >>> [row.method for row in found.rows]
    ['Full DS, another seed', 'CC-RS', 'CC-OR']
    """
    _check_run(run)
    check_names("keyword of rank_cells", settings, _SETTINGS)
    planned = plan_ranking(dataset, samplers, ratios, **settings)
    planned.run(**(run or {}))
    return planned


def _check_run(run: Any) -> None:
    """Refuse options of a run that are none."""
    MAPPING.or_none().check("run", run)
    check_names("option of run", run or {}, OPTIONS_OF_RUN)


_SETTINGS = tuple(signature(plan_ranking).parameters)


@isolated()
def plan_study_ranking(study: Study, n_cells: int = 40, **settings: Any) -> RankAgreement:
    """Set up a ranking of cells on what a study compares; see `rank_study`."""
    if not isinstance(study, Study):
        raise InputError(f"study must be a Study, not {shown(study)}")
    check_names("setting of a ranking", settings, _SETTINGS)
    configuration = study.configuration
    # What was picked elsewhere is of all training samples, some of which are held out here.
    samplers = [one for one in configuration.samplers if one.name not in ("indices", "ranking")]
    given: dict[str, Any] = {
        "samplers": samplers,
        "ratios": configuration.ratios if samplers else (),
        "folder": study.folder / RANKING_FOLDER,
        "n_cells": n_cells,
        "proxy_seeds": configuration.proxy_seeds or (0, 1),
        "n_train": configuration.n_train,
        "random_state": configuration.random_state,
        "augmentation": configuration.augmentation,
        "lookup": configuration.lookup,
    } | settings
    if "n_nodes" not in given:
        given["n_nodes"] = _nodes_of(configuration)
    splits = configuration.splits
    data = configuration.dataset if splits is None else splits.train
    return plan_ranking(data, given.pop("samplers"), given.pop("ratios"), **given)


def rank_study(
    study: Study, n_cells: int = 40, *, run: Mapping[str, Any] | None = None, **settings: Any
) -> RankAgreement:
    """Tell whether the proxies that a study compares rank cells as the full data would.

    Its dataset, samplers, ratios and draws, and cells of as many nodes as it searches. What is
    finished is kept beside the study's results, in ``folder/rank-agreement``, goes on like them,
    and stands on the page of `Study.report`. Indices and rankings that were given to the study are
    left out: they are of all training samples, a part of which scores the cells here.

    Parameters
    ----------
    study : Study
        It need not have run.
    n_cells : int
        How many are drawn.
    run : mapping, optional
        Options of the run, such as ``{"n_workers": 2}``; see `proxysample.rank_agreement`.
    **settings
        Of `plan_ranking`, which win over the study's.

    Returns
    -------
    RankAgreement

    Raises
    ------
    InputError
        If a setting cannot be used; nothing has been run by then.

    Examples
    --------
    >>> import tempfile
    >>> from proxysample_nas.study import Study
    >>> study = Study(
    ...     dataset="digits", n_train=100, samplers=["cc-or"], ratios=[0.5], proxy_seeds=[0],
    ...     searchers=["random:n_nodes=3"], folder=tempfile.mkdtemp(),
    ... )
    >>> small = {"channels": 2, "epochs": 1}
    >>> found = rank_study(study, 3, training=small, run={"progress": False})
    >>> [row.method for row in found.rows]
    ['Full DS, another seed', 'CC-RS', 'CC-OR']
    """
    _check_run(run)
    planned = plan_study_ranking(study, n_cells, **settings)
    planned.run(**(run or {}))
    return planned


def _nodes_of(configuration: StudyConfiguration) -> int:
    numbers = {
        configuration.create_searcher(one).get_params(deep=False).get("n_nodes", N_NODES)
        for one in configuration.searchers
    }
    if len(numbers) > 1:
        raise InputError(
            f"the study searches cells of {', '.join(map(str, sorted(numbers)))} nodes, which do "
            "not rank together; say which by n_nodes"
        )
    return int(numbers.pop())


def published_scores(cells: Iterable[Cell], lookup: Lookup) -> dict[str, list[float]]:
    """Look the cells up: the named number of epochs first, then the table's others.

    Parameters
    ----------
    cells : iterable of Cell
    lookup : Lookup

    Returns
    -------
    dict of str to list of float
        Test accuracies in percent.

    Raises
    ------
    InputError
        If the table lacks a cell, or cannot be read.
    """
    table = PublishedAccuracies.read(lookup.path)
    table.check(lookup.dataset, lookup.epochs)
    lengths = sorted(epochs for dataset, epochs in table.columns if dataset == lookup.dataset)
    lengths.sort(key=lambda epochs: epochs != lookup.epochs)
    listed = list(cells)
    return {
        f"published accuracies of {lookup.dataset} after {epochs} epochs": [
            table.accuracy(cell, lookup.dataset, epochs) for cell in listed
        ]
        for epochs in lengths
    }


def zero_cost_scores(
    cells: Iterable[Cell],
    dataset: Any,
    scores: Iterable[ZeroCost] = SCORES,
    training: Mapping[str, Any] | None = None,
    *,
    n_images: int = 64,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Score cells by their untrained networks.

    Parameters
    ----------
    cells : iterable of Cell
    dataset : str or object
        See `plan_ranking`.
    scores : iterable of {"synflow", "jacov", "naswot", "parameters", "flops"}
        See `proxysample_nas.space.zero_cost.zero_cost_score`.
    training : mapping, optional
        ``channels`` and ``cells_per_stage`` of the networks, by default those of a small budget.
    n_images : int
        So many images are looked at, drawn once.
    seed : int
        Of that draw, and of the weights.

    Returns
    -------
    dict of str to list of float

    Raises
    ------
    InputError
        If there is no such score, or the data cannot be read.
    """
    MAPPING.or_none().check("training", training)
    images = load_images(training_part(dataset))
    drawn = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    pixels = images.take(drawn[:n_images]).images
    normalize = Normalize(Normalization.of(images.images)).to(pixels.device)
    settings = SMALL_BUDGET | dict(training or {})
    sizes = {name: settings[name] for name in ("channels", "cells_per_stage")}
    listed = list(cells)
    return {
        f"zero-cost: {score}": [
            zero_cost_score(cell, score, normalize(pixels), images.n_classes, seed=seed, **sizes)
            for cell in listed
        ]
        for score in scores
    }


def _scorer(
    scored: Scored,
    n_nodes: int,
    space: SearchSpace,
    training: Mapping[str, Any],
    augmentation: Mapping[str, Any],
) -> CellScorer:
    kind: type[CellTrainer | OneSupernet] = CellTrainer if scored == "alone" else OneSupernet
    given = dict(training)
    check_names(f"parameter of {kind.__name__}", given, [one.name for one in fields(kind)])
    if augmentation:
        given["augmentation"] = create_augmentation(augmentation)
    if scored == "alone":
        return TrainedAlone(CellTrainer(**(SMALL_BUDGET | {"progress": False} | given)))
    of_cells: dict[str, Any] = {"n_nodes": n_nodes, "space": space}
    return OneSupernet(**(of_cells | given))

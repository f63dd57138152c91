"""Whatever is passed to whatever is public, only the project's own errors come out.

Entry points and the types of their parameters are read from what both packages name in public, and
from their command lines: a new one is tried without being listed here. By default each is called
a few times, with the same arguments in every run; PROXYSAMPLE_CALLS=20000 makes so many in all.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import io
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import typer
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import nn

import proxysample as ps
import proxysample_nas as nas
from proxysample import ArrayDataset, create_sampler, list_samplers
from proxysample.agreement import FunctionEvaluator
from proxysample.cli import app
from proxysample.cli_support import _run
from proxysample.comparison import Budget
from proxysample.data import FieldView, ImageFiles, Samples
from proxysample.dynamics import AUMCalculator, DynamicsRecorder, from_arrays
from proxysample.errors import ProxysampleError
from proxysample.features import as_backbone, embed
from proxysample.registry import takes_parameter
from proxysample_nas.cli import app as nas_app
from proxysample_nas.data import Loader
from proxysample_nas.searchers import create_searcher, list_searchers
from proxysample_nas.study import Component, Transfer

from ..odd_values import LABELS, NUMBER, PIXELS, TEXT, Code, code, frame, made, nearly, pairs

N_CALLS = int(os.environ.get("PROXYSAMPLE_CALLS", "300"))
# A search that is right may take long; one that hangs is found by hand.
MOST_SECONDS = 20.0

pytestmark = pytest.mark.filterwarnings("ignore")

PACKAGES = (
    "proxysample", "proxysample.data", "proxysample.dynamics", "proxysample.comparison",
    "proxysample.agreement", "proxysample.gallery", "proxysample.samplers", "proxysample.rules",
    "proxysample.features", "proxysample_nas", "proxysample_nas.data", "proxysample_nas.searchers",
    "proxysample_nas.space", "proxysample_nas.study", "proxysample_nas.training",
    "proxysample_nas.agreement",
)  # fmt: skip
# What results are made of, by nobody but the project, which checks what it reads from files.
RESULTS = {
    "Comparison", "RankAgreement", "Features", "Suspects", "Score", "Part", "KeptSet", "Dynamics",
    "Found", "Budget", "Candidate", "EdgeDecision", "EpochRecord", "FinalChoice", "SearchData",
    "SearchInfo", "SearchResult", "Lengthening", "CellAccuracy", "FoundCell", "Row", "Component",
    "StudyEstimate", "StudyStatus", "StudyStore", "TrainedCell", "TrainingRun", "Supernet",
    "LabelledImages", "StudyConfiguration", "DynamicsSampler", "BlockArray", "Operation",
    "Evaluation", "Backbone",
    "RunInterrupted",
}  # fmt: skip
BY_LIBRARIES = {"RecorderCallback", "EvaluationRecorder", "RecordingTrainerMixin"}
# What the project, or a library that trains, calls by names that a class has to have; who writes
# such a class is given what is right.
CALLED_BY_US = {
    "order", "n_cut", "towards", "check_size", "rank_for", "evaluate", "prepare", "describe",
    "check_passes", "name_of", "together", "apply", "work", "shortened", "forward", "propagate",
    "forward_sampled", "on_epoch_end", "on_train_batch_end", "on_train_end", "on_train_epoch_end",
    "compute_loss", "prediction_step", "train", "cut_many", "kept_by", "order_by", "fitted",
    "order_of_rule", "spread", "write", "raw_item", "decoded", "form", "rows", "passes", "steps",
    "drift", "fitting_for", "lengthenings", "parameters_of", "draw", "stage_seconds", "of_classes",
    "put", "put_failure", "get", "set_info", "info", "create_trainer", "sampler_parameters",
    "searcher_parameters", "create_sampler", "create_searcher", "n_searches_of", "proxy_seeds_of",
    "check_data", "batches", "scale_and_shift", "looked_up", "trained", "parameters", "train_once",
    "score", "Row.accuracies", "Row.by_seeds", "SearchData.digest", "Evaluator.check", "Part.take",
    "StudyStore.results", "StudyStore.failures", "StudyStore.states", "StudyStatus.read",
}  # fmt: skip
# The last runs what `plan_ranking` and `RankAgreement.run` do, of the usual length.
FUNCTIONS_OF_OURS = {
    "best_of", "draw_cells", "stream", "stratified_holdout", "record_epoch_end", "rank_cells",
}  # fmt: skip


def sampler(name: str) -> Any:
    quick = {"n_clusters": 3, "epochs": 1, "random_state": 0, "device": "cpu", "n_draws": 50}
    parameters = {key: value for key, value in quick.items() if takes_parameter(name, key)}
    if takes_parameter(name, "backbone"):
        parameters["backbone"] = nn.Flatten()
    return create_sampler(name, **parameters)


def searcher(name: str) -> Any:
    made = create_searcher(name)
    quick = {
        "n_nodes": 3, "channels": 2, "cells_per_stage": 1, "epochs": made.epochs and 1,
        "random_state": 0, "device": "cpu", "progress": False, "batch_size": 8,
        "n_samples": 2, "controller_updates": 1, "controller_samples": 1, "n_candidates": 2,
    }  # fmt: skip
    known = made._get_param_names()
    return create_searcher(name, **{key: one for key, one in quick.items() if key in known})


def train(configuration: Any, dataset: Any, indices: Any, seed: int = 0, **_: Any) -> float:
    return float(len(indices))


def dataset() -> ArrayDataset:
    return ArrayDataset(PIXELS, LABELS)


@functools.cache
def ranking() -> Any:
    return sampler("cc-or").rank(dataset())


@functools.cache
def comparison() -> Any:
    splits = ps.Splits("planted", dataset(), dataset())
    return ps.compare(splits, ["cc-or"], [0.5], "head:epochs=1", seeds=1, folder="comparison")


@functools.cache
def agreement() -> Any:
    settings = {"proxy_seeds": [0], "seeds": [0, 1], "folder": "agreement", "progress": False}
    return ps.rank_agreement(train, {"a": 1, "b": 2, "c": 3}, dataset(), ["rs"], [0.5], **settings)


@functools.cache
def found() -> Any:
    return searcher("random").search(dataset())


@functools.cache
def network() -> Any:
    return trainer().fit(cell(), dataset(), seed=0)


def cell() -> Any:
    return nas.Cell.filled("skip_connect", n_nodes=3)


def trainer() -> Any:
    return nas.CellTrainer(
        channels=2, cells_per_stage=1, epochs=1, batch_size=8, seeds=(1,), device="cpu",
        progress=False, augmentation=None,
    )  # fmt: skip


@functools.cache
def evaluation() -> Any:
    return trainer().evaluate(cell(), dataset(), dataset())


@functools.cache
def study() -> Any:
    training = {"epochs": 1, "cells_per_stage": 1, "batch_size": 8}
    study = nas.Study(
        dataset="npz:small.npz", samplers=["rs"], ratios=[0.5], channels=[2], seeds=[1],
        searchers=["random:n_nodes=3,channels=2,cells_per_stage=1,epochs=1,n_samples=1"],
        training=training, folder="study",
    )  # fmt: skip
    study.run(progress=False)
    return study


def recorder() -> DynamicsRecorder:
    recorder = DynamicsRecorder(24, 3)
    recorder.record(np.arange(24), np.eye(3)[LABELS], LABELS)
    recorder.end_epoch()
    return recorder


def images() -> Any:
    return nas.load_images(dataset(), device="cpu")


@functools.cache
def features() -> Any:
    return embed(dataset(), backbone=nn.Flatten(), folder="features", device="cpu")


# An object of each class whose methods are tried; those below it in a family share them.
SELVES: dict[str, Callable[[], Any]] = {
    "Sampler": lambda: None,
    "SemDeDup": lambda: sampler("semdedup").fit(dataset()),
    "KMeansOutlierRemoval": lambda: sampler("km-or"),
    "AutoencoderLoss": lambda: sampler("ae").fit(dataset()),
    "GivenIndices": lambda: ps.GivenIndices([1, 2]),
    "GivenRanking": lambda: ps.GivenRanking(ranking()),
    "DynamicsSampler": lambda: create_sampler("el2n"),
    "Herding": lambda: create_sampler("herding"),
    "KeepingRule": lambda: ps.KeepMiddle(),
    "BetaDraw": ps.BetaDraw,
    "ClassWeights": lambda: ps.ClassWeights({"a": 1.0}),
    "Comparison": comparison,
    "DynamicsRecorder": recorder,
    "Features": features,
    "RandomSchedule": lambda: ps.RandomSchedule(dataset(), 0.5),
    "RankAgreement": agreement,
    "Ranking": ranking,
    "Resampler": lambda: ps.Resampler(create_sampler("cc-or"), r=0.5),
    "Splits": lambda: ps.Splits("a", dataset(), None),
    "Samples": lambda: Samples(dataset()),
    "FieldView": lambda: FieldView(dataset()),
    "AUMCalculator": lambda: AUMCalculator("aum"),
    "Dynamics": lambda: from_arrays(np.eye(3)[LABELS][None], LABELS),
    "Suspects": lambda: ps.mislabelled(recorder()),
    "Budget": lambda: Budget("epochs", 3, 6),
    "ImageFiles": lambda: ImageFiles(["a.png"]),
    "FunctionEvaluator": lambda: FunctionEvaluator(train),
    "Searcher": lambda: None,
    "GDAS": lambda: searcher("gdas"),
    "Augmentation": nas.Augmentation,
    "Cell": cell,
    "CellTrainer": trainer,
    "Evaluation": evaluation,
    "LabelledImages": images,
    "Normalization": lambda: nas.Normalization((0.5,), (0.5,)),
    "SearchResult": found,
    "EpochRecord": lambda: found().history[0],
    "SearchSpace": lambda: nas.NAS_BENCH_201,
    "Study": study,
    "StudyConfiguration": lambda: study().configuration,
    "TrainedCell": network,
    "Component": lambda: Component("rs"),
    "Loader": lambda: Loader(
        images(), batch_size=8, normalization=nas.Normalization((0.5,), (0.5,))
    ),
    "OneSupernet": lambda: importlib.import_module("proxysample_nas.agreement").OneSupernet(),
    "Found": lambda: None, "StudyStatus": lambda: None, "CellAccuracy": lambda: None,
    "Lookup": lambda: None, "Transfer": lambda: Transfer(dataset="npz:small.npz"),
    "StudyStore": lambda: study().store,
}  # fmt: skip

DATA = ("dataset()", "dataset()", "PIXELS", "pairs()")
# What draws figures is called once where others are called a few times.
SLOW = ("Study.report", "Study.save_tables", "Comparison.report", "RankAgreement.save")

# What is right, by the name of a parameter, or of an entry point and a parameter of it.
RIGHT: dict[str, tuple[str, ...]] = {
    "dataset": DATA, "train": DATA, "test": DATA, "X": DATA, "data": DATA, "stream": ("pairs()",),
    "y": ("None", "LABELS"), "labels": ("LABELS",), "targets": ("LABELS",), "r": ("0.5", "None"),
    "n": ("None", "6"), "ratios": ("[0.5]",), "image": ("None",), "label": ("None",),
    "features": ("None",), "broken": ("None", "'skip'"), "distinct_labels": ("None",),
    "balance": ("None", "'equal'", "{0: 2}"), "min_per_class": ("0", "1"), "must_keep": ("None",),
    "exclude": ("None", "[1]"), "path": ("new_file()",), "folder": ("new_folder()",),
    "save_dir": ("new_folder()",), "device": ("'cpu'",), "progress": ("False",),
    "samplers": ("['rs']", "['cc-or']"),
    "name": ("'rs'", "'el2n'", "'darts-v1'"), "images": ("PIXELS",),
    "backbone": ("nn.Flatten()",), "weights": ("'auto'",), "indices": ("[1, 2, 3]",),
    "outputs": ("np.eye(3)[LABELS]",), "logits": ("np.eye(3)[LABELS]",), "record": ("recorder()",),
    "n_samples": ("24",), "n_classes": ("3",), "state": ("recorder().state_dict()",),
    "scores": ("np.arange(24.0)",),
    "reference": ("np.arange(24.0)",), "x": ("np.arange(24.0)",),
    "k": ("3",), "epoch": ("0",), "cell": ("cell()",), "cells": ("[cell()]",), "n_nodes": ("3",),
    "operation": ("'skip_connect'",), "operations": ("['none', 'skip_connect']",), "seed": ("0",),
    "text": ("'|nor_conv_3x3~0|'", "'{}'"), "values": ("{}",), "spec": ("'npz:small.npz'",),
    "evaluate": ("train",),
    "configurations": ("{'a': 1, 'b': 2, 'c': 3}",), "searchers": ("['random']",),
    "file": ("'small.csv'",), "table": ("'small.csv'", "frame()"), "given": ("'rs'",),
    "rankings": ("{'a': ranking()}",), "keep": ("'easy'",), "sampler": ("create_sampler('rs')",),
    "files": ("['a.png']",), "source": ("PIXELS",), "normalization": ("None",),
    "mean": ("(0.5,)",), "std": ("(0.5,)",), "recall": ("{'a': 0.5}",), "lookup": ("None",),
    "predictions": ("LABELS",), "parts": ("[recorder()]",), "recipe": ("'nas-bench-201'",),
    "similarity": ("0.5",), "n_train": ("None", "24"), "preset": ("'paper'",), "n_images": ("3",),
    "batch_size": ("8",), "epochs": ("1",), "sample_ids": ("np.arange(24)",), "height": ("4",),
    "width": ("4",), "dynamics": ("recorder().dynamics",), "function": ("train",),
    "predicted": ("LABELS",), "configuration": ("study().configuration",), "held_out": ("None",),
    "searcher": ("'random'",), "accuracy": ("50.0",), "store": ("study().store",),
    "study": ("study()",),
    "entry": ("type(create_sampler('rs'))",), "trainer": ("trainer()",), "state_dict": ("{}",),
    "folds": ("None", "2"), "seeds": ("[0]",), "proxy_seeds": ("[0]",), "evaluator": ("'head'",),
    "n_workers": ("1",), "executor": ("None",), "n_cells": ("3",), "candidates": ("[2, 3]",),
    "training": ("None", "{'epochs': 1}"), "augmentation": ("None",), "random_state": ("0",),
    "n_threads": ("1",), "channels": ("2",), "cells_per_stage": ("1",), "in_channels": ("1",),
    "from_arrays.outputs": ("np.eye(3)[LABELS][None]",), "from_arrays.labels": ("LABELS",),
    "from_arrays.indices": ("None",), "Ranking.read.stream": ("io.BytesIO(b'')",),
    "record_held_out.labels": ("LABELS",), "record.indices": ("np.arange(24)",),
    "compare.held_out": ("None", "dataset()"), "compare.seeds": ("1",), "compare.y": ("None",),
    "rank_agreement.held_out": ("0.5",), "plan_ranking.held_out": ("0.5",),
    "GivenIndices.path": ("None",), "GivenRanking.path": ("None",), "GivenRanking.ranking": (
        "None", "ranking()"), "Ranking.load.path": ("'ranking.npz'",), "Study.channels": ("[2]",),
    "Study.dataset": ("'npz:small.npz'", "dataset()"), "Study.add.channels": ("[2]",),
    "Comparison.open.folder": ("'comparison'",), "RankAgreement.open.folder": ("'agreement'",),
    "Features.open.folder": ("'features'",), "Study.open.folder": ("'study'",),
    "Study.figure.name": ("'accuracy'",), "kendall_tau.y": ("np.arange(24.0)",),
    "spearman.y": ("np.arange(24.0)",), "top_k_overlap.y": ("np.arange(24.0)",),
    "get_operation.name": ("'none'",), "load_backbone.name": ("'tf_efficientnet_lite0'",),
    "preset.name": ("'paper'",), "Splits.test": ("None",), "GDAS.temperature.epoch": ("1",),
    "SearchSpace.of.given": ("['none', 'skip_connect']",), "n_edges.n_nodes": ("4",),
    "Normalization.of.images": ("images()",), "StudyConfiguration.build.channels": ("[2]",),
    "RandomSchedule.load_state_dict.state": ("{}",), "SemDeDup.features": ("'pixels'",),
    "Dynamics.require.name": ("'p_true'",), "batches.order": ("torch.arange(24)",),
    "extract_features.backbone": ("as_backbone(nn.Flatten())",), "read_stream.image": ("0",),
    "extract_features.images": ("images().images.float()",), "read_stream.label": ("1",),
    "FunctionEvaluator.name": ("'a'",), "SearchSpace.index.operation": ("'none'",),
    "from_jsonl.path": ("'small.json'",), "read_indices.path": ("'indices.txt'",),
    "Cell.from_indices.indices": ("[1, 1, 1]",), "Transfer.channels": ("2",),
    "LabelledImages.take.indices": ("torch.arange(3)",), "register.name": ("'a'",),
    "ArrayDataset.classes": ("None", "['a', 'b', 'c']"), "Samples.rows.indices": ("[1]",),
    "register.kind": ("None",), "plan_ranking.scored": ("'alone'",), "Lookup.dataset": ("'a'",),
    "Transfer.dataset": ("'npz:small.npz'",), "Lookup.path": ("'small.json'",),
    "Searcher.search.classes": ("None",), "load_images.classes": ("None",),
}  # fmt: skip
# What goes by names through ``**``; a name of Python's own that no function has is no value.
FIELDS = ("image", "label", "features", "broken", "distinct_labels")
RULES = ("balance", "min_per_class", "must_keep", "exclude")
THROUGH = {"fields": FIELDS, "rules": RULES, "options": (*RULES, *FIELDS), "run": ()}
# So many of them are right and take long, or start as many processes.
WORK = {
    "n_workers", "num_workers", "n_threads", "epochs", "n_init", "max_iter", "n_nodes", "channels",
    "cells_per_stage", "n_cells", "n", "input_size", "image_size", "latent_channels", "n_draws",
    "seeds", "draws", "search_seeds", "proxy_seeds", "n_samples", "n_seeds", "executor",
}  # fmt: skip


def is_feasible(value: Any) -> bool:
    try:
        return not 3 < float(made(value)) < 2**40
    except Exception:
        return True


class Entry(NamedTuple):
    """A function, class or method, by the name that people call it by."""

    name: str
    function: Any
    make_self: Callable[[], Any] | None = None

    @property
    def parameters(self) -> list[inspect.Parameter]:
        found = inspect.signature(self.function).parameters.values()
        return [one for one in found if one.name not in ("self", "cls")]

    def right(self, parameter: str) -> tuple[str, ...]:
        own = self.name.rpartition(".")[2]
        for name in (f"{self.name}.{parameter}", f"{own}.{parameter}", parameter):
            if name in RIGHT:
                return RIGHT[name]
        return ()

    def strategy(self) -> st.SearchStrategy[dict[str, Any]]:
        wanted: dict[str, tuple[str, bool]] = {}
        for one in self.parameters:
            if one.kind is one.VAR_KEYWORD:
                wanted |= dict.fromkeys(THROUGH.get(one.name, ()), ("Any", False))
            elif one.kind is not one.VAR_POSITIONAL:
                wanted[one.name] = (str(one.annotation), one.default is one.empty)
        return _arguments(self, wanted)

    def call(self, arguments: dict[str, Any]) -> None:
        given = {key: made(value, NAMES) for key, value in arguments.items()}
        chosen = given.pop("self", None)
        function = self.function
        if self.make_self is not None:
            function = getattr(chosen or self.make_self(), self.function.__name__)
        used(function(**given))


def used(result: Any) -> None:
    """Use what comes back, as far as its user would at once."""
    if inspect.isgenerator(result):
        next(result, None)
    if isinstance(result, ps.Sampler | nas.Searcher):
        result.check_parameters()


@st.composite
def _arguments(draw: Any, entry: Entry, wanted: dict[str, tuple[str, bool]]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    of_family = {"Sampler": list_samplers(), "Searcher": list_searchers()}
    family = entry.name.partition(".")[0]
    if "." in entry.name and family in of_family:
        maker = family.lower()
        given["self"] = Code(f"{maker}({draw(st.sampled_from(of_family[family]))!r})")
    if not wanted:
        return given
    # Mostly one is wrong, so that the others are looked at.
    wrong = draw(st.sets(st.sampled_from(sorted(wanted)), max_size=2))
    for name, (annotation, is_required) in wanted.items():
        if name in wrong:
            values = nearly(annotation)
            given[name] = draw(values.filter(is_feasible) if name in WORK else values)
        elif right := entry.right(name):
            given[name] = draw(code(right))
        elif is_required:
            raise AssertionError(f"no right value is known of {name} of {entry.name}: see RIGHT")
    return given


def new_folder() -> str:
    return f"folder{len(list(Path().iterdir()))}"


def new_file() -> str:
    return f"file{len(list(Path().iterdir()))}.npz"


MAKERS: tuple[Any, ...] = (
    sampler, searcher, train, dataset, ranking, cell, trainer, study, recorder, images, new_file,
    new_folder, create_sampler, as_backbone, pairs, frame,
)  # fmt: skip
# By these names, code that makes a value finds what it is made from.
NAMES = {maker.__name__: maker for maker in MAKERS}


def public() -> Iterator[Entry]:
    known: set[int] = set()
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            found = getattr(module, name)
            if id(found) not in known and callable(found):
                known.add(id(found))
                yield from (
                    _of_class(name, found, known)
                    if inspect.isclass(found)
                    else [Entry(name, found)]
                )


def _of_class(name: str, kind: type, known: set[int]) -> Iterator[Entry]:
    if issubclass(kind, BaseException) or name in BY_LIBRARIES:
        return
    if name not in RESULTS and not inspect.isabstract(kind):
        yield Entry(name, kind)
    for method, raw in inspect.getmembers_static(kind):
        function = inspect.unwrap(getattr(raw, "__func__", raw))
        is_ours = inspect.isfunction(function) and function.__module__.startswith("proxysample")
        if method.startswith("_") or method in CALLED_BY_US or not is_ours or id(function) in known:
            continue
        known.add(id(function))
        owner = function.__qualname__.partition(".")[0]
        if owner not in SELVES:
            owner = next((one.__name__ for one in kind.__mro__ if one.__name__ in SELVES), name)
        named = f"{owner}.{method}"
        if named in CALLED_BY_US:
            continue
        if isinstance(raw, classmethod | staticmethod):
            yield Entry(named, getattr(kind, method))
        else:
            assert owner in SELVES, f"no object is known to try {named} on: see SELVES"
            yield Entry(named, function, SELVES[owner])


ENTRIES = [one for one in public() if one.name not in FUNCTIONS_OF_OURS]


def as_word(value: Any) -> str:
    """Write a value as a shell passes it on: without NUL."""
    with_limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return str(made(value)).replace("\0", "")
    finally:
        sys.set_int_max_str_digits(with_limit)


class Command(NamedTuple):
    """A command, called as its script would be."""

    name: str
    app: Any
    words: tuple[str, ...]
    options: tuple[tuple[str, bool, bool], ...]

    def strategy(self) -> st.SearchStrategy[list[Any]]:
        return _words(self)

    def call(self, words: list[Any]) -> None:
        before = sys.argv, sys.stdout, sys.stderr
        sys.argv = ["command", *self.words, *map(as_word, words)]
        sys.stdout = sys.stderr = io.StringIO()
        try:
            assert _run(self.app) in (0, 1, 2)
        finally:
            sys.argv, sys.stdout, sys.stderr = before


WORDS: dict[str, tuple[str, ...]] = {
    "--dataset": ("'npz:small.npz'",), "--sampler": ("'rs'", "'cc-or'"), "--ratio": ("'0.5'",),
    "--searcher": ("'random'",), "--ranking": ("'ranking.npz'",), "--indices": ("'indices.txt'",),
    "--cell": ("'|skip_connect~0|'",), "--executor": ("'in-process'",), "--workers": ("'1'",),
    "--output": ("'out.npz'", "'out'", "'-'", "'out.txt'"), "--evaluator": ("'head:epochs=1'",),
    "--cells": ("'3'",), "--seeds": ("'1'",), "--train": ("'epochs=1'",), "--every": ("'1'",),
    "--backbone": ("'tf_efficientnet_lite0'",), "--param": ("'epochs=1'", "'n_samples=1'"),
    "--channels": ("'2'",), "--threads": ("'1'",), "--max-hours": ("'0.001'",),
}  # fmt: skip
# Of searches of the usual length, which are right, everything but the training is tried.
ALWAYS = {
    "compare": ("--dry-run",), "rank": ("--dry-run",), "study run": ("--dry-run",),
    "study watch": ("--once",), "search": ("--param", "epochs=1", "--param", "n_nodes=3"),
    "evaluate": ("--param", "epochs=1"), "embed": ("--weights", "none"),
}  # fmt: skip
NUMBERS_OF_WORK = ("--workers", "--threads", "--seeds", "--num-workers", "--cells", "--nodes")


@st.composite
def _words(draw: Any, command: Command) -> list[Any]:
    needed = [name for name, is_needed, _ in command.options if is_needed]
    others = [name for name, _, _ in command.options if name not in needed]
    given: list[Any] = list(ALWAYS.get(command.name, ()))
    some = draw(st.lists(st.sampled_from(others), max_size=4, unique=True))
    wrong = draw(st.sampled_from([*needed, *some])) if needed or some else None
    flags = {name for name, _, is_flag in command.options if is_flag}
    for name in [*(one for one in needed if draw(st.integers(0, 9))), *some]:
        given.append(name)
        if name in flags:
            continue
        right = code(WORDS.get(name, ("'1'", "'0.5'", "'a'")))
        values = st.one_of(TEXT, NUMBER)
        if name in NUMBERS_OF_WORK:
            values = values.filter(is_feasible)
        given.append(draw(values if name == wrong else right))
    return given


def commands(name: str, command: Any, app: Any, words: tuple[str, ...] = ()) -> Iterator[Command]:
    if hasattr(command, "commands"):
        for own, below in command.commands.items():
            yield from commands(f"{name} {own}".strip(), below, app, (*words, own))
        return
    options = tuple(
        (one.opts[0], bool(one.required), bool(getattr(one, "is_flag", False)))
        for one in command.params
    )
    yield Command(name, app, words, options)


COMMANDS = [
    *commands("", typer.main.get_command(app), app),
    *commands("", typer.main.get_command(nas_app), nas_app),
]
# Some commands go by the name of the function that they call.
ALL: dict[str, Any] = {one.name: one for one in ENTRIES}
ALL |= {f"command {one.name}": one for one in COMMANDS}


def write_files() -> None:
    """Write files that readers are given by right names, into the folder where a test works."""
    np.savez(
        "small.npz", train_images=PIXELS, train_labels=LABELS, test_images=PIXELS,
        test_labels=LABELS, images=PIXELS, labels=LABELS,
    )  # fmt: skip
    Path("small.csv").write_text("path,label\na.png,0\nb.png,1\n")
    Path("small.json").write_text('{"a": [1, 2]}\n')
    Path("indices.txt").write_text("1\n2\n")
    Path("tree/0").mkdir(parents=True)
    Path("tree/0/a.png").write_bytes(b"no image")
    Path("link").symlink_to("/dev/zero")
    os.mkfifo("fifo")
    ranking().save("ranking.npz")


class TooLong(BaseException):
    """A call took longer than one may."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def try_call(entry: Entry | Command, arguments: Any) -> None:
    try:
        with at_most(MOST_SECONDS):
            entry.call(arguments)
    except ProxysampleError as told:
        # What is said can be shown, and be written to a file.
        str(told).encode()
    except TooLong:
        # Of a machine that does much else, or of a search that somebody asked for.
        pass


@pytest.fixture(scope="module", autouse=True)
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("calls") / "a" / "b" / "c"
    folder.mkdir(parents=True)
    before = Path.cwd()
    os.chdir(folder)
    try:
        write_files()
        yield
    finally:
        os.chdir(before)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    yield
    for device in ("/dev/null", "/dev/zero", "/dev/full"):
        assert stat.S_ISCHR(Path(device).stat().st_mode)


@pytest.mark.parametrize("name", sorted(ALL))
def test_only_the_projects_errors_come_out(name: str) -> None:
    entry = ALL[name]
    n_calls = -(-N_CALLS // len(ALL))
    n_calls = 1 if name in SLOW and n_calls < 5 else n_calls

    @given(entry.strategy())
    @settings(
        max_examples=n_calls, database=None, derandomize=True,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def check(arguments: Any) -> None:
        try_call(entry, arguments)

    check()


# Of each kind that a long run of the above has found, one call, as it found it.
FOUND = {
    "rank_study": {"study": "study()", "run": "['?']"},
    "Study.table": {"searcher": "'random'", "columns": "[1]"},
    "CCRandomSampling": {"random_state": "Odd(24, Refusing())"},
    "Prototypes": {"features": "Odd(24, Refusing())"},
    "RankAgreement.open": {"folder": "'[' * 10_000"},
    "Features.open": {"folder": "'x' * 300"},
    "from_jsonl": {"path": "'small.json'", "guids": "iter([1])"},
    "from_arrays": {"outputs": "Odd(24, MemoryError())", "labels": "LABELS"},
    "RankAgreement.figure": {"name": "np.zeros(24)"},
    "Splits": {"name": "'a'", "train": "pairs()", "read_test": "PIXELS"},
    "FunctionEvaluator": {"function": "Exception", "name": "np.zeros(2)"},
    "register": {"entry": "type(create_sampler('rs'))", "name": "'a'", "replace": "np.zeros(2)"},
    "edges_of": {"n_nodes": "10**400"},
    "Cell.network": {"n_classes": "3", "channels": "2**62"},
    "DynamicsRecorder.record": {
        "indices": "np.arange(24)", "outputs": "np.eye(3)[LABELS]", "labels": "LABELS",
        "features": "[]",
    },
    "DynamicsRecorder.record_held_out": {"outputs": "Odd(24, None)", "labels": "LABELS"},
    "AUMCalculator.update": {
        "logits": "torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])",
        "targets": "LABELS", "sample_ids": "LABELS",
    },
    "Ranking.select": {"r": "0.5", "min_per_class": "np.zeros(2)"},
    "Ranking.select_many": {"ratios": "[]", "n": "np.array(['NaT', 'NaT'], dtype='m8[s]')"},
    "Ranking": {"scores": "np.arange(24.0)", "columns": "{'a': Refusing()}"},
    "Ranking.read": {"stream": "io.BytesIO(b'')", "name": "Odd(1, 1)"},
    "side_by_side": {
        "rankings": "{'a': ranking()}", "dataset": "dataset()", "r": "0.5", "n_images": "b'a'",
    },
    "TrainedCell.load": {"path": "Odd(1, 1)"},
    "Study.run.drop": {"drop": "np.zeros(2)"},
    "Study.estimate": {"n_threads": "2**64"},
    "plan_ranking": {
        "dataset": "pairs()", "samplers": "['rs']", "ratios": "[0.5]", "folder": "'new'",
        "training": "np.zeros(2)",
    },
    "GDAS.temperature": {"epoch": "10**5000"},
    "DynamicsRecorder": {"n_samples": "2**62", "n_classes": "3"},
    "Study.run": {"n_workers": "2**64"},
    "compare": {"dataset": "Odd(24, Refusing())", "samplers": "['rs']", "ratios": "[0.5]"},
    "D2": {"features": "PIXELS[:, :, 0, 0]", "difficulty": "10**5000"},
    "read_csv": {"file": "'small.csv'", "path": "10**5000"},
    "ArrayDataset": {"images": "PIXELS", "targets": "Odd(2**70, 0)"},
    "ArrayDataset.images": {"images": "Odd(24, np.zeros((2, 2), object))"},
    "from_arrays.labels": {
        "outputs": "np.eye(3)[LABELS][None]", "labels": "Odd(24, np.zeros((2, 2), object))",
    },
    "score": {"name": "'confidence'", "dynamics": "'a'"},
    "load_images": {"dataset": "PIXELS", "y": "LABELS", "classes": "[Refusing()]"},
    "AUMCalculator.update.nested": {
        "logits": "np.eye(3)[LABELS]", "sample_ids": "LABELS",
        "targets": "torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])",
    },
    "mislabelled": {"record": "Refusing()"},
    "Ranking.read.stream": {"stream": "Refusing()"},
    "Ranking.select.exclude": {"r": "0.5", "exclude": "Refusing()"},
    "RandomSchedule": {"data": "2**60", "r": "0.5"},
    "read_stream": {"stream": "Refusing()", "image": "0", "folder": "'new'"},
    "read_stream.items": {"stream": "[Refusing()]", "image": "'a'", "folder": "'new'"},
    "FunctionEvaluator.function": {"function": "Refusing()"},
    "compare.evaluator": {
        "dataset": "dataset()", "samplers": "['rs']", "ratios": "[0.5]", "evaluator": "Refusing()",
    },
    "plan_ranking.zero_cost": {
        "dataset": "dataset()", "samplers": "['rs']", "ratios": "[0.5]", "folder": "'new'",
        "zero_cost": "[Refusing()]",
    },
    "from_jsonl.guids": {"path": "'small.json'", "guids": "[Refusing()]"},
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_is_refused(name: str) -> None:
    entry = ALL[name] if name in ALL else ALL[name.rpartition(".")[0]]
    with pytest.raises(ProxysampleError):
        entry.call({key: Code(value) for key, value in FOUND[name].items()})


SAMPLERS: dict[str, dict[str, str]] = {
    "distinct_labels": {"dataset": "PIXELS", "y": "LABELS", "distinct_labels": "np.zeros(2)"},
    "exclude": {"dataset": "dataset()", "r": "0.5", "exclude": "np.array(3)"},
    "must_keep": {"dataset": "3.5", "r": "0.5", "must_keep": "('a', 'b')"},
    "names": {"dataset": "dataset()", "r": "0.5", "must_keep": "[Refusing()]"},
    "rows": {
        "dataset": "pairs()", "r": "0.5", "broken": "'skip'",
        "features": "np.broadcast_to(np.float32(0), (10**12, 3))",
    },
    "array": {
        "dataset": "PIXELS", "r": "0.5",
        "features": "np.broadcast_to(np.float32(0), (10**12, 3))",
    },
    "many": {
        "dataset": "dataset()", "r": "0.5",
        "must_keep": "np.broadcast_to(np.float32(0), (10**12, 3))",
    },
    "nested": {
        "dataset": "dataset()", "r": "0.5",
        "must_keep": "torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])",
    },
    "features": {"dataset": "dataset()", "r": "0.5", "features": "Refusing()"},
}  # fmt: skip


@pytest.mark.parametrize("case", SAMPLERS)
def test_what_was_found_of_samplers_is_refused(case: str) -> None:
    given = {"self": "sampler('cc-or')", "r": "0.5"} | SAMPLERS[case]
    with pytest.raises(ProxysampleError):
        ALL["Sampler.select"].call({key: Code(value) for key, value in given.items()})


def test_half_a_character_on_a_command_line_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    ALL["command compare"].call(["--dry-run", "--output", "a\ud800"])

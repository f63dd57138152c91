"""Whatever is passed to whatever is public, only the project's own errors come out.

A few hundred calls by default, the same each time; PROXYSAMPLE_CALLS=20000 makes so many over all
entry points, of which those are the first.
"""

from __future__ import annotations

import dataclasses
import io
import os
import random
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from proxysample import ArrayDataset, Ranking, create_sampler, embed, list_samplers, load_dataset
from proxysample.cli import app
from proxysample.cli_support import _run
from proxysample.data import FieldView, Samples, read_csv, read_paths, read_stream
from proxysample.data.labels import check_labels
from proxysample.errors import ProxysampleError
from proxysample.features import Features, load_backbone
from proxysample.keeping import as_rule, check_count, check_ratio
from proxysample.outputs import read_sample_list
from proxysample.registry import sampler_class, takes_parameter
from proxysample.wording import parse_parameters, parse_words
from proxysample_nas import Cell, CellTrainer, Study, TrainedCell
from proxysample_nas.cli import app as nas_app
from proxysample_nas.data.images import load_images
from proxysample_nas.data.loader import Augmentation
from proxysample_nas.data.normalization import Normalization
from proxysample_nas.searchers import SearchResult, create_searcher, list_searchers

N_CALLS = int(os.environ.get("PROXYSAMPLE_CALLS", "240"))

pytestmark = pytest.mark.filterwarnings("ignore")

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 4, 4, 1), dtype=np.uint8)
LABELS = np.arange(24) % 3
QUICK = {"n_clusters": 3, "epochs": 1, "random_state": 0, "device": "cpu", "n_draws": 50}


class Odd:
    """A dataset whose methods give, or raise, what they are told to."""

    def __init__(self, size: Any, item: Any) -> None:
        self.size, self.item = size, item

    def __len__(self) -> Any:
        if isinstance(self.size, Exception):
            raise self.size
        return self.size

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.item, Exception):
            raise self.item
        return self.item

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def _nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


def _itself() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


# Each is made anew, so that no call sees what another has done to it.
PLAIN: list[Callable[[], Any]] = [
    lambda value=value: value
    for value in (
        None, True, False, 0, 1, -1, 3, 2**31, 2**63, -(2**63), 2**64, 10**30, 10**400, 10**5000,
        0.0, -0.0, 0.5, 1.0, 1e-300, 1e300, float("nan"), float("inf"), -float("inf"), 1j,
        "", " ", "a", "0", "nan", "digits", "easy", "given", "auto", "cpu", "cuda:99", "meta",
        "a\0b", "\udcff", "\x1b[31m", "\u202eb", "a\nb", "x" * 300, "x" * 10_000, "[" * 10_000,
        "9" * 5_000, "../..", "/dev/zero", "/dev/null", "/proc/self/mem", "/nowhere/a.npz", ".",
        "resnet18./etc/passwd", "hf-hub:a/b", "local-dir:/tmp", "http://127.0.0.1:9/a", "a=b", "=",
        "epochs=1", "km-or:n_clusters=99999999999999999999", "indices:path=/dev/zero", "{}", "$",
        b"", b"a", b"\xff", Path("/nowhere"), Path(), (), [], {}, set(), frozenset({1}), range(3),
        [1, "1"], [1.5], [None], [[1], [1, 2]], [float("nan")], ["a", "b"], {"a": 1}, {1: [2]},
        [2**64], [True, 1], (1, 2, 3), [b"a"], {"image": 1}, slice(3), Ellipsis, NotImplemented,
        int, object, len, np.int8(3), np.float32(0.5), np.float64("nan"), np.bool_(True),
        np.str_("a"), np.uint64(2**64 - 1), np.datetime64("2020-01-01"), torch.float32,
        torch.device("meta"), ValueError("a"),
    )
]  # fmt: skip
MADE: list[Callable[[], Any]] = [
    object, lambda: iter([1]), lambda: (one for one in "ab"), lambda: _nested(50),
    lambda: _nested(100_000), _itself, lambda: lambda x: 1 / 0, lambda: io.BytesIO(b"a"),
    lambda: np.array(3), lambda: np.array("a"), lambda: np.zeros(0), lambda: np.zeros((0, 3)),
    lambda: np.zeros((3, 0)), lambda: np.full((24, 2), np.nan), lambda: np.full((24, 2), np.inf),
    lambda: np.zeros((24, 2), dtype=object), lambda: np.array([None] * 24),
    lambda: np.zeros(24, dtype="M8[s]"), lambda: np.zeros(24, dtype=[("a", int)]),
    lambda: np.zeros((24, 2), dtype=complex), lambda: np.ma.masked_all(24),
    lambda: np.zeros((1,) * 20), lambda: np.zeros((24, 4, 4, 9)),
    lambda: np.zeros(24), lambda: np.arange(24) * 1e300, lambda: np.full((24, 3), 1e308),
    lambda: np.zeros((24, 3), dtype=np.float16), lambda: np.zeros((24, 3), dtype="S2"),
    lambda: np.array(["a", "b"] * 12), lambda: np.zeros((24, 2), dtype=np.longdouble),
    lambda: torch.zeros(()), lambda: torch.zeros(24, 2), lambda: torch.zeros(24, 2).to_sparse(),
    lambda: torch.zeros(24, 2, device="meta"), lambda: torch.zeros(24, 2, dtype=torch.complex64),
    lambda: torch.zeros(24, 2).to(torch.float8_e4m3fn), lambda: torch.zeros(0, 2),
    lambda: torch.quantize_per_tensor(torch.zeros(24, 2), 1.0, 0, torch.qint8),
    lambda: torch.zeros(24, 2, requires_grad=True), lambda: torch.full((24, 2), float("nan")),
    lambda: torch.zeros(24, 2).to_sparse_csr(), lambda: torch.ones(24, dtype=torch.bfloat16),
    lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
    lambda: Odd(-1, 0), lambda: Odd(10**12, 0), lambda: Odd(2**70, 0), lambda: Odd("a", 0),
    lambda: Odd(1.5, 0), lambda: Odd(ValueError("a"), 0), lambda: Odd(24, ValueError("a")),
    lambda: Odd(24, None), lambda: Odd(24, "a.png"), lambda: Odd(24, np.zeros((2, 2), object)),
    lambda: Odd(24, (np.zeros((4, 4, 1)), _itself())), lambda: Odd(24, {"image": 3}),
    lambda: Odd(24, (torch.zeros(1, 4, 4, device="meta"), 1)), lambda: Odd(24, MemoryError()),
    lambda: Odd(24, RecursionError()), lambda: Odd(24, StopIteration()),
    lambda: Odd(24, (np.zeros((4, 4)), 10**5000)), lambda: [PIXELS[0], PIXELS[1][:2]],
    lambda: nn.Linear(2, 2), lambda: nn.Flatten(), lambda: np.random.default_rng(0),
    lambda: ArrayDataset(PIXELS, LABELS), lambda: ArrayDataset(PIXELS), lambda: PIXELS.copy(),
    lambda: LABELS.copy(), lambda: LABELS.tolist(), lambda: PIXELS[:, :, :, 0] / 255,
]  # fmt: skip
Choice = Callable[[random.Random], Any]
Draw = Callable[[Choice], Any]


def one_of(options: Sequence[Any]) -> Choice:
    return lambda generator: generator.choice(options)


def some_of(options: Sequence[Any], most: int) -> Choice:
    return lambda generator: generator.sample(
        options, generator.randint(0, min(most, len(options)))
    )


def anything(generator: random.Random) -> Any:
    return generator.choice(PLAIN + MADE)()


def mostly(*good: Any, wrong: Choice = anything) -> Choice:
    """Give what is right in three of four calls, so that the other arguments are looked at."""

    def choose(generator: random.Random) -> Any:
        if not generator.randrange(4):
            return wrong(generator)
        right = generator.choice(good)
        return right() if callable(right) else right

    return choose


def no_large_number(generator: random.Random) -> Any:
    """Give anything but so many processes, or so large an image, as are right and take long."""
    while isinstance(value := anything(generator), int | np.integer) and 10 <= value <= 10**20:
        pass
    return value


DATASET = mostly(
    lambda: ArrayDataset(PIXELS, LABELS),
    lambda: PIXELS,
    lambda: list(zip(PIXELS, LABELS, strict=True)),
)
RATIO = mostly(0.5, 0.25, None)
Y = mostly(None, None, lambda: LABELS)
NAMES = one_of(list_samplers())
PATHS = mostly("digits", "npz:/nowhere", "folder:.", "csv:/dev/null", "npy:a,b", "huggingface:.")
TEXTS = [value for value in (make() for make in PLAIN) if isinstance(value, str)]
CHARACTERS = (
    "aZ09 =:,.;-_/\\'\"()[]{}<>|&$#%@!?*^~`\t\n\0\x1b\xff\u0301\u202e\u732b\U0001f600\ud800"
)


def words_of_anyone(generator: random.Random) -> str:
    if generator.randrange(2):
        return generator.choice(TEXTS)
    return "".join(generator.choices(CHARACTERS, k=generator.randint(0, 30)))


def sampler(name: str) -> Any:
    parameters = {key: value for key, value in QUICK.items() if takes_parameter(name, key)}
    if takes_parameter(name, "backbone"):
        parameters["backbone"] = nn.Flatten()
    return create_sampler(name, **parameters)


def parametrized(draw: Draw, names: list[str], kind: Callable[[str], Any]) -> tuple[str, Any]:
    """Draw a class by its name, and a few of its parameters, of any value."""
    name = draw(one_of(names))
    some = draw(some_of(sorted(kind(name)._get_param_names()), 3))
    return name, {parameter: draw(anything) for parameter in some}


def _of_searcher(name: str) -> Any:
    return type(create_searcher(name))


RANKING = sampler("cc-or").rank(ArrayDataset(PIXELS, LABELS))
CALLS: dict[str, Callable[[Draw], None]] = {}


def call(function: Callable[[Draw], None]) -> Callable[[Draw], None]:
    CALLS[function.__name__] = function
    return function


@call
def select(draw: Draw) -> None:
    sampler(draw(NAMES)).select(
        draw(DATASET), draw(RATIO), draw(Y), n=draw(mostly(None, 6)),
        balance=draw(mostly(None, "equal")), min_per_class=draw(mostly(0, 1)),
        must_keep=draw(mostly(None)), exclude=draw(mostly(None)),
        broken=draw(mostly("stop", "skip")),
        image=draw(mostly(None)), label=draw(mostly(None)), features=draw(mostly(None)),
        distinct_labels=draw(mostly(False)),
    )  # fmt: skip


@call
def select_many(draw: Draw) -> None:
    chosen = sampler(draw(NAMES))
    chosen.select_many(draw(DATASET), draw(mostly([0.5])), draw(Y), n=draw(mostly([])))


@call
def resample(draw: Draw) -> None:
    sampler("cc-or").fit_resample(draw(DATASET), draw(Y), r=draw(RATIO))
    sampler("rs").subset(draw(DATASET), draw(RATIO))


@call
def report(draw: Draw) -> None:
    str(sampler("cc-or").report(draw(DATASET), draw(RATIO), draw(Y)))


@call
def parameters_of_samplers(draw: Draw) -> None:
    name, parameters = parametrized(draw, list_samplers(), sampler_class)
    create_sampler(name, **parameters).check_parameters()


@call
def names_of_samplers(draw: Draw) -> None:
    create_sampler(draw(anything))


@call
def ranking(draw: Draw) -> None:
    RANKING.select(draw(RATIO), n=draw(mostly(None)), balance=draw(mostly(None, "equal")))
    RANKING.select_many(draw(mostly([0.5])), n=draw(mostly([])), exclude=draw(mostly(None)))
    RANKING.subset(draw(DATASET), draw(RATIO))


@call
def rankings_made(draw: Draw) -> None:
    Ranking(
        scores=draw(mostly(lambda: np.arange(24.0))),
        codes=draw(mostly(None, lambda: LABELS)),
        keep=draw(mostly("easy")),
    ).select(0.5)


@call
def rules(draw: Draw) -> None:
    for check in (as_rule, check_ratio):
        with suppress(ProxysampleError):
            check(draw(anything))
    check_count(draw(anything))


@call
def files(draw: Draw) -> None:
    reader = draw(
        one_of(
            [Ranking.load, Features.open, read_sample_list, read_csv, read_paths, SearchResult.load,
             TrainedCell.load, Cell.from_string if hasattr(Cell, "from_string") else Cell]
        )
    )  # fmt: skip
    reader(draw(anything))


@call
def saving(draw: Draw) -> None:
    where = draw(anything)
    if isinstance(where, str) and where not in (".", "../.."):
        RANKING.save(f"/nowhere/{where}")
        RANKING.save(where)


@call
def datasets(draw: Draw) -> None:
    load_dataset(
        draw(PATHS), image=draw(mostly(None)), label=draw(mostly(None)),
        features=draw(mostly(None)), broken=draw(mostly("stop")),
    )  # fmt: skip


@call
def samples(draw: Draw) -> None:
    found = Samples(
        draw(DATASET), draw(Y), image=draw(mostly(None, 0)), label=draw(mostly(None, 1)),
        features=draw(mostly(None)), image_size=draw(mostly(None)), cache=draw(mostly(True)),
    )  # fmt: skip
    _ = found.images, found.labels


@call
def views(draw: Draw) -> None:
    view = FieldView(draw(DATASET), image=draw(mostly(None, 0)), label=draw(mostly(None, 1)))
    sampler("cc-or").select(view, 0.5)


@call
def arrays(draw: Draw) -> None:
    ArrayDataset(draw(mostly(lambda: PIXELS)), draw(Y), draw(mostly(None, ["a", "b", "c"])))
    check_labels(draw(anything), 24)


@call
def streams(draw: Draw) -> None:
    read_stream(draw(DATASET), draw(mostly("/nowhere/a")), image_size=draw(mostly(None)))


@call
def embedding(draw: Draw) -> None:
    embed(
        draw(DATASET), draw(Y), folder=draw(mostly("/dev/null/a")),
        backbone=draw(mostly(nn.Flatten)), dtype=draw(mostly("float32")),
        device=draw(mostly("cpu")), num_workers=draw(mostly(0, wrong=no_large_number)),
        weights=draw(mostly("auto")), input_size=draw(mostly(None, 4, wrong=no_large_number)),
    )  # fmt: skip


@call
def backbones(draw: Draw) -> None:
    load_backbone(draw(anything), draw(mostly("package")))


@call
def words(draw: Draw) -> None:
    parse_words(draw(words_of_anyone))
    parse_parameters([draw(words_of_anyone)])


@call
def commands(draw: Draw) -> None:
    command = draw(one_of(["select", "score", "report", "embed", "samplers", "about"]))
    given = [command]
    for option in draw(some_of(OPTIONS, 5)):
        given += [option, draw(mostly("digits", "rs", "0.5", "cc-or", "-", wrong=words_of_anyone))]
    run(app, ["--dataset", "npz:/nowhere", *given] if draw(one_of([True, False])) else given)


OPTIONS = (
    "--dataset", "--sampler", "-r", "-n", "-o", "--ranking", "--param", "--balance", "--must-keep",
    "--exclude", "--image", "--label", "--broken", "--link-to", "--min-per-class",
)  # fmt: skip


@call
def commands_of_searches(draw: Draw) -> None:
    command = draw(one_of([["search"], ["evaluate"], ["study", "status"], ["study", "report"]]))
    given = [*command]
    for option in draw(some_of(NAS_OPTIONS, 4)):
        given += [option, draw(mostly("darts-v1", "0.5", "npz:/nowhere", wrong=words_of_anyone))]
    run(nas_app, given)


NAS_OPTIONS = (
    "--dataset",
    "--searcher",
    "--param",
    "-o",
    "--proxy",
    "--cell",
    "--train",
    "--lookup",
)


def run(command_line: Any, words: list[str]) -> None:
    before = sys.argv, sys.stdout, sys.stderr
    sys.argv = ["command", *words]
    sys.stdout = sys.stderr = io.StringIO()
    try:
        assert _run(command_line) in (0, 1, 2)
    finally:
        sys.argv, sys.stdout, sys.stderr = before


@call
def parameters_of_searchers(draw: Draw) -> None:
    name, parameters = parametrized(draw, list_searchers(), _of_searcher)
    create_searcher(name, **parameters).check_parameters()


@call
def trainers(draw: Draw) -> None:
    known = [one.name for one in dataclasses.fields(CellTrainer) if one.init]
    some = draw(some_of(known, 2))
    CellTrainer(**{name: draw(anything) for name in some})


@call
def images(draw: Draw) -> None:
    load_images(draw(DATASET), draw(Y), classes=draw(mostly(None)), device=draw(mostly("cpu")))


@call
def studies(draw: Draw) -> None:
    Study(
        dataset=draw(mostly("digits")), samplers=draw(mostly(["rs"])), ratios=draw(mostly([0.5])),
        searchers=draw(mostly(["darts-v1"])), folder=draw(mostly("/nowhere/a")),
        channels=draw(mostly([16])), seeds=draw(mostly([1])), training=draw(mostly(None)),
        augmentation=draw(mostly(None)), n_train=draw(mostly(None)), lookup=draw(mostly(None)),
        transfers=draw(mostly(())), random_state=draw(mostly(0)),
    )  # fmt: skip


@call
def augmentations(draw: Draw) -> None:
    some = [one.name for one in dataclasses.fields(Augmentation) if one.init]
    Augmentation(**{name: draw(mostly(0)) for name in some[:2]})
    Normalization(draw(mostly((0.5,))), draw(mostly((0.5,))))


@pytest.mark.parametrize("name", sorted(CALLS))
def test_only_the_projects_errors_come_out(name: str) -> None:
    for number in range(-(-N_CALLS // len(CALLS))):
        generator = random.Random(f"{name} {number}")
        try:
            CALLS[name](lambda choice, generator=generator: choice(generator))
        except ProxysampleError as told:
            # What is said can be shown, and be written to a file.
            str(told).encode()
        except Exception as error:
            error.add_note(f"call {number} of {name}")
            raise

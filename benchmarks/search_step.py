r"""Time one search step of the library against the plain form that the authors ran.

The plain form has one module per edge and operation, biases that BatchNorm cancels, one backward
for everything and a deep copy for the virtual step; it stands in the tests, which prove both equal.
Steps of all forms alternate in one process, so that whatever else the machine does meets all alike.

The library's step is timed as it is (``eager``), with its cells compiled by torch.compile
(``compile``), and, on a GPU, recorded once as a CUDA graph and replayed (``graph``). The last
column tells how far the architecture parameters then are from those of the first form.

    python benchmarks/search_step.py --step darts-v1 --step gdas --repeats 5
    python benchmarks/search_step.py --device cuda --form eager --form graph \
        --precision float32 --precision bfloat16 --repeats 20
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from proxysample_nas.searchers.bilevel import (
    update_architecture,
    update_architecture_unrolled,
    update_weights,
)
from proxysample_nas.searchers.state import SearchState
from proxysample_nas.space.cell import n_edges
from proxysample_nas.space.network import AUTOCAST_DTYPES, autocast_dtype
from proxysample_nas.space.operations import NAS_BENCH_201
from proxysample_nas.space.supernet import Supernet
from tests.proxysample_nas.searchers.reference_darts import Reference
from tests.proxysample_nas.space.reference_supernet import ReferenceSupernet

Step = Callable[[], object]
Batch = tuple[Tensor, Tensor]

CLIP = 5.0
LEARNING_RATE = 0.025
WARM_UP = 3
"""Steps that are not timed: kernels are chosen and compiled in them."""

FORMS = ("eager", "compile", "graph")


def library_state(supernet: Supernet, alphas: Tensor, capturable: bool = False) -> SearchState:
    """Set up a search with the published optimisers."""
    alphas = alphas.clone().requires_grad_()
    return SearchState(
        supernet=supernet,
        alphas=alphas,
        weight_optimizer=torch.optim.SGD(
            supernet.parameters(), LEARNING_RATE, 0.9, weight_decay=5e-4, nesterov=True
        ),
        architecture_optimizer=torch.optim.Adam(
            [alphas], 3e-4, betas=(0.5, 0.999), weight_decay=1e-3, capturable=capturable
        ),
    )


def darts_v1(state: SearchState, plain: Reference, first: Batch, second: Batch) -> list[Step]:
    """First order: weights, then architecture."""

    def library() -> None:
        update_weights(state, first, gradient_clip=CLIP, clip_with_architecture=True)
        update_architecture(state, second, keep_statistics=False)

    return [library, lambda: plain.paper_v1(first, second, CLIP)]


def darts_v2(state: SearchState, plain: Reference, first: Batch, second: Batch) -> list[Step]:
    """Second order: architecture one virtual step ahead, then weights."""

    def library() -> None:
        update_architecture_unrolled(
            state, first, second, finite_difference=0.01, keep_statistics=False
        )
        update_weights(state, first, gradient_clip=CLIP, clip_with_architecture=True)

    return [library, lambda: plain.paper_v2(first, second, CLIP)]


def gdas(state: SearchState, plain: Reference, first: Batch, second: Batch) -> list[Step]:
    """One sampled operation per edge: weights, then architecture, each with its own sample."""
    # One stream each, from the same seed: both forms meet the same samples.
    streams = {
        net: torch.Generator().manual_seed(0) for net in (state.supernet, plain.network.supernet)
    }

    def sampled_loss(net: Supernet | ReferenceSupernet, alphas: Tensor, batch: Batch) -> Tensor:
        noise = (
            -torch.empty(alphas.shape).exponential_(generator=streams[net]).log().to(alphas.device)
        )
        soft = torch.softmax(torch.log_softmax(alphas, dim=1) + noise, dim=1)
        operations = soft.argmax(dim=1)
        gates = F.one_hot(operations, len(NAS_BENCH_201)) - soft.detach() + soft
        images, labels = batch
        logits = net.forward_sampled(images, operations.tolist(), gates, scalar_trick=True)
        return F.cross_entropy(logits, labels)

    def library() -> None:
        state.weight_optimizer.zero_grad()
        sampled_loss(state.supernet, state.alphas.detach(), first).backward()
        torch.nn.utils.clip_grad_norm_(state.weights, CLIP)
        state.weight_optimizer.step()
        loss = sampled_loss(state.supernet, state.alphas, second)
        (state.alphas.grad,) = torch.autograd.grad(loss, [state.alphas])
        state.architecture_optimizer.step()

    def authors() -> None:
        network = plain.network
        plain.weight_optimizer.zero_grad()
        sampled_loss(network.supernet, network.alphas, first).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        plain.weight_optimizer.step()
        plain.architecture_optimizer.zero_grad()
        sampled_loss(network.supernet, network.alphas, second).backward()
        plain.architecture_optimizer.step()

    return [library, authors]


STEPS = {"darts-v1": darts_v1, "darts-v2": darts_v2, "gdas": gdas}


def unavailable(form: str, name: str, device: str) -> str | None:
    """Say why a form of a step cannot be timed here, if so."""
    if form != "eager" and name == "gdas":
        return "what runs is drawn anew in each step"
    if form == "graph" and not device.startswith("cuda"):
        return "needs a CUDA device"
    if form == "compile" and not any(map(shutil.which, ("cc", "c++", "gcc", "g++", "clang"))):
        return "needs a compiler"
    return None


def prepare(form: str, step: Step, state: SearchState) -> Step:
    """Warm a step up, as all forms are, and give what runs it in its form."""
    if form == "compile":
        for stage in state.supernet.stages:
            for cell in stage:  # type: ignore[union-attr]
                cell.compile(dynamic=False)
    if form != "graph":
        for _ in range(WARM_UP):
            step()
        return step
    # What a step leaves in the gradient is read by the next one, from the same place.
    left_over = torch.zeros_like(state.alphas)

    def whole() -> None:
        state.alphas.grad = left_over
        step()
        left_over.copy_(state.alphas.grad)

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            whole()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        whole()
    return graph.replay


def interleave(steps: Sequence[Step], repeats: int) -> list[list[float]]:
    """Run the steps in turn, once to warm up and then `repeats` times; return the seconds."""
    seconds: list[list[float]] = [[] for _ in steps]
    for _ in range(repeats + 1):
        for step, taken in zip(steps, seconds, strict=True):
            wait_for_device()
            start = time.perf_counter()
            step()
            wait_for_device()
            taken.append(time.perf_counter() - start)
    return [taken[1:] for taken in seconds]


def wait_for_device() -> None:
    """Let a GPU finish what it was given: it works on by itself."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure(options: argparse.Namespace, name: str) -> Iterator[str]:
    """Time one kind of step in every form, and write the rows of the table."""
    generator = torch.Generator().manual_seed(0)
    size = (options.batch_size, 3, options.image_size, options.image_size)
    first, second = (
        (
            torch.randn(size, generator=generator).to(options.device),
            torch.randint(options.n_classes, size[:1], generator=generator).to(options.device),
        )
        for _ in range(2)
    )
    alphas = 1e-3 * torch.randn(n_edges(options.n_nodes), len(NAS_BENCH_201), generator=generator)
    alphas = alphas.to(options.device)
    sizes = (options.n_nodes, options.channels, options.cells_per_stage, options.n_classes)
    supernet = Supernet(*sizes, generator=generator).to(options.device)
    plain = Reference(ReferenceSupernet(*sizes).to(options.device), alphas, LEARNING_RATE)
    states: list[SearchState] = []
    labels, steps = [], []
    for precision in options.precision or ["float32"]:
        for form in options.form or ["eager"]:
            reason = unavailable(form, name, options.device)
            if reason is not None:
                yield f"| {name} | {form}, {precision} | {reason} |" + 6 * " |"
                continue
            own = deepcopy(supernet)
            own.autocast_dtype = autocast_dtype(precision)
            state = library_state(own, alphas, capturable=form == "graph")
            library, authors = STEPS[name](state, plain, first, second)
            if not states:
                steps.append(prepare("eager", authors, state))
            steps.append(prepare(form, library, state))
            states.append(state)
            labels.append(f"{form}, {precision}")
    if not states:
        return
    slow, *fast = interleave(steps, options.repeats)
    yield from (
        row(name, label, slow, taken, options.batch_size, state.alphas - states[0].alphas)
        for label, taken, state in zip(labels, fast, states, strict=True)
    )


def row(
    name: str, label: str, slow: list[float], fast: list[float], batch_size: int, off: Tensor
) -> str:
    """Write what one form took, beside the plain one."""
    plain, library = statistics.median(slow), statistics.median(fast)
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    # A step reads a batch for the weights and one for the architecture.
    return (
        f"| {name} | {label} | {plain:.4f} | {library:.4f} | {plain / library:.2f} "
        f"| {min(ratios):.2f} to {max(ratios):.2f} | {2 * batch_size / library:.0f} "
        f"| {len(fast)} | {off.detach().abs().max().item():.1e} |"
    )


def device_name(device: str) -> str:
    """Say what the steps run on."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--step", action="append", choices=list(STEPS), help="default: all")
    parser.add_argument("--n-nodes", type=int, default=5)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--cells-per-stage", type=int, default=5)
    parser.add_argument("--n-classes", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--image-size", type=int, default=32, help="height and width, in pixels")
    parser.add_argument("--repeats", type=int, default=3, help="timed steps of each form")
    parser.add_argument("--device", default="cpu", help="such as cuda")
    parser.add_argument(
        "--precision", action="append", choices=list(AUTOCAST_DTYPES), help="default: float32"
    )
    parser.add_argument("--form", action="append", choices=FORMS, help="default: eager")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a Markdown table of medians and ratios."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    print(
        f"{options.n_nodes} nodes, {options.channels} channels, {options.cells_per_stage} cells a "
        f"stage, batch {options.batch_size}, {options.image_size}x{options.image_size} pixels, "
        f"{options.threads} threads, {device_name(options.device)}, torch {torch.__version__}\n"
    )
    print(
        "| step | library's form | plain, median s | library, median s | ratio | ratio per pair "
        "| images/s | n | off |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in options.step or STEPS:
        for line in measure(options, name):
            print(line, flush=True)


if __name__ == "__main__":
    main()

"""Time one search step of the library against the plain form that the authors ran.

The plain form has one module per edge and operation, biases that BatchNorm cancels, one backward
for everything and a deep copy for the virtual step; it stands in the tests, which prove both equal.
Steps of the two alternate in one process, so that whatever else the machine does meets both alike.

    python benchmarks/search_step.py --step darts-v1 --step gdas --repeats 5
    python benchmarks/search_step.py --device cuda --precision bfloat16 --repeats 20
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
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


def library_state(supernet: Supernet, alphas: Tensor) -> SearchState:
    """Set up a search with the published optimisers."""
    alphas = alphas.clone().requires_grad_()
    return SearchState(
        supernet=supernet,
        alphas=alphas,
        weight_optimizer=torch.optim.SGD(
            supernet.parameters(), LEARNING_RATE, 0.9, weight_decay=5e-4, nesterov=True
        ),
        architecture_optimizer=torch.optim.Adam(
            [alphas], 3e-4, betas=(0.5, 0.999), weight_decay=1e-3
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
        noise = -torch.empty(alphas.shape).exponential_(generator=streams[net]).log()
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


def measure(options: argparse.Namespace, name: str) -> str:
    """Time one kind of step and write its row of the table."""
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
    dtype = autocast_dtype(options.precision)
    supernet = Supernet(*sizes, generator=generator, autocast_dtype=dtype)
    state = library_state(supernet.to(options.device), alphas)
    plain = Reference(ReferenceSupernet(*sizes).to(options.device), alphas, LEARNING_RATE)
    library, authors = interleave(STEPS[name](state, plain, first, second), options.repeats)
    fast, slow = statistics.median(library), statistics.median(authors)
    ratios = [a / b for a, b in zip(authors, library, strict=True)]
    return (
        f"| {name} | {slow:.3f} | {fast:.3f} | {slow / fast:.2f} "
        f"| {min(ratios):.2f} to {max(ratios):.2f} | {2 * options.batch_size / fast:.0f} "
        f"| {options.repeats} |"
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
    parser.add_argument("--precision", default="float32", choices=list(AUTOCAST_DTYPES))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a Markdown table of medians and ratios."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    print(
        f"{options.n_nodes} nodes, {options.channels} channels, {options.cells_per_stage} cells a "
        f"stage, batch {options.batch_size}, {options.image_size}x{options.image_size} pixels, "
        f"{options.threads} threads, {device_name(options.device)}, library in "
        f"{options.precision}, torch {torch.__version__}\n"
    )
    # A step reads a batch for the weights and one for the architecture.
    print("| step | plain, median s | library, median s | ratio | ratio per pair | images/s | n |")
    print("|---|---|---|---|---|---|---|")
    for name in options.step or STEPS:
        print(measure(options, name), flush=True)


if __name__ == "__main__":
    main()

"""The simulated GPU notices what makes a host wait, and refuses what a GPU refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from .simulated_gpu import Kind, simulated_gpu

CROSSINGS: list[tuple[Kind, Callable[[Tensor], object]]] = [
    ("read", lambda x: x.sum().item()),
    ("read", lambda x: float(x[0])),
    ("read", lambda x: int(x[0])),
    ("read", lambda x: bool(x[0])),
    ("read", lambda x: [0, 1, 2][x[0].long()]),
    ("read", lambda x: x.tolist()),
    ("read", lambda x: x.cpu()),
    ("read", lambda x: x.to("cpu")),
    ("read", lambda x: torch.zeros(3).copy_(x)),
    ("read", lambda x: x.nonzero()),
    ("read", lambda x: x[x > 1]),
    ("read", lambda x: x.masked_select(x > 1)),
    ("read", lambda x: x.unique()),
    ("read", lambda x: torch.equal(x, x)),
    ("blocking copy", lambda x: torch.ones(3).to(x.device)),
    ("blocking copy", lambda x: torch.ones(3).to(x)),
    ("blocking copy", lambda x: torch.ones(3).to(x.device, non_blocking=True)),
    ("blocking copy", lambda x: torch.ones(3).pin_memory().to(x.device)),
    ("blocking copy", lambda x: torch.tensor([1], device=x.device)),
    ("blocking copy", lambda x: x[[0, 2]]),
    ("blocking copy", lambda x: x[torch.tensor([0, 2])]),
    ("blocking copy", lambda x: x.copy_(torch.ones(3))),
    ("copy", lambda x: torch.ones(3).pin_memory().to(x.device, non_blocking=True)),
]


@pytest.mark.parametrize(("kind", "act"), CROSSINGS)
def test_the_simulated_gpu_notices(kind: Kind, act: Callable[[Tensor], object]) -> None:
    with simulated_gpu() as record:
        on_gpu = torch.zeros(3, device="cuda:0") + 1
        assert not record.crossings
        act(on_gpu)
    assert [crossing.kind for crossing in record.crossings] == [kind]


@pytest.mark.parametrize(
    ("n_bytes", "act"),
    [
        (12, lambda x: x.copy_(torch.ones(3))),
        (12, lambda x: torch.ones(3).to(x.device)),
        (12, lambda x: torch.ones(3).pin_memory().to(x.device, non_blocking=True)),
        (16, lambda x: x[[0, 2]]),
    ],
)
def test_the_simulated_gpu_tells_how_much_is_copied(
    n_bytes: int, act: Callable[[Tensor], object]
) -> None:
    with simulated_gpu() as record:
        act(torch.zeros(3, device="cuda:0"))
    assert [crossing.n_bytes for crossing in record.crossings] == [n_bytes]


def test_the_simulated_gpu_says_how_much_memory_is_free() -> None:
    with simulated_gpu(free_memory=77):
        assert torch.cuda.mem_get_info(torch.device("cuda:0"))[0] == 77


def test_the_simulated_gpu_gives_views_in_inference_mode() -> None:
    with simulated_gpu():
        on_gpu = torch.ones(3, device="cuda:0")
        with torch.inference_mode():
            assert on_gpu[1:].mul(2).tolist() == [2, 2]


@pytest.mark.parametrize(
    "act",
    [
        lambda x: x + torch.ones(3),
        lambda x: x.index_copy(0, torch.tensor([0]), x[:1]),
        lambda x: x.uniform_(generator=torch.Generator()),
        lambda x: torch.rand(3, device=x.device, generator=torch.Generator()),
        lambda x: x.numpy(),
        lambda x: x.pin_memory(),
    ],
)
def test_the_simulated_gpu_refuses(act: Callable[[Tensor], object]) -> None:
    with simulated_gpu():
        on_gpu = torch.ones(3, device="cuda:0")
        with pytest.raises((RuntimeError, TypeError), match=r"CPU|CUDA"):
            act(on_gpu)

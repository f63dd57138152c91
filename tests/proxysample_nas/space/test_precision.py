"""bfloat16: features and products are cast, and nothing else is."""

from __future__ import annotations

import pytest
import torch

from proxysample import InputError
from proxysample.data.datasets import load_dataset
from proxysample_nas.data.images import load_images
from proxysample_nas.searchers import create_searcher
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.network import CellNetwork
from proxysample_nas.space.supernet import Supernet
from proxysample_nas.training.trainer import CellTrainer

# Eight bits of mantissa, and a few layers to add their errors up.
CLOSE = {"rtol": 0.1, "atol": 0.1}


def digits(n: int = 100):
    train = load_images(load_dataset("digits").train, device="cpu")
    return train.take(torch.arange(n))


def pair(build):
    """The same network in float32 and in bfloat16."""
    return [
        build(torch.Generator().manual_seed(0), dtype).train() for dtype in (None, torch.bfloat16)
    ]


def images(size: int = 8) -> torch.Tensor:
    return torch.randn(16, 3, size, size, generator=torch.Generator().manual_seed(1))


def supernets():
    return pair(
        lambda generator, dtype: Supernet(
            4, 8, 1, 10, generator=generator, autocast_dtype=dtype, track_running_stats=False
        )
    )


def seen_dtypes(network: torch.nn.Module, run) -> set[torch.dtype]:
    """Dtypes of what the network's modules give."""
    seen = set()
    hooks = [
        module.register_forward_hook(lambda _module, _given, found: seen.add(found.dtype))
        for module in network.modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.BatchNorm2d | torch.nn.ReLU)
    ]
    run()
    for hook in hooks:
        hook.remove()
    return seen


def test_a_mixed_supernet_stays_near_float32():
    full, half = supernets()
    mixing = torch.full((6, 5), 0.2, requires_grad=True)
    assert seen_dtypes(half, lambda: half(images(), mixing)) == {torch.bfloat16}
    expected, found = full(images(), mixing), half(images(), mixing)
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, **CLOSE)
    gradients = [
        torch.autograd.grad(logits.square().mean(), mixing)[0] for logits in (expected, found)
    ]
    assert gradients[1].dtype == torch.float32
    torch.testing.assert_close(gradients[1], gradients[0], **CLOSE)


@pytest.mark.parametrize("scalar_trick", [False, True])
def test_a_sampled_supernet_stays_near_float32(scalar_trick):
    full, half = supernets()
    gates = torch.ones(6, 5, requires_grad=True)
    operations = [3, 1, 4, 0, 2, 1]
    run = [
        lambda net=net: net.forward_sampled(images(), operations, gates, scalar_trick)
        for net in (full, half)
    ]
    assert seen_dtypes(half, run[1]) == {torch.bfloat16}
    torch.testing.assert_close(run[1](), run[0](), **CLOSE)


def test_a_cells_network_stays_near_float32():
    cell = Cell.from_string("|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|")
    full, half = pair(
        lambda generator, dtype: CellNetwork(
            cell, 8, 1, 10, generator=generator, autocast_dtype=dtype
        )
    )
    assert seen_dtypes(half, lambda: half(images())) == {torch.bfloat16}
    torch.testing.assert_close(half(images()), full(images()), **CLOSE)
    assert {weight.dtype for weight in half.state_dict().values()} <= {torch.float32, torch.int64}


def test_the_cell_that_overflows_float16_does_not_overflow_bfloat16():
    cell = Cell.filled("skip_connect", n_nodes=5)
    networks = {
        dtype: CellNetwork(
            cell, 4, 5, 10, generator=torch.Generator().manual_seed(0), autocast_dtype=dtype
        )
        for dtype in (torch.float16, torch.bfloat16)
    }
    assert not networks[torch.float16](images()).isfinite().all()
    assert networks[torch.bfloat16](images()).isfinite().all()


@pytest.mark.parametrize("name", ["darts-v1", "darts-v2", "gdas", "enas"])
def test_every_supernet_is_searched_in_bfloat16(name):
    small = {"controller_updates": 2, "n_candidates": 2} if name == "enas" else {}
    settings = {"n_nodes": 3, "channels": 4, "cells_per_stage": 1, "epochs": 1, "progress": False}
    results = [
        create_searcher(name, **settings, **small, precision=precision, random_state=0).search(
            digits()
        )
        for precision in ("float32", "bfloat16")
    ]
    losses = [result.history[0].train_loss for result in results]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.2)
    assert results[1].info.parameters["precision"] == "bfloat16"


def test_a_trainer_trains_in_bfloat16():
    cell = Cell.from_string("|nor_conv_3x3~0|")
    trainers = [
        CellTrainer(
            channels=4,
            cells_per_stage=1,
            epochs=1,
            batch_size=20,
            seeds=(7,),
            precision=precision,
            progress=False,
            device="cpu",
        )
        for precision in ("float32", "bfloat16")
    ]
    (full,), (half,) = (trainer.evaluate(cell, digits(), digits()).runs for trainer in trainers)
    assert full.train_losses != half.train_losses
    assert half.train_losses[0] == pytest.approx(full.train_losses[0], rel=0.1)


def test_random_search_trains_in_bfloat16():
    searcher = create_searcher("random", precision="bfloat16")
    assert searcher._trainer(None).precision == "bfloat16"


def test_an_unknown_precision_is_refused():
    with pytest.raises(InputError, match="did you mean 'bfloat16'"):
        CellTrainer(precision="bfloat")
    searcher = create_searcher("gdas", precision="bfloat")
    with pytest.raises(InputError, match="did you mean 'bfloat16'"):
        searcher.search(digits())

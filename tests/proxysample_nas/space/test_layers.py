"""Pool, scaled BatchNorm and wide convolution against PyTorch's own modules."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from proxysample_nas.space.layers import ScaledBatchNorm, WideConvolution, average_pool
from proxysample_nas.space.modules import build

CHANNELS, GROUPS = 3, 4


def features(channels: int, dtype: torch.dtype = torch.float64, *size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, channels, *(size or (5, 6)), generator=generator, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 2), (3, 1), (5, 6)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_pool_averages_what_lies_inside(
    dtype: torch.dtype, size: tuple[int, int], memory_format: torch.memory_format
) -> None:
    pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    images = features(CHANNELS, dtype, *size).contiguous(memory_format=memory_format)
    ours, theirs = (images.clone().requires_grad_() for _ in range(2))
    outputs = average_pool(ours), pool(theirs)
    torch.testing.assert_close(*outputs)
    upstream = torch.linspace(-1, 1, images.numel(), dtype=dtype).reshape(images.shape)
    for output in outputs:
        output.backward(upstream)
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_pool_by_hand() -> None:
    image = torch.tensor([[[[1.0, 2.0], [3.0, 6.0], [0.0, 0.0]]]])
    expected = torch.tensor([[[[3.0, 3.0], [2.0, 2.0], [2.25, 2.25]]]])
    torch.testing.assert_close(average_pool(image), expected)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("track_running_stats", [True, False])
def test_scaled_norm_is_batch_norm_times_a_factor_per_group(
    training: bool, affine: bool, track_running_stats: bool
) -> None:
    options = {"affine": affine, "track_running_stats": track_running_stats}
    ours = ScaledBatchNorm(CHANNELS, GROUPS, **options).double().train(training)
    theirs = nn.BatchNorm2d(GROUPS * CHANNELS, **options).double().train(training)
    for index, (name, tensor) in enumerate(ours.state_dict().items()):
        tensor.copy_(torch.linspace(0.5, 1.5 + index, len(tensor)))
        theirs.state_dict()[name].copy_(tensor)
    images = 3 + 2 * features(GROUPS * CHANNELS)
    factors = torch.tensor([0.5, -1.0, 0.0, 2.0], dtype=torch.float64)
    expected = theirs(images) * factors.repeat_interleave(CHANNELS).reshape(1, -1, 1, 1)
    torch.testing.assert_close(ours(images, factors), expected)
    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, theirs.state_dict()[name])


def test_one_group_is_normalised_like_all_and_leaves_the_others_alone() -> None:
    norm = ScaledBatchNorm(CHANNELS, GROUPS, affine=False, track_running_stats=True).double()
    alone = ScaledBatchNorm(CHANNELS, GROUPS, affine=False, track_running_stats=True).double()
    images = features(GROUPS * CHANNELS)
    part = slice(2 * CHANNELS, 3 * CHANNELS)
    torch.testing.assert_close(alone.forward_group(images[:, part], 2), norm(images)[:, part])
    torch.testing.assert_close(alone.running_mean[part], norm.running_mean[part])
    others = torch.cat([alone.running_mean[: part.start], alone.running_mean[part.stop :]])
    assert others.tolist() == [0.0] * len(others)


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("conv_bias", [True, False])
def test_wide_convolution_is_its_edges_side_by_side(kernel_size: int, conv_bias: bool) -> None:
    wide = build(
        lambda: WideConvolution(CHANNELS, GROUPS, kernel_size, True, True, conv_bias),
        torch.Generator().manual_seed(0),
    ).double()
    wide.eval()
    images = features(CHANNELS)
    factors = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    for group, part in enumerate(wide(images, factors).chunk(GROUPS, dim=1)):
        tensors = wide.group_tensors(group)
        edge = nn.Conv2d(
            CHANNELS, CHANNELS, kernel_size, padding=kernel_size // 2, bias=conv_bias
        ).double()
        edge.weight.data.copy_(tensors["convolution.weight"])
        if conv_bias:
            edge.bias.data.copy_(tensors["convolution.bias"])
        expected = factors[group] * edge(images) / (1 + 1e-5) ** 0.5
        torch.testing.assert_close(part, expected)
        torch.testing.assert_close(wide.forward_group(images, group, factors[group]), expected)


def test_group_tensors_are_views() -> None:
    wide = WideConvolution(CHANNELS, GROUPS, 1, True, True, False)
    for tensor in wide.group_tensors(1).values():
        tensor.fill_(9.0)
    for tensor in wide.state_dict().values():
        nines = (tensor == 9.0).flatten(1) if tensor.ndim > 1 else (tensor == 9.0)[:, None]
        assert nines.all(dim=1).tolist() == [False] * 3 + [True] * 3 + [False] * 6

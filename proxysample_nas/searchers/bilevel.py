"""The update rules of DARTS: weights on one batch, architecture on another.

Source: Liu, Simonyan & Yang, "DARTS: Differentiable Architecture Search" (2019), sections 2.3
and 2.4, and the code that the authors of "Less is More" ran.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

from proxysample_nas.data.loader import Batch
from proxysample_nas.searchers.remedies import beta_gradient
from proxysample_nas.searchers.state import SearchState, passed_by

Forward = Callable[[SearchState, Batch, Tensor], tuple[Tensor, Tensor]]
"""From a state, a batch and architecture parameters to the mean loss and the logits."""


def mixed_forward(state: SearchState, batch: Batch, alphas: Tensor) -> tuple[Tensor, Tensor]:
    """Run all operations, mixed as `SearchState.mixing` says.

    Parameters
    ----------
    state : SearchState
    batch : Batch
    alphas : Tensor of shape (n_edges, n_operations)
        The state's, or the same without a gradient.

    Returns
    -------
    loss : Tensor of shape ()
        Mean cross-entropy of the batch, in nats.
    logits : Tensor of shape (b, n_classes)
    """
    images, labels = batch
    logits = state.supernet(images, state.mixing(alphas))
    return F.cross_entropy(logits, labels), logits


def update_weights(
    state: SearchState,
    batch: Batch,
    *,
    gradient_clip: float | None,
    clip_with_architecture: bool = False,
    forward: Forward = mixed_forward,
) -> Tensor:
    """Take one SGD step on the supernet's weights.

    Parameters
    ----------
    state : SearchState
        Changed in place.
    batch : Batch
    gradient_clip : float or None
        Largest L2 norm of the gradient.
    clip_with_architecture : bool
        Whether that norm includes the gradient of the architecture parameters, on top of the
        one left over from their last update. The authors' code does that, since its network owns
        both kinds of parameters.
    forward : callable
        How the architecture parameters choose what is run. What it does not run has a gradient
        of 0, so that momentum and weight decay act on it all the same; where the state keeps what
        has run, only on what has.

    Returns
    -------
    Tensor of shape (2,)
        See `outcome`.
    """
    alphas = state.alphas if clip_with_architecture else state.alphas.detach()
    loss, logits = forward(state, batch, alphas)
    clipped = [*state.weights, state.alphas] if clip_with_architecture else state.weights
    gradients = torch.autograd.grad(loss, clipped, materialize_grads=True)
    for parameter, gradient in zip(state.weights, gradients, strict=False):
        parameter.grad = gradient
    if clip_with_architecture:
        left_over = state.alphas.grad
        state.alphas.grad = gradients[-1] if left_over is None else left_over + gradients[-1]
    if gradient_clip is not None:
        torch.nn.utils.clip_grad_norm_(clipped, gradient_clip)
    with passed_by(state.run, state.weight_optimizer):
        state.weight_optimizer.step()
    return outcome(loss, logits, batch[1])


def update_architecture(
    state: SearchState,
    batch: Batch,
    *,
    keep_statistics: bool = True,
    forward: Forward = mixed_forward,
    beta_strength: float = 0.0,
) -> Tensor:
    """Take one Adam step on the architecture parameters, at the present weights.

    The first-order approximation (DARTS, equation 7 with a virtual learning rate of 0).

    Parameters
    ----------
    state : SearchState
        Changed in place.
    batch : Batch
        Of architecture data.
    keep_statistics : bool
        Whether BatchNorm's running statistics stay as they were.
    forward : callable
        How the architecture parameters choose what is run.
    beta_strength : float
        Weight of the regularization of beta-DARTS in the loss; the outcome does not count it.

    Returns
    -------
    Tensor of shape (2,)
        See `outcome`.
    """
    with state.kept_statistics() if keep_statistics else nullcontext():
        loss, logits = forward(state, batch, state.alphas)
        (gradient,) = torch.autograd.grad(loss, [state.alphas], materialize_grads=True)
    _step_architecture(state, gradient, beta_strength)
    return outcome(loss, logits, batch[1])


def update_architecture_unrolled(
    state: SearchState,
    weight_batch: Batch,
    architecture_batch: Batch,
    *,
    finite_difference: float,
    keep_statistics: bool = True,
    restore_by_addition: bool = False,
    beta_strength: float = 0.0,
) -> Tensor:
    """Take one Adam step on the architecture parameters, one virtual step of the weights ahead.

    The second-order approximation (DARTS, equations 7 and 8): with the weights w' that plain
    momentum SGD would reach from w on the weight batch, the gradient of the architecture loss at
    w' less the learning rate times a Hessian-vector product, which is a central difference of
    the architecture gradient of the training loss at w + R v and w - R v, where v is the
    architecture loss's gradient in w'. Nesterov's momentum and gradient clipping play no part in
    the virtual step.

    Parameters
    ----------
    state : SearchState
        The architecture parameters are changed in place; the weights end as they were.
    weight_batch, architecture_batch : Batch
    finite_difference : float
        R times the L2 norm of v.
    keep_statistics : bool
        Whether BatchNorm's running statistics stay as they were. In the authors' code the three
        passes over the weight batch move them; only the pass at w' runs in a copy.
    restore_by_addition : bool
        Whether w is restored by adding R v, as in the authors' code, which leaves rounding
        errors, instead of exactly.
    beta_strength : float
        See `update_architecture`; the regularization does not depend on the weights, so that its
        gradient is the same at w and w'.

    Returns
    -------
    Tensor of shape (2,)
        See `outcome`, at w'.
    """
    weights = state.weights
    with state.kept_statistics() if keep_statistics else nullcontext():
        loss, _ = mixed_forward(state, weight_batch, state.alphas.detach())
        gradients = torch.autograd.grad(loss, weights)
        original = [weight.detach().clone() for weight in weights]
        _take_virtual_step(state, list(gradients))
        with state.kept_statistics():
            loss, logits = mixed_forward(state, architecture_batch, state.alphas)
            *direction, gradient = torch.autograd.grad(loss, [*weights, state.alphas])
        _copy(original, weights)
        product = _hessian_vector_product(state, weight_batch, direction, finite_difference)
        if not restore_by_addition:
            _copy(original, weights)
    _step_architecture(state, gradient - _learning_rate(state) * product, beta_strength)
    return outcome(loss, logits, architecture_batch[1])


def outcome(loss: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Sum up a batch without waiting for the device.

    Parameters
    ----------
    loss : Tensor of shape ()
        Mean cross-entropy of the batch.
    logits : Tensor of shape (b, n_classes)
    labels : Tensor of shape (b,)

    Returns
    -------
    Tensor of shape (2,), float64
        Sum of the samples' losses, and number of samples classified correctly.

    Examples
    --------
    >>> logits = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    >>> outcome(torch.tensor(0.5), logits, torch.tensor([0, 1]))
    tensor([1., 1.], dtype=torch.float64)
    """
    n_right = (logits.detach().argmax(dim=1) == labels).sum()
    return torch.stack([loss.detach().double() * len(labels), n_right.double()])


def _step_architecture(state: SearchState, gradient: Tensor, beta_strength: float) -> None:
    if beta_strength:
        gradient = gradient + beta_strength * beta_gradient(state.alphas)
    state.alphas.grad = gradient
    state.architecture_optimizer.step()


def _architecture_gradient(state: SearchState, batch: Batch) -> Tensor:
    loss, _ = mixed_forward(state, batch, state.alphas)
    (gradient,) = torch.autograd.grad(loss, [state.alphas])
    return gradient


@torch.no_grad()
def _take_virtual_step(state: SearchState, gradients: list[Tensor]) -> None:
    """Move the weights to where momentum SGD would: w - rate * (m * buffer + g + decay * w)."""
    weights = state.weights
    (group,) = state.weight_optimizer.param_groups
    step = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
    optimizer_state = state.weight_optimizer.state
    buffers = [optimizer_state[weight].get("momentum_buffer") for weight in weights]
    known = [buffer for buffer in buffers if buffer is not None]
    if known:
        torch._foreach_add_(step, known, alpha=group["momentum"])
    torch._foreach_add_(weights, step, alpha=-group["lr"])


def _hessian_vector_product(
    state: SearchState, batch: Batch, vector: list[Tensor], finite_difference: float
) -> Tensor:
    """Mixed second derivative (alphas, weights) of the loss on a batch, times `vector`.

    The weights are left where they were but for rounding.
    """
    weights = state.weights
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(vector)))
    # A vector of zeros is no direction: its product is 0, not 0 / 0.
    radius = finite_difference / norm.clamp_min(torch.finfo(norm.dtype).tiny)
    step = list(torch._foreach_mul(vector, radius))
    _add(weights, step, 1.0)
    above = _architecture_gradient(state, batch)
    _add(weights, step, -2.0)
    below = _architecture_gradient(state, batch)
    _add(weights, step, 1.0)
    product: Tensor = (above - below) / (2 * radius)
    return product


@torch.no_grad()
def _add(weights: list[Tensor], step: list[Tensor], factor: float) -> None:
    torch._foreach_add_(weights, step, alpha=factor)


@torch.no_grad()
def _copy(source: list[Tensor], target: list[Tensor]) -> None:
    torch._foreach_copy_(target, source)


def _learning_rate(state: SearchState) -> float:
    (group,) = state.weight_optimizer.param_groups
    rate: float = group["lr"]
    return rate

"""The update rules of DARTS written out plainly: one network that owns everything, and copies.

This follows the description of the authors' code, not the library: the architecture parameters
belong to the network, gradients are those of one `backward`, and the virtual step is a deep copy.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Batch = tuple[Tensor, Tensor]


class Network(nn.Module):
    """A supernet that owns its architecture parameters."""

    def __init__(self, supernet: nn.Module, alphas: Tensor) -> None:
        super().__init__()
        self.supernet = supernet
        self.alphas = nn.Parameter(alphas)

    def weights(self) -> list[nn.Parameter]:
        return list(self.supernet.parameters())

    def loss(self, batch: Batch) -> Tensor:
        images, labels = batch
        return F.cross_entropy(self.supernet(images, self.alphas.softmax(dim=-1)), labels)


class Reference:
    """A search's state in the plain form, with the authors' optimisers."""

    def __init__(self, supernet: nn.Module, alphas: Tensor, learning_rate: float) -> None:
        self.network = Network(deepcopy(supernet), alphas.detach().clone())
        self.weight_optimizer = torch.optim.SGD(
            self.network.weights(), learning_rate, 0.9, weight_decay=5e-4, nesterov=True
        )
        self.architecture_optimizer = torch.optim.Adam(
            [self.network.alphas], 3e-4, betas=(0.5, 0.999), weight_decay=1e-3
        )

    def step_weights(self, batch: Batch, clip: float) -> None:
        """Clip over all parameters of the network, whatever the gradient of alphas holds."""
        self.weight_optimizer.zero_grad()
        self.network.loss(batch).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), clip)
        self.weight_optimizer.step()

    def paper_v1(self, weight_batch: Batch, architecture_batch: Batch, clip: float) -> None:
        self.step_weights(weight_batch, clip)
        self.architecture_optimizer.zero_grad()
        self.network.loss(architecture_batch).backward()
        self.architecture_optimizer.step()

    def paper_v2(self, weight_batch: Batch, architecture_batch: Batch, clip: float) -> None:
        self.architecture_optimizer.zero_grad()
        self.network.alphas.grad = self.unrolled_gradient(weight_batch, architecture_batch)
        self.architecture_optimizer.step()
        self.step_weights(weight_batch, clip)

    def unrolled_gradient(self, weight_batch: Batch, architecture_batch: Batch) -> Tensor:
        network, rate = self.network, self.weight_optimizer.param_groups[0]["lr"]
        gradients = torch.autograd.grad(network.loss(weight_batch), network.weights())
        unrolled = deepcopy(network)
        with torch.no_grad():
            for weight, gradient, target in zip(
                network.weights(), gradients, unrolled.weights(), strict=True
            ):
                buffer = self.weight_optimizer.state[weight].get("momentum_buffer", 0.0)
                target.copy_(weight - rate * (0.9 * buffer + gradient + 5e-4 * weight))
        unrolled.zero_grad()
        unrolled.loss(architecture_batch).backward()
        vector = [weight.grad for weight in unrolled.weights()]
        radius = 0.01 / torch.cat([part.flatten() for part in vector]).norm()

        def moved(factor: float) -> Tensor:
            with torch.no_grad():
                for weight, part in zip(network.weights(), vector, strict=True):
                    weight.add_(factor * radius * part)
            (gradient,) = torch.autograd.grad(network.loss(weight_batch), [network.alphas])
            return gradient

        above, below = moved(1.0), moved(-2.0)
        with torch.no_grad():
            for weight, part in zip(network.weights(), vector, strict=True):
                weight.add_(radius * part)
        return unrolled.alphas.grad - rate * (above - below) / (2 * radius)

    def default_step(
        self, weight_batch: Batch, architecture_batch: Batch, clip: float, order: int
    ) -> None:
        """Architecture first, on copies; clip the weights alone."""
        if order == 1:
            copy = deepcopy(self.network)
            copy.zero_grad()
            copy.loss(architecture_batch).backward()
            gradient = copy.alphas.grad
        else:
            buffers = deepcopy(dict(self.network.supernet.named_buffers()))
            weights = [weight.detach().clone() for weight in self.network.weights()]
            gradient = self.unrolled_gradient(weight_batch, architecture_batch)
            with torch.no_grad():
                for name, buffer in self.network.supernet.named_buffers():
                    buffer.copy_(buffers[name])
                for weight, value in zip(self.network.weights(), weights, strict=True):
                    weight.copy_(value)
        self.network.alphas.grad = gradient
        self.architecture_optimizer.step()
        self.network.zero_grad()
        self.network.loss(weight_batch).backward()
        nn.utils.clip_grad_norm_(self.network.weights(), clip)
        self.weight_optimizer.step()

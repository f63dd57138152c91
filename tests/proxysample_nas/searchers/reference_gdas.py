"""The update rule of GDAS written out plainly: one module per operation, one backward for all.

This follows the description of the authors' code, not the library: the architecture parameters
belong to the network, gradients are zeroed and not removed, and an operation is scaled by its gate.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.proxysample_nas.space.reference_supernet import ReferenceSupernet

Batch = tuple[Tensor, Tensor]


class Reference:
    """A search's state in the plain form, with the authors' optimisers."""

    def __init__(
        self,
        supernet: ReferenceSupernet,
        alphas: Tensor,
        learning_rate: float,
        *,
        begins_with_gradients: bool = True,
    ) -> None:
        self.supernet = supernet
        self.alphas = nn.Parameter(alphas.detach().clone())
        self.weight_optimizer = torch.optim.SGD(
            supernet.parameters(), learning_rate, 0.9, weight_decay=5e-4, nesterov=True
        )
        self.architecture_optimizer = torch.optim.Adam(
            [self.alphas], 3e-4, betas=(0.5, 0.999), weight_decay=1e-3
        )
        # In the authors' code what has never run has none, and its optimiser passes it by.
        for parameter in [*supernet.parameters(), self.alphas] if begins_with_gradients else []:
            parameter.grad = torch.zeros_like(parameter)

    def loss(
        self, batch: Batch, temperature: float, generator: torch.Generator, scalar_trick: bool
    ) -> Tensor:
        """Draw one operation per edge and scale its output by the hard weight."""
        gumbel = -torch.empty_like(self.alphas).exponential_(generator=generator).log()
        logits = (self.alphas.log_softmax(dim=1) + gumbel) / temperature
        soft = logits.softmax(dim=1)
        index = soft.max(-1, keepdim=True)[1]
        hard = torch.zeros_like(logits).scatter_(-1, index, 1.0) - soft.detach() + soft
        images, labels = batch
        output = self.supernet.forward_sampled(images, index.flatten().tolist(), hard, scalar_trick)
        return F.cross_entropy(output, labels)

    def paper_step(
        self,
        weight_batch: Batch,
        architecture_batch: Batch,
        temperature: float,
        generator: torch.Generator,
        clip: float,
    ) -> None:
        """Weights, clipped over all that the network owns, then the architecture."""
        self.weight_optimizer.zero_grad(set_to_none=False)
        self.loss(weight_batch, temperature, generator, scalar_trick=True).backward()
        nn.utils.clip_grad_norm_([*self.supernet.parameters(), self.alphas], clip)
        self.weight_optimizer.step()
        self.architecture_optimizer.zero_grad(set_to_none=False)
        self.loss(architecture_batch, temperature, generator, scalar_trick=True).backward()
        self.architecture_optimizer.step()

    def default_step(
        self,
        weight_batch: Batch,
        architecture_batch: Batch,
        temperature: float,
        generator: torch.Generator,
        clip: float,
    ) -> None:
        """The same without the trick; the weights alone are clipped and move the statistics."""
        self.weight_optimizer.zero_grad(set_to_none=False)
        self.loss(weight_batch, temperature, generator, scalar_trick=False).backward()
        nn.utils.clip_grad_norm_(list(self.supernet.parameters()), clip)
        self.weight_optimizer.step()
        statistics = {name: value.clone() for name, value in self.supernet.named_buffers()}
        self.architecture_optimizer.zero_grad(set_to_none=False)
        self.loss(architecture_batch, temperature, generator, scalar_trick=False).backward()
        self.architecture_optimizer.step()
        for name, value in self.supernet.named_buffers():
            value.copy_(statistics[name])

"""Independent random streams from the one seed of a search."""

from __future__ import annotations

import hashlib
import secrets

import numpy as np
import torch

from proxysample.checks import SEED

STREAMS = (
    "initialization",
    "holdout",
    "weight batches",
    "architecture batches",
    "operations",
    "perturbation",
)
"""What our searches draw, each from its own stream, so that none depends on another's length.

The order fixes the numbers: new streams go at the end.
"""


def resolve_seed(random_state: int | None) -> int:
    """Turn `random_state` into the integer that repeats the search.

    Parameters
    ----------
    random_state : int or None
        None takes a fresh seed from the operating system.

    Raises
    ------
    InputError
        If it is neither None nor an integer from 0 to below 2**63.

    Examples
    --------
    >>> resolve_seed(7)
    7
    """
    SEED.or_none().check("random_state", random_state)
    return secrets.randbits(32) if random_state is None else int(random_state)


def stream(seed: int, name: str) -> torch.Generator:
    """Create the generator of one of a search's streams.

    Parameters
    ----------
    seed : int
        Seed of the search.
    name : str
        One of `STREAMS`, or any other: a searcher of one's own may name as many as it needs.

    Returns
    -------
    torch.Generator
        On the CPU, so that a seed means the same on every device.

    Examples
    --------
    >>> stream(0, "holdout").initial_seed() == stream(0, "mutations").initial_seed()
    False
    """
    sequence = np.random.SeedSequence(seed, spawn_key=_key(name))
    # PyTorch takes signed 64-bit seeds.
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))


def _key(name: str) -> tuple[int, ...]:
    if name in STREAMS:
        return (STREAMS.index(name),)
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    return tuple(np.frombuffer(digest, "<u4").tolist())

"""Samplers by their string ids; nothing is imported before it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from proxysample.errors import InputError, check_names, unknown_name

if TYPE_CHECKING:
    from proxysample.sampler import Sampler

SAMPLERS = {
    "rs": ("proxysample.samplers.random", "RandomSampling"),
    "cc-rs": ("proxysample.samplers.random", "CCRandomSampling"),
    "km-or": ("proxysample.samplers.outliers", "KMeansOutlierRemoval"),
    "cc-or": ("proxysample.samplers.outliers", "CCOutlierRemoval"),
    "ae": ("proxysample.samplers.autoencoder", "AutoencoderLoss"),
    "tl": ("proxysample.samplers.transfer", "TransferLoss"),
}


def list_samplers() -> list[str]:
    """List the string ids of all samplers.

    Returns
    -------
    list of str
        The paper's ids.

    Examples
    --------
    >>> list_samplers()
    ['rs', 'cc-rs', 'km-or', 'cc-or', 'ae', 'tl']
    """
    return list(SAMPLERS)


def sampler_class(name: str) -> type[Sampler]:
    """Look up a sampler's class by its id.

    Parameters
    ----------
    name : str
        One of `list_samplers`.

    Returns
    -------
    type
        A subclass of `Sampler`.

    Raises
    ------
    InputError
        If the name is unknown; the message suggests the nearest.
    """
    if name not in SAMPLERS:
        raise unknown_name("sampler", name, SAMPLERS)
    module, class_name = SAMPLERS[name]
    found: type[Sampler] = getattr(import_module(module), class_name)
    return found


def create_sampler(name: str, **parameters: Any) -> Sampler:
    """Create a sampler by its id.

    Parameters
    ----------
    name : str
        One of `list_samplers`.
    **parameters
        Those of its class.

    Returns
    -------
    Sampler

    Raises
    ------
    InputError
        If the name or a parameter is unknown; the message suggests the nearest.

    Examples
    --------
    >>> create_sampler("km-or", n_clusters=50)
    KMeansOutlierRemoval(n_clusters=50)
    """
    found = sampler_class(name)
    known = found().get_params(deep=False)
    check_names(f"parameter of {name}", parameters, known)
    try:
        return found(**parameters)
    except TypeError as error:
        raise InputError(f"{name}: {error}") from error


def takes_parameter(name: str, parameter: str) -> bool:
    """Tell whether a sampler has a parameter of that name.

    Examples
    --------
    >>> takes_parameter("rs", "random_state"), takes_parameter("cc-or", "random_state")
    (True, False)
    """
    return parameter in sampler_class(name)().get_params(deep=False)

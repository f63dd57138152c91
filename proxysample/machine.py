"""What work runs on: the processor's model, memory, Python, and the versions of packages."""

from __future__ import annotations

import platform
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "torchvision", "timm", "pillow")
"""Whose versions may change a result; one that is not installed is left out."""

OWN = "proxysample"
CPUINFO, MEMINFO = Path("/proc/cpuinfo"), Path("/proc/meminfo")
CONTAINER = Path("/sys/fs/cgroup")
CHECKOUT = Path(__file__).parents[1]


@cache
def processor_model() -> str | None:
    """Name the processor as its maker does, such as "AMD EPYC 7763"; None where it is not told."""
    try:
        lines = CPUINFO.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and name.strip() == "model name" and value.strip():
            return value.strip()
    return platform.processor() or None


def free_memory() -> int | None:
    """Count the bytes that there are for new things, without any's going to a disk but for swap.

    None where the system does not tell. Limits of a container count.
    """
    try:
        lines = MEMINFO.read_text().splitlines()
        kilobytes = {
            name: words.split()[0] for name, _, words in (one.partition(":") for one in lines)
        }
        free = 1024 * (int(kilobytes["MemAvailable"]) + int(kilobytes.get("SwapFree", 0)))
    except (OSError, LookupError, ValueError):
        return None
    try:
        limit, taken = (
            int((CONTAINER / name).read_text()) for name in ("memory.max", "memory.current")
        )
        return max(0, min(free, limit - taken))
    # There is no container, or it has no limit.
    except (OSError, ValueError):
        return free


@cache
def versions() -> Mapping[str, Any]:
    """Give the version of this library, of Python and of `PACKAGES`, as plain JSON values."""
    found = dict(package_versions())
    return {OWN: found.pop(OWN), "python": platform.python_version(), "packages": found}


@cache
def package_versions() -> Mapping[str, str]:
    """Give the version of this library, and of those of `PACKAGES` that are installed.

    Examples
    --------
    >>> list(package_versions())[:3]
    ['proxysample', 'numpy', 'scipy']
    """
    found = {name: known for name in PACKAGES if (known := _version(name)) is not None}
    return {OWN: own_version(), **found}


def other_versions(elsewhere: Mapping[str, str]) -> list[str]:
    """Say which packages have another version here than in a process that asks.

    Parameters
    ----------
    elsewhere : mapping
        What `package_versions` gave there. A package that only one of the two has is passed over.
    """
    return [
        f"{name} {here} there and {elsewhere[name]} here"
        for name, here in package_versions().items()
        if here != elsewhere.get(name, here)
    ]


@cache
def own_version() -> str:
    """Give this library's version; of a checkout that is not installed what its pyproject says."""
    return _version(OWN) or _version_of_checkout(CHECKOUT) or "unknown, not installed"


def _version_of_checkout(folder: Path) -> str | None:
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        return str(project["version"]) if project["name"] == OWN else None
    # Whatever lies beside a package that was copied somewhere.
    except (OSError, ValueError, KeyError, TypeError):
        return None


def version_of(package: str) -> str:
    """Give the version of a package that is at hand, as its metadata or else the module says.

    Examples
    --------
    >>> import numpy as np
    >>> version_of("numpy") == np.__version__, version_of("no_such_package")
    (True, 'unknown')
    """
    module = sys.modules.get(package)
    return _version(package) or str(getattr(module, "__version__", "unknown"))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def mixed_versions(machines: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Tell which versions differ between the machines of several experiments.

    Parameters
    ----------
    machines : iterable of mapping
        As `proxysample.experiments.experiment.Context.machine` gives them. What is missing, as
        in results of before it was kept, is an "unknown" version.

    Returns
    -------
    dict of str to list of str
        The versions, sorted, of each package that has several.

    Examples
    --------
    >>> first = {"proxysample": "1.0", "python": "3.12.1", "packages": {"torch": "2.9"}}
    >>> mixed_versions([first, first | {"packages": {"torch": "2.10"}}])
    {'torch': ['2.10', '2.9']}
    """
    known = [_flat(machine) for machine in machines]
    names = dict.fromkeys(name for one in known for name in one)
    found = {name: sorted({one.get(name, "unknown") for one in known}) for name in names}
    return {name: several for name, several in found.items() if len(several) > 1}


def describe_versions(machines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say with which versions results were computed, and that they are mixed where they are.

    Parameters
    ----------
    machines : sequence of mapping
        As the store keeps them, one per experiment.

    Returns
    -------
    list of str
        One sentence; none where no version is known.
    """
    mixed = mixed_versions(machines)
    if mixed:
        listed = "; ".join(f"{name} {', '.join(several)}" for name, several in mixed.items())
        return [
            f"Versions are mixed, which may tell results apart that nothing else does: {listed}."
        ]
    known = next((one for one in machines if "proxysample" in one), None)
    if known is None:
        return []
    packages = ", ".join(f"{name} {one}" for name, one in known.get("packages", {}).items())
    python = known.get("python", "unknown")
    return [f"Versions: proxysample {known['proxysample']}, Python {python}, {packages}."]


def _flat(machine: Mapping[str, Any]) -> dict[str, str]:
    names = (OWN, "python", "numpy", "torch")
    own = {name: str(machine[name]) for name in names if name in machine}
    return own | {name: str(value) for name, value in machine.get("packages", {}).items()}

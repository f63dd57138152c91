"""Print the lowest versions that pyproject.toml allows, as constraints for pip.

python tests/packaging/lowest_versions.py [--except NAME ...]

They belong to the lowest Python: a newer one needs newer versions of much, so there it prints none.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
# What a user installs; the other extras are for those who develop.
EXTRAS = ("plots", "transfer", "pretrained", "huggingface", "faiss", "ray")
BOUND = re.compile(r"([A-Za-z0-9._-]+)>=([0-9.]+)")


def main() -> None:
    parser = argparse.ArgumentParser(description="Lowest versions, as constraints for pip.")
    parser.add_argument("--except", dest="left_out", nargs="*", default=[], metavar="NAME")
    left_out = parser.parse_args().left_out
    project = tomllib.loads(PROJECT.read_text())["project"]
    if not is_lowest_python(project["requires-python"]):
        print(  # noqa: T201
            f"no lowest versions on Python {sys.version_info.major}.{sys.version_info.minor}: "
            f"they belong to {project['requires-python']}",
            file=sys.stderr,
        )
        return
    for name, version in lowest_versions(project).items():
        if name not in left_out:
            print(f"{name}=={version}")  # noqa: T201


def is_lowest_python(requirement: str) -> bool:
    return requirement == f">={sys.version_info.major}.{sys.version_info.minor}"


def lowest_versions(project: dict) -> dict[str, str]:
    """Give the lower bound of each package that the project or an extra of its users needs."""
    requirements = list(project["dependencies"])
    for extra in EXTRAS:
        requirements += project["optional-dependencies"][extra]
    ours = [one for one in requirements if one.startswith("proxysample[")]
    bounds = [BOUND.match(one) for one in requirements if one not in ours]
    assert all(bounds), f"a requirement without a lower bound: {requirements}"
    return {bound[1]: bound[2] for bound in bounds if bound}


if __name__ == "__main__":
    main()

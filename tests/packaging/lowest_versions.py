"""Print the lowest versions that pyproject.toml allows, as constraints for pip.

python tests/packaging/lowest_versions.py [--except NAME ...]
python tests/packaging/lowest_versions.py --extras

They belong to the lowest Python: a newer one needs newer versions of much, so there it prints none.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
# For those who develop, or in place of another; all others are what a user installs.
OTHER_EXTRAS = ("dev", "docs", "notebooks", "faiss-gpu")
BOUND = re.compile(r"([A-Za-z0-9._-]+)>=([0-9.]+)")


def main() -> None:
    parser = argparse.ArgumentParser(description="Lowest versions, as constraints for pip.")
    parser.add_argument("--except", dest="left_out", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--extras", action="store_true", help="Name the users' extras instead.")
    given = parser.parse_args()
    left_out = given.left_out
    project = tomllib.loads(PROJECT.read_text())["project"]
    if given.extras:
        print(",".join(extras_of_users(project)))  # noqa: T201
        return
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
    for extra in extras_of_users(project):
        requirements += project["optional-dependencies"][extra]
    found: dict[str, str] = {}
    for one in requirements:
        if one.startswith("proxysample["):
            continue
        bound = BOUND.match(one)
        assert bound, f"a requirement without a lower bound: {one}"
        name, version = bound.groups()
        # Two bounds would leave no version that is the lowest of both.
        assert found.setdefault(name, version) == version, f"{name} has two lower bounds"
    return found


def extras_of_users(project: dict) -> list[str]:
    return [name for name in project["optional-dependencies"] if name not in OTHER_EXTRAS]


if __name__ == "__main__":
    main()

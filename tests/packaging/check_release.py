"""Is this commit a release: clean, tagged, with one version everywhere? `make release` asks first.

python tests/packaging/check_release.py
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main() -> None:
    version = declared_version(ROOT)
    problems = [
        *version_problems(ROOT, version),
        *changelog_problems(ROOT, version),
        *commit_problems(ROOT, version),
    ]
    if problems:
        sys.exit("\n".join([f"not a release of {version}:", *problems]))


def declared_version(root: Path) -> str:
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]


def version_problems(root: Path, version: str) -> list[str]:
    (cited,) = re.findall(r"^version: (.+)$", (root / "CITATION.cff").read_text(), re.MULTILINE)
    return [] if cited == version else [f"CITATION.cff says version {cited}"]


def changelog_problems(root: Path, version: str) -> list[str]:
    heading = rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$"
    if re.search(heading, (root / "CHANGELOG.md").read_text(), re.MULTILINE):
        return []
    return [f"CHANGELOG.md has no heading '## {version} - YYYY-MM-DD'"]


def commit_problems(root: Path, version: str) -> list[str]:
    problems = []
    if git(root, "status", "--porcelain"):
        problems.append("there are changes that are not committed")
    if f"v{version}" not in git(root, "tag", "--points-at", "HEAD").split():
        problems.append(f"the commit has no tag v{version}: git tag v{version}")
    return problems


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    main()

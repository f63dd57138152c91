"""What README and docs show is run, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def blocks() -> list[tuple[str, str]]:
    return [
        (f"{page.relative_to(ROOT)}-{number}", code)
        for page in PAGES
        for number, code in enumerate(BLOCK.findall(page.read_text()))
    ]


@pytest.mark.parametrize(("name", "code"), blocks(), ids=[name for name, _ in blocks()])
def test_python_blocks_run(name, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    compiled = compile(code, name, "exec")
    if "study.run()" in code:
        # Minutes long: everything up to the run, which the settings have passed by then.
        code = code.partition("study.run()")[0]
        compiled = compile(code, name, "exec")
    exec(compiled, {"__name__": "documentation"})


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"

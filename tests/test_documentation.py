"""What README and docs show is run, their links lead somewhere, and the site builds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxysample.registry import registry_of

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


# What a page shows, and only the extra dev brings.
NEEDED = {"docs/tuning.md": ("optuna",)}

# What a reader waits for is more than a test needs to show that every line works.
SMALL_BUDGET = {
    "docs/networks.md": {
        "channels=8, cells_per_stage=1, epochs=3": "channels=2, cells_per_stage=1, epochs=1"
    },
    "docs/collapse.md": {"epochs=3": "epochs=1"},
    "docs/dynamics.md": {
        "range(5)": "range(2)",
        '"pixels", "epochs": 12': '"pixels", "epochs": 3',
    },
    "docs/comparing.md": {
        "head:epochs=10": "head:epochs=1",
        "    seeds=5,\n    draws=5,\n": "    seeds=2,\n    draws=2,\n",
    },
}

PAGES_WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text())]


@pytest.mark.parametrize("page", PAGES_WITH_CODE, ids=name_of)
def test_python_blocks_run_one_after_another(page, tmp_path, monkeypatch):
    for package in NEEDED.get(name_of(page), ()):
        pytest.importorskip(package, reason=f"{package} is not installed (extra dev)")
    monkeypatch.chdir(tmp_path)
    # What a page registers stays with the page.
    for kind in ("sampler", "rule", "reader", "backbone", "searcher", "operation"):
        registry = registry_of(kind)
        monkeypatch.setattr(registry, "_registered", registry.registered)
    namespace = {"__name__": "documentation"}
    text = page.read_text()
    for before, after in SMALL_BUDGET.get(name_of(page), {}).items():
        assert text.count(before) == 1, f"{before!r} stands {text.count(before)} times in {page}"
        text = text.replace(before, after)
    for block in BLOCK.finditer(text):
        # Minutes long: everything up to the run, which the settings have passed by then.
        code = block[1].partition("study.run()")[0]
        line = text.count("\n", 0, block.start(1))
        # Blank lines in front, so that an error names the page's own line.
        source = "\n" * line + code
        # Not by this file's own __future__, which the readers of the page do not have.
        exec(compile(source, name_of(page), "exec", dont_inherit=True), namespace)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


BUILD = """
import os, runpy, sys
os.chdir(sys.argv.pop(1))
sys.argv[0] = "mkdocs"
runpy.run_module("mkdocs", run_name="__main__")
"""


def test_the_site_builds_strictly_and_offline(tmp_path, forked, monkeypatch):
    # No proxy, so that a page which is fetched while building fails.
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    done = forked(BUILD, str(ROOT), "build", "--strict", "--site-dir", str(tmp_path))
    assert done.wait() == 0, done.stderr
    reference = (tmp_path / "reference" / "samplers" / "index.html").read_text()
    assert "KMeansOutlierRemoval" in reference
    searchers = (tmp_path / "reference" / "search" / "index.html").read_text()
    # DARTS and GDAS have it from their base, and each shows it.
    assert searchers.count("(DARTS+, Liang et al. 2019, its first criterion") == 2
    for page in tmp_path.rglob("*.html"):
        fetched = re.findall(r'(?:src|href)="(https?:[^"]+\.(?:js|css|woff2?))"', page.read_text())
        assert not fetched, f"{page.name} fetches {fetched}"

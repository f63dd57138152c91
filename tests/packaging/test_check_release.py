"""Only a clean, tagged commit with one version everywhere is a release."""

from __future__ import annotations

import pytest

from .check_release import (
    ROOT,
    changelog_problems,
    commit_problems,
    declared_version,
    git,
    version_problems,
)


def test_the_project_has_one_version():
    assert version_problems(ROOT, declared_version(ROOT)) == []


def test_another_version_in_the_citation_is_told(tmp_path):
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 0.9\n")
    assert version_problems(tmp_path, "0.9") == []
    assert version_problems(tmp_path, "1.0") == ["CITATION.cff says version 0.9"]


@pytest.mark.parametrize(
    ("changelog", "n_problems"),
    [("## 1.0 - 2030-01-31\n", 0), ("## Unreleased\n\n1.0\n", 1), ("## 1.0.1 - 2030-01-31\n", 1)],
)
def test_the_changelog_names_version_and_day(tmp_path, changelog, n_problems):
    (tmp_path / "CHANGELOG.md").write_text(changelog)
    assert len(changelog_problems(tmp_path, "1.0")) == n_problems


def test_only_a_clean_and_tagged_commit_is_released(tmp_path):
    git(tmp_path, "init", "--quiet")
    who = ("-c", "user.name=one", "-c", "user.email=one@example.org")
    git(tmp_path, *who, "commit", "--quiet", "--allow-empty", "--message", "begin")
    assert commit_problems(tmp_path, "1.0") == ["the commit has no tag v1.0: git tag v1.0"]
    git(tmp_path, "tag", "v1.0")
    assert commit_problems(tmp_path, "1.0") == []
    (tmp_path / "new").touch()
    assert commit_problems(tmp_path, "1.0") == ["there are changes that are not committed"]

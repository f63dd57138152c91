from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from proxysample import (
    ArrayDataset,
    CCOutlierRemoval,
    InputError,
    KMeansOutlierRemoval,
    load_dataset,
)
from proxysample.testing import small_digits


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits").train


@pytest.fixture(scope="module")
def report(digits):
    return CCOutlierRemoval().report(digits, 0.25)


def test_it_counts_what_is_kept(report, digits):
    assert np.array_equal(report.indices, CCOutlierRemoval().select(digits, 0.25))
    assert sum(count.n_kept for count in report.classes) == len(report.indices) == 359
    assert sum(count.n_samples for count in report.classes) == len(digits)
    assert report.kept_histogram.sum() == 359
    assert report.dropped_histogram.sum() == len(digits) - 359


def test_examples_come_from_both_ends(report, digits):
    scores = report.ranking.scores
    first, last = int(np.argmin(scores)), int(np.argmax(scores))
    for example, index in (
        (report.examples["kept first"][0], first),
        (report.examples["dropped last"][-1], last),
    ):
        assert np.array_equal(example.image, digits.images[index])
        assert (example.index, example.name) == (index, str(digits.targets[index]))


def test_the_text_says_it_all(report):
    text = str(report)
    assert text.startswith("cc-or keeps 359 of 1,437 samples (r=0.25), drops 1,078")
    for words in ("round(r * n)", "once for every ratio", "scikit-learn", "class shares kept"):
        assert words in text
    assert len(re.findall(r"^\d  +\d+ +\d+", text, re.MULTILINE)) == 10


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.images, self.links = 0, []
        self.tags, self.attributes = [], set()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        self.attributes |= set(values)
        self.images += tag == "img"
        self.links += [values[name] for name in ("src", "href") if name in values]


def test_the_page_needs_no_other_file(report, tmp_path):
    path = tmp_path / "report.html"
    report.save(path)
    page = Page()
    page.feed(path.read_text())
    assert page.images == sum(len(images) for images in report.examples.values()) == 96
    assert all(link.startswith("data:image/png;base64,") for link in page.links)


def test_each_picture_tells_its_index_class_and_file(digits, tmp_path):
    images, labels = digits.images[:40], digits.targets[:40]
    files = [Path("photos") / f"<{index}>.png" for index in range(40)]
    dataset = ArrayDataset(images, labels, [f"digit {label}" for label in range(10)], files=files)
    report = KMeansOutlierRemoval(n_clusters=2, random_state=0).report(dataset, 0.5)
    report.save(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    for index, label in enumerate(labels):
        file = html.escape(str(files[index]))
        assert f'<figure title="{file}"><img alt="{index}: digit {label}"' in page
        assert f"<figcaption>{index}: digit {label}</figcaption>" in page


def test_names_of_classes_are_escaped(digits, tmp_path):
    names = np.array([f"<b>{label}" for label in digits.targets])
    report = CCOutlierRemoval().report(digits.images, 0.5, y=names)
    report.save(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<b>" not in page
    assert "&lt;b&gt;7" in page


HOSTILE = "<script>alert(1)</script>{{ 7 * 7 }}\" onerror='x' &lt;"


def test_hostile_names_of_classes_samplers_and_files_are_shown_as_they_are(digits, tmp_path):
    files = [f"{HOSTILE}{index}.png" for index in range(40)]
    classes = [f"{HOSTILE}{label}" for label in range(10)]
    dataset = ArrayDataset(digits.images[:40], digits.targets[:40], classes, files=files)
    report = KMeansOutlierRemoval(n_clusters=2, random_state=0).report(dataset, 0.5)
    report.ranking.provenance["sampler"] = HOSTILE
    report.ranking.provenance["parameters"] = {HOSTILE: HOSTILE}
    report.save(tmp_path / "report.html")
    for text in ((tmp_path / "report.html").read_text(), report._repr_html_()):
        page = Page()
        page.feed(text)
        assert "script" not in page.tags
        assert not any(name.startswith("on") for name in page.attributes)
        shown = html.unescape(text)
        assert shown.count(HOSTILE) >= 10 + 2
        assert "&amp;lt;" in text


def test_a_notebook_shows_counts_and_scores_without_pictures(report):
    text = report._repr_html_()
    page = Page()
    page.feed(text)
    assert (page.images, page.links) == (0, [])
    assert page.tags[0] == "div"
    assert "body" not in page.tags
    for words in (report.title, "once for every ratio", "Histogram of scores"):
        assert words in html.unescape(text)
    rows = re.findall(r"<tr><td>(\d)</td><td class=\"number\">(\d+)</td>\s*<td[^>]*>(\d+)<", text)
    counts = [(one.name, str(one.n_kept), str(one.n_samples)) for one in report.classes]
    assert rows == counts
    # Styles are of the report alone, not of the notebook around it.
    style = text.partition("<style>")[2].partition("</style>")[0]
    style = re.sub(r"/\*.*?\*/", "", style)
    selectors = re.findall(r"(?:^|\})\s*(?:@media[^{]*\{)?\s*([^{}@]+)\{", style)
    assert selectors
    assert all(one.strip().startswith(".report") for s in selectors for one in s.split(","))


def test_the_page_is_light_or_dark_and_fits_a_narrow_window(report, tmp_path):
    report.save(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_classes_have_the_datasets_names(digits):
    names = [f"digit {label}" for label in range(10)]
    dataset = ArrayDataset(digits.images, digits.targets, names)
    report = CCOutlierRemoval().report(dataset, 0.5)
    assert [count.name for count in report.classes] == names


def test_features_without_pictures_or_labels(tmp_path):
    features = np.random.default_rng(0).random((50, 3))
    report = KMeansOutlierRemoval(n_clusters=3, random_state=0).report(features, 0.5)
    assert not report.examples
    assert not report.classes
    report.save(tmp_path / "report.html")


def test_everything_kept_has_nothing_dropped(digits):
    report = CCOutlierRemoval().report(digits, 1.0)
    assert report.dropped_histogram.sum() == 0
    assert "dropped first" not in report.examples


def test_a_missing_folder_is_refused(report, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        report.save(tmp_path / "missing" / "report.html")


def test_a_page_under_another_suffix_is_refused(report, tmp_path):
    with pytest.raises(InputError, match=r"a report is saved as \.html, not 'report\.pdf'"):
        report.save(tmp_path / "report.pdf")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"r": 0.5}, "easy samples, class shares kept"),
        ({"r": 0.5, "balance": "none"}, "easy samples, overall"),
        ({"r": 0.5, "balance": "equal"}, "easy samples, as many of each class"),
        ({"balance": {"3": 2}}, "easy samples, counts by class given"),
        (
            {"n": 90, "min_per_class": 2, "must_keep": [1], "exclude": [0, 2]},
            "easy samples, class shares kept, at least 2 of each class, 1 whatever their scores, "
            "2 excluded",
        ),
    ],
)
def test_a_report_says_by_what_rules_samples_are_kept(asked, words):
    report = CCOutlierRemoval().report(small_digits(200), **asked)
    assert f"  keeps: {words}\n" in str(report)
    assert ("a number was given" in str(report)) == ("r" not in asked)

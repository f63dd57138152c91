from __future__ import annotations

import base64
import hashlib
import html
import json
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
    RandomSampling,
    load_dataset,
)
from proxysample.gallery import side_by_side
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


def test_it_is_shown_in_one_line(report):
    assert repr(report) == f"Report({report.title})"


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


def data_of(path):
    """What a saved page knows of the samples."""
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(), re.DOTALL)[1])


def test_the_page_needs_no_other_file(report, tmp_path):
    path = tmp_path / "report.html"
    report.save(path)
    text = path.read_text()
    page = Page()
    page.feed(text)
    assert page.links == ["data:,"]
    assert "style" not in page.attributes
    addresses = re.findall(r'url\("?(.{22})', text)
    assert len(addresses) == 6
    assert set(addresses) == {"data:image/png;base64,"}


def test_the_policy_lets_in_this_pages_own_style_and_script_alone(report, tmp_path):
    report.save(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)
    parts = dict(part.strip().split(" ", 1) for part in html.unescape(policy).split(";"))

    def digests(tag):
        contents = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        made = [hashlib.sha256(one.encode()).digest() for one in contents]
        return " ".join(f"'sha256-{base64.b64encode(one).decode()}'" for one in made)

    assert parts == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": digests("style"),
        "script-src": digests("script"),
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
    }
    # It comes before all that it is about.
    assert text.index("Content-Security-Policy") < text.index("<style")


def test_the_page_knows_each_samples_class_and_file(digits, tmp_path):
    images, labels = digits.images[:40], digits.targets[:40]
    files = [Path("photos") / f"<{index}>.png" for index in range(40)]
    dataset = ArrayDataset(images, labels, [f"digit {label}" for label in range(10)], files=files)
    report = KMeansOutlierRemoval(n_clusters=2, random_state=0).report(dataset, 0.5)
    report.save(tmp_path / "report.html")
    data = data_of(tmp_path / "report.html")
    codes = np.frombuffer(base64.b64decode(data["codes"]), dtype="<i4")
    assert [data["classes"][code] for code in codes] == [f"digit {label}" for label in labels]
    assert [data["filesIn"] + file for file in data["files"]] == list(map(str, files))
    scores = np.frombuffer(base64.b64decode(data["scores"]), dtype="<f8")
    assert np.array_equal(scores, report.ranking.scores)


HOSTILE = "<script>alert(1)</script>{{ 7 * 7 }}\" onerror='x' &lt;"


def test_hostile_names_of_classes_samplers_and_files_are_shown_as_they_are(digits, tmp_path):
    files = [f"{HOSTILE}{index}.png" for index in range(40)]
    classes = [f"{HOSTILE}{label}" for label in range(10)]
    dataset = ArrayDataset(digits.images[:40], digits.targets[:40], classes, files=files)
    report = KMeansOutlierRemoval(n_clusters=2, random_state=0).report(dataset, 0.5)
    report.ranking.provenance["sampler"] = HOSTILE
    report.ranking.provenance["parameters"] = {HOSTILE: HOSTILE}
    report.save(tmp_path / "report.html")
    saved = (tmp_path / "report.html").read_text()
    for text, n_scripts in ((saved, 2), (report._repr_html_(), 0)):
        page = Page()
        page.feed(text)
        assert page.tags.count("script") == n_scripts
        assert not any(name.startswith("on") for name in page.attributes)
        assert "&amp;lt;" in text
        assert "<script>alert" not in text
    assert html.unescape(report._repr_html_()).count(HOSTILE) >= 10 + 2
    assert html.unescape(saved).count(HOSTILE) >= 4
    data = data_of(tmp_path / "report.html")
    assert data["classes"] == classes
    assert [data["filesIn"] + file for file in data["files"]] == files


def test_what_would_not_be_seen_is_written_as_an_escape(digits, tmp_path):
    files = [f"cat\n\u202e{index}\udcff.png" for index in range(40)]
    classes = [f"\x00a\u2028{label}" for label in range(10)]
    dataset = ArrayDataset(digits.images[:40], digits.targets[:40], classes, files=files)
    report = KMeansOutlierRemoval(n_clusters=2, random_state=0).report(dataset, 0.5)
    report.save(tmp_path / "report.html")
    data = data_of(tmp_path / "report.html")
    assert data["files"][3] == r"cat\n\u202e3\udcff.png"
    assert data["classes"][3] == r"\x00a\u20283"
    assert r"\x00a\u20283" in str(report)
    assert "\u2028" not in str(report) + report._repr_html_()


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


def test_a_folder_has_the_page_and_its_thumbnails(report, tmp_path):
    report.save(tmp_path / "report")
    folder = tmp_path / "report"
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*"))
    assert names == ["index.html", *(f"thumbnails/{number:04}.png" for number in range(6))]
    text = (folder / "index.html").read_text()
    assert re.findall(r'url\("(.*?)"\)', text) == names[1:]
    assert "img-src data: &#39;self&#39; file:" in text
    with pytest.raises(InputError, match="exists and is not empty"):
        report.save(folder)


def test_more_than_one_file_holds_is_refused_with_what_to_do(report, tmp_path, monkeypatch):
    monkeypatch.setattr("proxysample.gallery.page.MOST_IN_FILE", 1000)
    with pytest.raises(InputError, match=r"shows 1,000 samples at most.*name a folder, such as"):
        report.save(tmp_path / "report.html")
    report.save(tmp_path / "report")
    monkeypatch.setattr("proxysample.gallery.page.MOST_IN_FOLDER", 1400)
    with pytest.raises(InputError, match=r"folder shows 1,400 samples at most.*a part of them"):
        report.save(tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report"]


def test_a_page_that_fails_leaves_nothing_behind(report, tmp_path):
    with pytest.raises(InputError, match="needed: a row of numbers"):
        report.save(tmp_path / "report", features=np.zeros((3, 2)))
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


def test_reading_pictures_leaves_global_generators_alone(digits, tmp_path):
    class Drawing:
        def __len__(self):
            return 40

        def __getitem__(self, index):
            np.random.random()  # noqa: NPY002
            return digits.images[index], int(digits.targets[index])

    report = RandomSampling(random_state=0).report(Drawing(), 0.5)
    before = np.random.get_state()[2]  # noqa: NPY002
    report.save(tmp_path / "report.html")
    assert report.examples
    side_by_side({"rs": report.ranking}, Drawing(), 0.5)
    assert np.random.get_state()[2] == before  # noqa: NPY002

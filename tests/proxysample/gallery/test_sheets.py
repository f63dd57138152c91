from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from proxysample import ArrayDataset, CCOutlierRemoval, InputError, RandomSampling, Ranking
from proxysample.gallery.sheets import side_by_side
from proxysample.testing import small_digits

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(1)>\n\u202e{{ 7 * 7 }}\"'"


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.data = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *one) for one in attributes]

    def handle_data(self, data):
        self.data.append(data)


@pytest.fixture(scope="module")
def digits():
    return small_digits(80)


@pytest.fixture(scope="module")
def rankings(digits):
    return {"typical": CCOutlierRemoval().rank(digits), "drawn": RandomSampling().rank(digits)}


def sheets_of(text):
    """Indices shown by side and heading, read back from what the pictures are called."""
    found = {}
    for section in text.split("<section>")[1:]:
        name = re.search("<h3>(.*?)</h3>", section)[1]
        for sheet in section.split("<h4>")[1:]:
            heading, count = re.match(r"(.*?): ([\d,]+)</h4>", sheet).groups()
            shown = [int(index) for index in re.findall(r'alt="(\d+)', sheet)]
            found[name, heading] = int(count), shown
    return found


def test_each_side_shows_what_its_ranking_keeps_and_drops(digits, rankings):
    found = sheets_of(side_by_side(rankings, digits, 0.25, n_images=100))
    kept = {name: set(ranking.select(0.25).tolist()) for name, ranking in rankings.items()}
    for name in rankings:
        (other,) = set(rankings) - {name}
        expected = {
            "Kept": kept[name],
            "Dropped": set(range(80)) - kept[name],
            "Kept by this one alone": kept[name] - kept[other],
        }
        for heading, indices in expected.items():
            count, shown = found[name, heading]
            assert count == len(indices) == len(shown)
            assert set(shown) == indices


def test_few_pictures_reach_from_the_first_to_the_last(digits, rankings):
    found = sheets_of(side_by_side(rankings, digits, 0.5, n_images=3))
    ranking = rankings["drawn"]
    _, shown = found["drawn", "Kept"]
    assert (shown[0], shown[-1]) == (ranking.order[0], ranking.order[39])
    assert len(shown) == 3


def test_hostile_names_are_shown_as_they_are(digits):
    classes = [f"{HOSTILE}{label}" for label in range(10)]
    files = [f"{HOSTILE}{index}\udcff.png" for index in range(80)]
    dataset = ArrayDataset(digits.images, digits.targets, classes, files=files)
    text = side_by_side({HOSTILE: RandomSampling().rank(dataset)}, dataset, 0.5)
    text.encode()
    page = Page(text)
    assert set(page.tags) <= {
        "div",
        "style",
        "section",
        "h3",
        "h4",
        "p",
        "figure",
        "figcaption",
        "img",
    }
    assert not [one for one in page.attributes if one[1].startswith("on")]
    sources = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    assert sources
    assert all(value.startswith("data:image/png;base64,") for value in sources)
    shown = HOSTILE.replace("\n", "\\n").replace("\u202e", "\\u202e")
    assert shown in page.data
    assert "\u202e" not in text


def test_one_ranking_has_nothing_that_is_its_alone(digits, rankings):
    found = sheets_of(side_by_side({"drawn": rankings["drawn"]}, digits, 0.5))
    assert [heading for _, heading in found] == ["Kept", "Dropped"]


def test_samples_that_are_no_images_are_counted(rankings):
    vectors = np.random.default_rng(0).random((80, 3))
    text = side_by_side({"drawn": RandomSampling().rank(vectors)}, vectors, 0.25)
    assert "<img" not in text
    assert "Kept: 20</h4>" in text


def test_skipped_samples_are_on_no_sheet(digits):
    scores = np.arange(80.0)
    scores[[3, 60]] = np.nan
    ranking = Ranking(scores, skipped=np.array([3, 60]))
    found = sheets_of(side_by_side({"given": ranking}, digits, 0.5, n_images=100))
    assert found["given", "Kept"][0] == found["given", "Dropped"][0] == 39
    assert not {3, 60} & {index for _, shown in found.values() for index in shown}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "no ranking is given"),
        ("cc-or", "rankings must be a mapping, not 'cc-or'"),
        ({"cc-or": "cc-or"}, "a ranking must be a Ranking, not 'cc-or'"),
        ({"short": Ranking(np.arange(3.0))}, "'short' is of 3 samples, and the dataset has 80"),
    ],
)
def test_what_does_not_go_together_is_refused(digits, given, words):
    with pytest.raises(InputError, match=words):
        side_by_side(given, digits, 0.5)

"""A report's page in Chromium: what it shows, by mouse and keyboard, at any width, without network.

Needs Debian's ``chromium`` and ``chromium-driver``, and selenium from PyPI.
"""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from proxysample import (
    ArrayDataset,
    CCOutlierRemoval,
    Herding,
    RandomSampling,
    Ranking,
    load_dataset,
    register,
)
from proxysample.data.reading import Samples
from proxysample.gallery import page as gallery_page
from proxysample.keeping import KeepingRule
from proxysample.registry import registry_of
from proxysample.report import build_report
from proxysample.testing import small_digits
from proxysample.wording import visible

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="chromium and its driver are not installed (Debian: chromium, chromium-driver)",
)

N = 150
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\n\u202e{{ 7 * 7 }}\"'&lt;"


@dataclass
class Browser:
    """A browser, and what it did since a page was opened."""

    driver: object

    def open(self, path, *, width=1300, dark=False):
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get_log("performance")
        self.driver.get(Path(path).resolve().as_uri())

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def press(self, *keys):
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    @property
    def focused(self):
        """The sample whose cell has the focus, or the id of what has it."""
        return self.run("const e = document.activeElement; return e.dataset.index ?? e.id")

    def shown(self, kind):
        """All samples of a pane, page by page."""
        return self.run(SHOWN + "return shown(arguments[0])", kind)

    def requested(self):
        """Addresses asked for since the page was opened, but those that hold their content."""
        messages = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        urls = [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith("data:")]

    def errors(self):
        return [entry["message"] for entry in self.driver.get_log("browser")]


SHOWN = """
function shown(kind) {
  const [previous, next] = ["-previous", "-next"].map((end) => document.getElementById(kind + end));
  while (!previous.disabled) previous.click();
  const found = [];
  for (;;) {
    for (const cell of document.querySelectorAll("#" + kind + "-grid .cell"))
      found.push(Number(cell.dataset.index));
    if (next.disabled) return found;
    next.click();
  }
}
"""

EVERY_STOP = (
    SHOWN
    + """
const slider = document.getElementById("slider");
const found = [];
for (let at = 0; at <= Number(slider.max); at += Number(arguments[0])) {
  slider.value = at;
  slider.dispatchEvent(new Event("input"));
  const counts = [...document.querySelectorAll("#class-rows tr")].map(
    (row) => [...row.cells].slice(0, 3).map((cell) => cell.textContent));
  found.push({
    words: document.getElementById("kept-words").textContent,
    kept: shown("kept"), dropped: shown("dropped"), counts,
  });
}
return found;
"""
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tmp_path_factory.mktemp("profile")
    # Root, as who runs tests in a container is, has no sandbox.
    for word in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{word}")
    options.add_argument(f"--user-data-dir={profile}")
    options.add_argument("--disable-background-networking")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium):
    browser = Browser(chromium)
    browser.errors()
    yield browser
    # Whatever a test does: nothing is asked for elsewhere, and nothing goes wrong.
    assert browser.errors() == []
    assert all(url.startswith("file:") for url in browser.requested())
    chromium.get("about:blank")


@pytest.fixture(scope="module")
def digits():
    return small_digits(N)


@pytest.fixture(scope="module")
def digits_page(digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    CCOutlierRemoval().report(digits, 0.25).save(path)
    return path


@pytest.fixture(scope="module")
def digits_ranking(digits):
    return CCOutlierRemoval().rank(digits)


def skipping(ranking, skipped):
    scores = ranking.scores.copy()
    scores[skipped] = np.nan
    return replace(ranking, scores=scores, skipped=np.array(skipped))


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        (lambda ranking: ranking, {}),
        (lambda ranking: replace(ranking, rounding="floor"), {}),
        (
            lambda ranking: skipping(ranking, [3, 70, 71]),
            {"balance": "equal", "min_per_class": 1, "must_keep": [9], "exclude": [0, 149]},
        ),
    ],
    ids=["plain", "paper", "rules"],
)
def test_what_the_slider_shows_is_what_select_keeps(
    browser, digits, digits_ranking, tmp_path, change, rules
):
    ranking = change(digits_ranking)
    build_report(ranking, Samples(digits), 0.5, **rules).save(tmp_path / "report.html")
    browser.open(tmp_path / "report.html")
    found = browser.run(EVERY_STOP, 3)
    assert len(found) > 15
    for stop in found:
        kept = ranking.select(float(stop["words"].split()[2]), **rules).tolist()
        assert f"keeps {len(kept)} of {len(ranking.whole_indices)}" in stop["words"]
        assert sorted(stop["kept"]) == kept
        assert sorted(stop["dropped"]) == sorted(set(ranking.whole_indices.tolist()) - set(kept))
        codes = ranking.classes.codes
        assert stop["counts"] == [
            [
                name,
                str((codes[kept] == code).sum()),
                str((codes[ranking.whole_indices] == code).sum()),
            ]
            for code, name in enumerate(ranking.classes.names)
        ]


def test_keys_move_the_slider_and_images_with_it(browser, digits_page, digits_ranking):
    browser.open(digits_page)
    before = browser.shown("kept")
    assert sorted(before) == digits_ranking.select(0.25).tolist()
    browser.find("#slider").send_keys(Keys.ARROW_RIGHT)
    moved = browser.shown("kept")
    assert len(moved) == len(before) + 1
    # Nearest to the cut: the one that moved comes first.
    assert moved[1:] == before
    browser.find("#slider").send_keys(Keys.END)
    assert len(browser.shown("kept")) == N
    assert browser.shown("dropped") == []
    assert browser.find("#slider").get_attribute("aria-valuetext") == "r = 1 keeps 150 of 150"


def test_a_ratio_can_be_typed(browser, digits_page, digits_ranking):
    browser.open(digits_page)
    field = browser.find("#ratio")
    field.send_keys(Keys.CONTROL + "a" + Keys.NULL, "0.1", Keys.ENTER)
    assert sorted(browser.shown("kept")) == digits_ranking.select(0.1).tolist()
    assert field.get_attribute("value") == "0.1"
    # Nothing is no ratio: the slider stays.
    field.send_keys(Keys.CONTROL + "a" + Keys.NULL, Keys.DELETE, Keys.ENTER)
    assert field.get_attribute("value") == "0.1"


@pytest.mark.parametrize("sort", ["order", "low", "high", "index"])
def test_images_are_sorted(browser, digits_page, digits_ranking, sort):
    browser.open(digits_page)
    browser.run(
        "const s = document.getElementById('sort'); s.value = arguments[0];"
        "s.dispatchEvent(new Event('change'))",
        sort,
    )
    order, scores = digits_ranking.order, digits_ranking.scores
    keys = {
        "order": lambda index: order.tolist().index(index),
        "low": lambda index: scores[index],
        "high": lambda index: -scores[index],
        "index": lambda index: index,
    }
    n_kept = len(digits_ranking.select(0.25))
    for kind, some in (("kept", order[:n_kept]), ("dropped", order[n_kept:])):
        assert browser.shown(kind) == sorted(some.tolist(), key=keys[sort])


def test_a_class_is_shown_alone(browser, digits_page, digits_ranking, digits):
    browser.open(digits_page)
    browser.find("#class-rows tr:nth-child(4) button").click()
    kept = set(digits_ranking.select(0.25).tolist())
    threes = set(np.flatnonzero(digits.targets == 3).tolist())
    assert set(browser.shown("kept")) == kept & threes
    assert set(browser.shown("dropped")) == threes - kept
    assert browser.find("#class").get_attribute("value") == "3"
    browser.find("#class-rows tr:nth-child(4) button").click()
    assert len(browser.shown("kept")) == len(kept)


def test_the_page_is_used_by_keys_alone(browser, digits_page):
    browser.open(digits_page)
    reached = []
    for _ in range(14):
        browser.press(Keys.TAB)
        reached.append(browser.focused)
    # The slider first; each pane is one stop of the tabulator, wherever one is in it.
    assert reached[:5] == ["slider", "ratio", "class", "sort", "twins"]
    kept, dropped = browser.shown("kept"), browser.shown("dropped")
    browser.run("document.querySelector('#dropped-grid .cell').focus()")
    browser.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    place = browser.run(SHOWN_PLACE)
    assert place == 1
    browser.press(Keys.ARROW_DOWN)
    below = browser.run(SHOWN_PLACE)
    assert below > 3
    browser.press(Keys.ARROW_UP)
    assert browser.run(SHOWN_PLACE) == 1
    assert (
        browser.run("return document.querySelectorAll('#dropped-grid [tabindex=\"0\"]').length")
        == 1
    )
    browser.press(Keys.ENTER)
    sample = int(browser.run("return document.activeElement.closest('dialog') ? 1 : 0"))
    assert sample == 1
    assert kept
    assert dropped
    title = browser.find("#sample-title").text
    browser.press(Keys.ARROW_RIGHT)
    assert browser.find("#sample-title").text != title
    browser.press(Keys.ESCAPE)
    assert not browser.find("#sample").is_displayed()
    assert browser.run(SHOWN_PLACE) == 1


SHOWN_PLACE = (
    "return [...document.querySelectorAll('#dropped-grid .cell')].indexOf(document.activeElement)"
)


def test_arrows_go_on_to_the_next_page(browser, tmp_path):
    dataset = load_dataset("digits").train
    RandomSampling(random_state=0).report(dataset, 0.5).save(tmp_path / "report.html")
    browser.open(tmp_path / "report.html")
    browser.run("document.querySelector('#kept-grid .cell').focus()")
    browser.press(Keys.END, Keys.ARROW_RIGHT)
    assert browser.find("#kept-range").text == "121\N{EN DASH}240 of 718"
    browser.press(Keys.ARROW_LEFT)
    assert browser.find("#kept-range").text == "1\N{EN DASH}120 of 718"


def test_screen_readers_are_told_what_a_picture_is(browser, digits_page, digits_ranking):
    browser.open(digits_page)
    kept = browser.shown("kept")
    label = browser.run(
        "const c = document.querySelector('#kept-grid .cell'); return c.getAttribute('aria-label')"
    )
    name = digits_ranking.classes.labels[kept[0]]
    score = f"{digits_ranking.scores[kept[0]]:.6g}"
    assert label == f"Sample {kept[0]}, class {name}, score {score}, kept"
    unnamed = browser.run(
        "return [...document.querySelectorAll('button, input, select')].filter((e) =>"
        " !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).map((e) => e.outerHTML)"
    )
    assert unnamed == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1300])
def test_nothing_is_wider_than_the_window(browser, digits, tmp_path, width, dark):
    names = [f"{HOSTILE}{'long' * 30}{label}" for label in range(10)]
    files = [f"/photos/{'deep' * 30}/{HOSTILE}{index}.png" for index in range(N)]
    dataset = ArrayDataset(digits.images, digits.targets, names, files=files)
    CCOutlierRemoval().report(dataset, 0.25).save(tmp_path / "report.html")
    browser.open(tmp_path / "report.html", width=width, dark=dark)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    paper = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(20, 25, 31)" if dark else "rgb(255, 255, 255)")
    browser.find("#dropped-grid .cell").click()
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.run(
        "const d = document.getElementById('sample'); return d.scrollWidth <= d.clientWidth"
    )


def test_hostile_names_are_text(browser, digits, tmp_path):
    names = [f"{HOSTILE}{label}" for label in range(10)]
    files = [f"{HOSTILE}{index}\udcff.png" for index in range(N)]
    dataset = ArrayDataset(digits.images, digits.targets, names, files=files)
    report = RandomSampling(random_state=0).report(dataset, 0.25)
    report.ranking.provenance["sampler"] = HOSTILE
    report.ranking.provenance["parameters"] = {HOSTILE: HOSTILE}
    report.save(tmp_path / "report.html")
    browser.open(tmp_path / "report.html")
    shown = browser.shown("dropped")
    browser.run("document.querySelector('#dropped-grid .cell').click()")
    told = browser.run(
        "return [...document.querySelectorAll('#told dd')].map((e) => e.textContent)"
    )
    assert told[0] == visible(names[digits.targets[browser.run(SAMPLE)]])
    assert told[1] == visible(files[browser.run(SAMPLE)])
    assert browser.run(SAMPLE) in shown
    assert visible(HOSTILE) in browser.run("return document.querySelector('h1').textContent")
    assert visible(HOSTILE) in browser.run("return document.title")
    assert browser.run("return document.querySelectorAll('img').length") == 0
    assert browser.run("return document.scripts.length") == 2
    assert "\u202e" not in browser.run("return document.documentElement.textContent")


SAMPLE = "return Number(document.getElementById('sample-title').textContent.split(' ')[1])"


def test_neighbours_are_the_nearest_and_copies_are_found(browser, digits, tmp_path):
    images = digits.images.copy()
    images[140], images[77] = images[12], images[30]
    dataset = ArrayDataset(images, digits.targets)
    RandomSampling(random_state=0).report(dataset, 0.5).save(tmp_path / "report.html")
    browser.open(tmp_path / "report.html")
    pairs = browser.run(
        "return [...document.querySelectorAll('#pairs li')].map((e) =>"
        " [...e.querySelectorAll('.cell')].map((c) => Number(c.dataset.index)))"
    )
    assert pairs[:2] == [[12, 140], [30, 77]]
    stamps = "return [...document.querySelectorAll('#pairs .stamp')].map((e) => e.textContent)"
    assert set(browser.run(stamps)) == {"kept", "dropped"}
    browser.find("#slider").send_keys(Keys.END)
    assert set(browser.run(stamps)) == {"kept"}
    browser.run("document.querySelector('#pairs .cell').click()")
    assert browser.run(SAMPLE) == 12
    found = browser.run(
        "return [...document.querySelectorAll('#neighbours .cell')].map((c) => +c.dataset.index)"
    )
    flat = images.reshape(N, -1).astype(float)
    distances = np.linalg.norm(flat - flat[12], axis=1)
    distances[12] = np.inf
    assert np.allclose(distances[found], np.sort(distances)[:8])
    assert found[0] == 140
    assert "near duplicate" in browser.find("#neighbours .cell").text
    browser.run("document.querySelector('#neighbours .cell').click()")
    assert browser.run(SAMPLE) == 140
    browser.press(Keys.ESCAPE)
    browser.find("#twins").click()
    shown = browser.shown("kept") + browser.shown("dropped")
    assert {12, 140, 30, 77} <= set(shown)
    assert len(shown) < N


def test_neighbours_by_features_say_so(browser, digits, tmp_path):
    features = np.random.default_rng(0).normal(size=(N, 5))
    Herding(features=features).report(digits, 0.5).save(tmp_path / "report.html")
    browser.open(tmp_path / "report.html")
    assert "Compared by cosine of 5 features" in browser.find("#alike").text
    browser.run("document.querySelector('#kept-grid .cell').click()")
    sample = browser.run(SAMPLE)
    first = int(browser.find("#neighbours .cell").get_attribute("data-index"))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosines = unit @ unit[sample]
    cosines[sample] = -2
    assert first == np.argmax(cosines)
    assert f"cosine {cosines.max():.3f}" in browser.find("#neighbours .cell").text


def test_a_thumbnail_is_the_image(browser, digits, digits_page):
    browser.open(digits_page)
    for kind in ("kept", "dropped"):
        sample = browser.shown(kind)[0]
        browser.run(f"document.getElementById('{kind}-previous').click()")
        picture = browser.find(f"#{kind}-grid .cell[data-index='{sample}'] .pixels")
        seen = np.asarray(Image.open(io.BytesIO(picture.screenshot_as_png)).convert("L"), dtype=int)
        image = digits.images[sample].reshape(8, 8).astype(int)
        assert seen.shape == (64, 64)
        assert np.abs(seen[4::8, 4::8] - image).max() <= 1


def test_a_folder_loads_what_is_shown_alone(browser, digits, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery_page, "MOST_IN_FILE", 100)
    dataset = load_dataset("digits").train
    RandomSampling(random_state=0).report(dataset, 0.5).save(tmp_path / "report")
    sheets = sorted(path.name for path in (tmp_path / "report" / "thumbnails").iterdir())
    assert len(sheets) == 6
    browser.open(tmp_path / "report" / "index.html")
    browser.run("document.getElementById('alike').hidden = true")
    loaded = {url.rpartition("/")[2] for url in browser.requested()} - {"index.html"}
    assert 0 < len(loaded) < 6
    first = browser.shown("kept")[0]
    browser.run("document.getElementById('kept-previous').click()")
    picture = browser.find("#kept-grid .cell .pixels")
    seen = np.asarray(Image.open(io.BytesIO(picture.screenshot_as_png)).convert("L"), dtype=int)
    assert seen.max() > seen.min()
    assert first in range(len(dataset))


@dataclass(frozen=True)
class KeepNear(KeepingRule):
    id = "near"
    nested = False

    def order(self, scores, codes=None, n_kept=None):
        return np.argsort(np.abs(scores - np.quantile(scores, n_kept / len(scores))))


def test_sets_that_do_not_nest_are_offered_as_given(browser, digits, tmp_path, monkeypatch):
    registry = registry_of("rule")
    monkeypatch.setattr(registry, "_registered", registry.registered)
    register(KeepNear)
    ranking = Ranking(np.arange(float(N)), keep="near")
    report = build_report(ranking, Samples(digits), 0.25)
    report.save(tmp_path / "report.html", ratios=[0.5, 0.75])
    browser.open(tmp_path / "report.html")
    assert "(r = 0.25, r = 0.5, r = 0.75)" in browser.find("#why-few").text
    assert "near has another order for each ratio" in browser.find("#why-few").text
    found = browser.run(EVERY_STOP, 1)
    assert len(found) == 3
    for stop in found:
        kept = ranking.select(float(stop["words"].split()[2])).tolist()
        assert sorted(stop["kept"]) == kept


def test_samples_without_pictures_or_labels_are_numbers(browser, tmp_path):
    vectors = np.random.default_rng(0).random((50, 3))
    RandomSampling(random_state=0).report(vectors, 0.5).save(tmp_path / "report.html")
    browser.open(tmp_path / "report.html")
    assert len(browser.shown("kept")) == 25
    assert not browser.find("#classes").is_displayed()
    assert "cosine of 3 features" in browser.find("#alike").text
    browser.find("#kept-grid .cell").click()
    assert browser.find("#sample").is_displayed()

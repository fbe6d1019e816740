"""The report: one page that needs no other file, and that a real browser shows."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from synthetic_clips import write

from talkinghead.evaluation.evaluate import evaluate
from talkinghead.evaluation.pairs import Pair
from talkinghead.evaluation.report import report
from talkinghead.evaluation.results import Evaluation

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


class Page(HTMLParser):
    """Counts elements, and collects what would be fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.count: dict[str, int] = {}
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]


@pytest.fixture
def found(synthetic_faces: None, tmp_path: Path) -> Evaluation:
    clip = write(tmp_path / "true.mp4")
    return evaluate([Pair(write(tmp_path / "a<b>.mp4", dark=9), clip)])


def test_the_page_has_every_part_and_fetches_nothing(found: Evaluation) -> None:
    text = report(found)
    page = Page(text)
    assert (page.count["svg"], page.count["img"]) == (4, 8)
    assert page.fetched and all(source.startswith("data:image/png;base64,") for source in page.fetched)
    assert "script" not in page.count and "link" not in page.count
    assert "a&lt;b&gt;.mp4" in text and "a<b>" not in text
    assert found.pairs[0].sha256["reference"] in text
    assert not any(wrong in text for wrong in (">nan<", "nan,", ",nan", "nan ms", "None"))


def test_the_template_is_part_of_the_package() -> None:
    assert files("talkinghead.evaluation").joinpath("templates", "report.html.j2").is_file()


def test_a_browser_shows_it(found: Evaluation, tmp_path: Path) -> None:
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no browser is installed (one of {', '.join(BROWSERS)})")
    sync_api = pytest.importorskip("playwright.sync_api")
    page_file = tmp_path / "report.html"
    page_file.write_text(report(found), "utf-8")
    fetched, wrong = [], []
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = running.new_page(viewport={"width": 1000, "height": 800})
        page.on("request", lambda request: fetched.append(request.url))
        page.on("console", lambda message: wrong.append(message.text))
        page.goto(page_file.as_uri())
        sizes = page.eval_on_selector_all("img", "all => all.map(one => [one.complete, one.naturalWidth])")
        drawn = page.eval_on_selector_all("svg polyline", "all => all.map(one => one.getBBox().width)")
        wide = page.evaluate("document.documentElement.scrollWidth")
        running.close()
    assert [url for url in fetched if not url.startswith("data:")] == [page_file.as_uri()]
    assert not wrong
    assert len(sizes) == 8 and all(complete and width > 100 for complete, width in sizes)
    assert sum(width > 300 for width in drawn) >= 4
    assert wide <= 1000

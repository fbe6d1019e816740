"""The whole studio in a browser, with the real pipeline: an anchor is trained, speaks, is compared, and is live.

It takes minutes and a Chromium, and runs only where the environment variable TALKINGHEAD_END_TO_END names a folder, in
which it leaves screenshots:

    TALKINGHEAD_END_TO_END=/tmp/screenshots python -m pytest -n 0 tests/server/test_end_to_end.py
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

from live_page import ARGUMENTS, LivePage, MouthAtRest, Seen, begin_to_watch, find_browser, lips_box, taken  # noqa: E402
from serving import Server  # noqa: E402

CLIP = Path(__file__).parents[2] / "data" / "presenter" / "henrik.mp4"
SCREENSHOTS = os.environ.get("TALKINGHEAD_END_TO_END", "")
TEXT = "Good evening. It is seven o'clock, and here is the news of the day."
LOUD = 0.02

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SCREENSHOTS, reason="takes minutes: TALKINGHEAD_END_TO_END names a folder for screenshots"),
    pytest.mark.skipif(
        find_browser() is None, reason="needs Chromium; on Debian: apt-get install chromium-headless-shell"
    ),
]


@pytest.fixture
def page() -> Iterator[playwright.Page]:
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=find_browser(), args=list(ARGUMENTS))
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        page.set_default_timeout(60_000)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        yield page
        browser.close()
    assert not problems


def until(page: playwright.Page, wanted: Callable[[], bool], most_s: float) -> None:
    """Polled from here: the policy of the page forbids playwright to do it there."""
    end_s = time.monotonic() + most_s
    while not wanted():
        assert time.monotonic() < end_s, page.inner_text("body")
        page.wait_for_timeout(100)


def shown(page: playwright.Page, name: str) -> None:
    Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
    page.screenshot(path=f"{SCREENSHOTS}/{name}.png", full_page=True)


def with_few_steps(route: playwright.Route) -> None:
    route.continue_(post_data=json.dumps({**json.loads(route.request.post_data or "{}"), "steps": 50}))


def test_the_studio_end_to_end(page: playwright.Page, tmp_path: Path) -> None:
    server = Server(tmp_path / "studio")
    try:
        train_and_kill(page, server)
        server = Server(tmp_path / "studio", port=server.port)
        finish(page)
        video_speaks(page, tmp_path / "studio" / "anchors" / "henrik.anchor")
        takes_are_compared(page)
        live(page, server, tmp_path / "studio" / "anchors" / "henrik.anchor")
    finally:
        server.close()


def train_and_kill(page: playwright.Page, server: Server) -> None:
    """Upload a clip, start a training of it, and kill the server in the midst of it."""
    page.route("**/api/trainings", with_few_steps)
    page.goto(f"{server.address}/#train")
    page.wait_for_selector("body[data-ready]", state="attached")
    page.set_input_files("#train-file", CLIP)
    page.fill("#train-consent", "Rendered: it shows nobody at all.")
    until(page, lambda: bool(page.query_selector("#train-findings li:not(.busy)")), 300)
    shown(page, "1-checked")
    if page.is_visible("#train-despite"):
        page.check("#train-despite")
    assert page.input_value("#train-name") == "henrik"
    page.click("#train-start")
    until(page, lambda: "Training" in page.inner_text("#trainings .state"), 600)
    shown(page, "2-training")
    server.kill()


def finish(page: playwright.Page) -> None:
    """After a reload the training goes on, to its end."""
    page.reload()
    page.wait_for_selector("body[data-ready]", state="attached")
    until(page, lambda: page.get_attribute("#trainings li", "data-state") == "done", 900)
    page.wait_for_selector("#trainings .verdict")
    shown(page, "3-trained")


def make_video(page: playwright.Page, count: int) -> None:
    page.select_option("#speak-anchor", "henrik")
    page.fill("#speak-text", TEXT)
    page.click("#speak-form button[type=submit]")
    until(page, lambda: len(page.query_selector_all("#videos li[data-state=done] video")) == count, 600)


def video_speaks(page: playwright.Page, anchor: Path) -> None:
    """The mouth of a video moves while it is heard, and rests before."""
    page.click("#tab-speak")
    make_video(page, 1)
    video = "#videos video"
    page.evaluate(
        "() => { const v = document.querySelector('#videos video'); v.muted = false; v.volume = 1; return v.play(); }"
    )
    begin_to_watch(page, video, lips_box(anchor))
    until(page, lambda: bool(page.evaluate("() => document.querySelector('#videos video').ended")), 120)
    seen = taken(page)
    shown(page, "4-video")
    assert len(seen.frame_ms) > 30
    assert_moves_with_the_audio(seen)


def assert_moves_with_the_audio(seen: Seen) -> None:
    """How far the mouth is from each of its pictures goes with the level: more so now than when shifted by a second."""
    level = np.array([seen.levels[np.abs(seen.sound_ms - at) < 60].max(initial=0) for at in seen.frame_ms])
    change = np.abs(np.diff(seen.mouths.astype(float), axis=0)).mean((1, 2))
    speaks = level[1:] > LOUD
    assert speaks.sum() > 20 and (~speaks).sum() > 4
    assert np.median(change[speaks]) > 1.5 * np.median(change[~speaks])


def takes_are_compared(page: playwright.Page) -> None:
    """Two videos side by side, on one clock."""
    make_video(page, 2)
    for place in range(2):
        page.click(f"#videos li >> nth={place} >> button:has-text('Compare')")
    page.click("#compare-play")
    page.wait_for_timeout(1500)
    first, second = page.evaluate(
        "() => ['a', 'b'].map((one) => document.querySelector(`#compare-${one}`).currentTime)"
    )
    assert first > 0.5 and abs(first - second) < 0.1
    drawn = page.evaluate(
        """() => ["a", "b"].map((one) => {
          const canvas = document.querySelector(`#compare-mouth-${one}`);
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return data.reduce((most, value, place) => (place % 4 < 3 ? Math.max(most, value) : most), 0);
        })"""
    )
    assert min(drawn) > 60
    shown(page, "5-compare")
    page.click("#compare-close")


def live(page: playwright.Page, server: Server, anchor: Path) -> None:
    """A live session: it idles, speaks a text with a moving mouth and audio, and falls silent when interrupted."""
    page.click("#tab-live")
    page.select_option("#live-anchor", "henrik")
    studio = LivePage(page, server.address, anchor)
    studio.connect()
    studio.watch()
    page.wait_for_timeout(1000)
    rest = MouthAtRest(studio.watch_for(22).mouths)  # the clip, there and back
    idle = studio.watch_for(3)
    assert idle.levels.max() < LOUD
    assert rest.moves(idle.mouths).mean() < 0.2
    studio.say(f"{TEXT} {TEXT} {TEXT}")
    until(page, lambda: studio.take().levels.max(initial=0) > LOUD, 60)
    seen = studio.watch_for(3)
    shown(page, "6-live")
    assert seen.levels.max() > LOUD
    assert rest.moves(seen.mouths).mean() > 0.3
    studio.interrupt()
    until(page, lambda: studio.watch_for(1).levels.max(initial=0) < LOUD, 60)
    after = studio.watch_for(3)
    assert after.levels.max() < LOUD
    assert rest.moves(after.mouths).mean() < 0.2
    page.wait_for_selector("#live-log li:has-text('heard until')")
    shown(page, "7-interrupted")
    studio.disconnect()

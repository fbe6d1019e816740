"""The studio's page in a real browser."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import uvicorn
from drawn_face import DrawnClip
from drawn_performer import BigPerformer
from served import CHECK_STUB, STUB, drawn_service

from talkinghead.server.app import make_app
from talkinghead.server.clip_checks import ClipChecks
from talkinghead.server.config import ServerConfig
from talkinghead.server.jobs import Jobs

BRIGHTNESS = """() => {
    const video = document.querySelector("#live-video");
    if (video.readyState < 2) return -1;
    const canvas = new OffscreenCanvas(8, 8).getContext("2d");
    canvas.drawImage(video, 0, 0, 8, 8);
    return canvas.getImageData(4, 4, 1, 1).data[1];
}"""
"""Of the middle of the live picture."""

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

from live_page import ARGUMENTS, find_browser  # noqa: E402


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    found = find_browser()
    if found is None:
        pytest.skip("There is no Chromium; on Debian: apt-get install chromium-headless-shell")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of a running server whose anchor is drawn and whose jobs are done at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = ServerConfig(folder=tmp_path / "studio", port=port)
    service = drawn_service(config, BigPerformer())
    service.jobs.close()
    service.jobs = Jobs(tmp_path / "studio" / "jobs", STUB)
    service.clip_checks = ClipChecks(CHECK_STUB)
    server = uvicorn.Server(
        uvicorn.Config(make_app(config, service), port=port, log_level="error", ws="websockets-sansio")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()


@pytest.fixture
def page(browser: playwright.Browser, address: str) -> Iterator[playwright.Page]:
    page = browser.new_page()
    page.set_default_timeout(60_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    yield page
    page.close()
    assert not problems


def wait_for_brightness(page: playwright.Page, is_bright: bool) -> None:
    """Polled from here: the policy of the page forbids playwright to do it there."""
    end_s = time.monotonic() + 60
    while time.monotonic() < end_s:
        level = page.evaluate(BRIGHTNESS)
        if level >= 0 and (level > 90) is is_bright:
            return
        time.sleep(0.02)
    raise AssertionError(f"The picture has brightness {level}.")


def test_a_text_becomes_a_video(page: playwright.Page) -> None:
    page.fill("#speak-text", "Good evening.")
    page.click("#speak-form button[type=submit]")
    page.wait_for_selector("#videos li[data-state=done] video")
    assert page.inner_text("#videos h3") == "Good evening."
    page.click("#videos button:has-text('Compare')")
    assert page.is_visible("#compare canvas")
    page.reload()
    page.wait_for_selector("#videos li[data-state=done] video")
    page.click("#videos button:has-text('Remove')")
    page.wait_for_selector("#videos .empty")


def test_what_the_server_refuses_is_shown(page: playwright.Page) -> None:
    page.click("#speak-form button[type=submit]")
    page.wait_for_selector("#notice:visible")
    assert "text" in page.inner_text("#notice")


def test_the_page_speaks_chinese_and_works_by_keyboard(page: playwright.Page) -> None:
    page.select_option("#language", "zh")
    assert page.inner_text("#tab-live") == "直播"
    page.focus("#tab-speak")
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#train-form")
    assert page.evaluate("document.activeElement.id") == "tab-train"
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert page.inner_text("#tab-train") == "制作主播"
    assert page.is_visible("#train-form")


def test_a_live_anchor_speaks_and_is_interrupted(page: playwright.Page) -> None:
    page.click("#tab-live")
    page.click("#live-connect")
    wait_for_brightness(page, False)
    page.fill("#live-text", "Good evening, and welcome. Here is the news. " * 8)
    page.click("#live-say")
    wait_for_brightness(page, True)
    page.click("#live-interrupt")
    wait_for_brightness(page, False)
    page.wait_for_selector("#live-log li:has-text('heard until')")
    page.click("#live-record")
    page.wait_for_selector("#live-record[aria-pressed=true]")
    time.sleep(0.5)
    page.click("#live-connect")
    page.wait_for_selector("#live-say[disabled]", state="attached")
    page.wait_for_selector("#recorded video")  # what was recorded when the session ended is kept
    assert page.get_attribute("#recorded a", "href").endswith("/video?download")
    page.click("#recorded button:has-text('Remove')")
    page.wait_for_selector("#recorded .empty")


def drop_clip(page: playwright.Page, clip: DrawnClip, name: str) -> None:
    page.set_input_files("#train-file", {"name": name, "mimeType": "video/mp4", "buffer": clip.path.read_bytes()})


def test_a_clip_is_checked_before_it_can_be_trained_on(page: playwright.Page, clip: DrawnClip) -> None:
    page.click("#tab-train")
    page.fill("#train-consent", "Drawn, nobody at all.")
    assert page.is_disabled("#train-start")
    drop_clip(page, clip, "still.mp4")
    page.wait_for_selector("#train-findings li.problem:has-text('take a clip in which the person speaks')")
    assert page.is_disabled("#train-start")
    page.check("#train-despite")
    assert page.is_enabled("#train-start")
    drop_clip(page, clip, "good.mp4")
    page.wait_for_selector("#train-findings li.ok:has-text('fit to make an anchor')")
    assert page.is_hidden("#train-despite-label")
    page.select_option("#language", "zh")
    page.wait_for_selector("#train-findings li.ok:has-text('适合用来制作主播')")
    page.wait_for_selector("#train-findings li.ok:has-text('声音: 第一分钟内有 31 秒语音')")
    page.wait_for_selector("#train-start:enabled")
    page.click("#train-start")
    page.wait_for_selector("#trainings h3:has-text('still')")


def test_more_settings_reach_the_job(page: playwright.Page) -> None:
    page.click("#speak summary:visible >> nth=0")
    page.select_option("#speak-aspect", "9:16")
    page.fill("#speak-lead-in", "0.5")
    page.fill("#speak-speed", "1.25")
    page.fill("#speak-text", "Good evening.")
    with page.expect_request("**/api/videos") as asked:
        page.click("#speak-form button[type=submit]")
    body = asked.value.post_data_json
    assert body["options"] == {"intensity": 1, "lead_in": 0.5, "aspect": "9:16", "quality": "standard"}
    assert body["speaking"] == {"speed": 1.25, "pause_ms": 600}
    page.wait_for_selector("#videos li[data-state=done] video")


def test_a_table_becomes_videos(page: playwright.Page) -> None:
    page.click("#batch summary")
    table = "id,anchor,text\nfirst,presenter,Good evening.\nsecond,presenter,Good night.\n"
    files = [{"name": "news.csv", "mimeType": "text/csv", "buffer": table.replace("presenter", "nobody").encode()}]
    page.set_input_files("#batch-files", files)
    page.click("#batch-form button[type=submit]")
    page.wait_for_selector("#batch-problems li:has-text('line 3')")
    page.set_input_files("#batch-files", [{**files[0], "buffer": table.encode()}])
    page.click("#batch-form button[type=submit]")
    page.wait_for_selector("#batches tr[data-state=done]:has-text('second') a:has-text('Download')")
    assert page.inner_text("#batches h3") == "news.csv"
    page.click("#batches button:has-text('Remove')")
    page.wait_for_selector("#batches li", state="detached")


def test_a_background_is_chosen(page: playwright.Page) -> None:
    page.click("#speak summary:visible >> nth=0")
    assert page.is_hidden("#speak-color") and page.is_hidden("#speak-background-hint")
    page.select_option("#speak-background", "color")
    page.wait_for_selector("#speak-background-hint:has-text('cut out')")
    page.fill("#speak-color", "#112233")
    page.fill("#speak-text", "Good evening.")
    with page.expect_request("**/api/videos") as asked:
        page.click("#speak-form button[type=submit]")
    assert asked.value.post_data_json["background"] == "#112233"
    page.select_option("#speak-background", "file")
    picture = np.asarray(cv2.imencode(".png", np.full((24, 32, 3), 90, np.uint8))[1]).tobytes()
    page.set_input_files("#speak-picture", {"name": "office.png", "mimeType": "image/png", "buffer": picture})
    page.wait_for_selector("#speak-picture-state:has-text('office.png')")
    with page.expect_request("**/api/videos") as asked:
        page.click("#speak-form button[type=submit]")
    assert len(asked.value.post_data_json["background_file"]) == 16
    page.click("#tab-live")
    page.select_option("#live-background", "color")
    assert page.is_visible("#live-color")


def test_nothing_is_wider_than_its_form(page: playwright.Page) -> None:
    page.set_viewport_size({"width": 1200, "height": 900})
    page.click("#tab-live")
    page.click("#live-connect")
    wait_for_brightness(page, False)
    form, field = (page.evaluate(f"() => document.querySelector('{one}').getBoundingClientRect().right")
                   for one in ("#live-form", "#live-text"))  # fmt: skip
    assert field < form
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("() => document.documentElement.scrollWidth <= 360")

"""Latencies of a live anchor as a browser presents it: by the pixels of the mouth and the samples of the audio.

Used by benchmarks/live.py. A mouth moves where it is unlike what it was in seconds of silence, wherever the head was
then (`live_page.MouthAtRest`); there is sound where a sample is above `LOUD`.
"""

from __future__ import annotations

import time

import numpy as np
from live_page import ARGUMENTS, LivePage, MouthAtRest, find_browser
from numpy.typing import NDArray
from playwright.sync_api import sync_playwright
from serving import Server

LOUD = 0.02
IDLE_S = 22.0
"""How long the mouth at rest is looked at: the built-in anchor's clip once."""
BLOCK_S = 0.04
RATE_HZ = 24_000
LASTING = 3
"""Frames for which a mouth has to move, or to rest, to count."""


def latencies(server: Server, anchor: str, tries: int, text: str, speech: NDArray[np.float32]) -> list[tuple[str, str]]:
    """Rows of a table.

    Args:
        server: warm.
        anchor: who speaks.
        tries: of each.
        text: that is said.
        speech: (N,) at `RATE_HZ`, which is sent in blocks.
    """
    browser_path = find_browser()
    if browser_path is None:
        raise RuntimeError("There is no Chromium; on Debian: apt-get install chromium-headless-shell")
    found: dict[str, list[float]] = {}
    dropped = frames = 0
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=browser_path, args=list(ARGUMENTS))
        opened, connected = [], []
        for _ in range(tries):
            page = browser.new_page()
            live = LivePage(page, server.address, anchor)
            opened.append(live.open())
            live.disconnect()
            connected.append(live.connect())
            live.disconnect()
            page.close()
        found["page (navigation) -> first picture"], found["connect -> first picture"] = opened, connected
        live = LivePage(browser.new_page(), server.address, anchor)
        live.open()
        live.watch()
        time.sleep(1)
        before = live.buffered()
        rest = MouthAtRest(live.watch_for(IDLE_S).mouths)
        after = live.buffered()
        for _ in range(tries):
            for name, value in one_try(live, rest, text, speech).items():
                found.setdefault(name, []).append(value)
        live.say(text * 3)
        time.sleep(1)
        seen = live.watch_for(10)
        gaps = np.round(np.diff(seen.media_s) * 25).astype(int)
        frames, dropped = int(gaps.sum()), int((gaps - 1).clip(0).sum())
        late = server.ask(f"/api/sessions/{live.session}").json()["late_ticks"]
        browser.close()
    rows = [(name, spread(values)) for name, values in found.items()]
    for kind in ("audio", "video"):
        held_s, count = after[kind][0] - before[kind][0], after[kind][1] - before[kind][1]
        held = f"{1000 * held_s / count:.0f} ms, jitter {1000 * after[kind][2]:.0f} ms"
        rows.append((f"{kind} held back by the browser while nobody speaks", held))
    rows.append(("frames not presented while speaking", f"{dropped} of {frames}"))
    rows.append(("frames that the server had late, in all", str(late)))
    return rows


def one_try(live: LivePage, rest: MouthAtRest, text: str, speech: NDArray[np.float32]) -> dict[str, float]:
    """Milliseconds by what they are: of a text, an interrupt, and PCM."""
    made: dict[str, float] = {}
    live.take()
    asked_ms = live.say(text * 3)
    time.sleep(2.5)
    seen = live.take()
    made["text -> first audible sound"] = first(seen.sound_ms, seen.levels > LOUD, asked_ms)
    made["text -> first moving mouth"] = first(seen.frame_ms, lasting(rest.moves(seen.mouths)), asked_ms)
    made["interrupt -> silence"], made["interrupt -> resting mouth"] = after_interrupt(live, rest)
    time.sleep(1)
    live.take()
    lead_s = float(np.flatnonzero(np.abs(speech) > LOUD)[0]) / RATE_HZ
    pcm = (np.clip(speech[: 3 * RATE_HZ], -1, 1) * 32767).astype("<i2").tobytes()
    sent_ms = live.push(pcm, RATE_HZ, BLOCK_S, lead_s)
    time.sleep(2.5)
    seen = live.take()
    made["PCM in -> the same audio"] = first(seen.sound_ms, seen.levels > LOUD, sent_ms)
    made["PCM in -> moving lips"] = first(seen.frame_ms, lasting(rest.moves(seen.mouths)), sent_ms)
    live.interrupt()
    time.sleep(1.5)
    return made


def after_interrupt(live: LivePage, rest: MouthAtRest) -> tuple[float, float]:
    """Milliseconds until the last sound, and until the first frame of a mouth that stays at rest."""
    before = live.take()
    asked_ms = live.interrupt()
    time.sleep(1.5)
    seen = live.take()
    loud = [*before.sound_ms[before.levels > LOUD], *seen.sound_ms[seen.levels > LOUD]]
    silent_ms = max([one for one in loud if one > asked_ms], default=asked_ms)
    moving = seen.frame_ms[rest.moves(seen.mouths) & (seen.frame_ms > asked_ms)]
    after = seen.frame_ms[seen.frame_ms > (moving.max() if len(moving) else asked_ms)]
    return silent_ms - asked_ms, (float(after.min()) if len(after) else np.nan) - asked_ms


def lasting(moves: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(T,) whether a mouth moves from a frame on for `LASTING` frames."""
    padded = np.concatenate([moves, np.zeros(LASTING - 1, bool)])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, LASTING).all(1), np.bool_)


def first(times_ms: NDArray[np.float64], wanted: NDArray[np.bool_], since_ms: float) -> float:
    """Milliseconds until the first time that is wanted; nan where there is none."""
    found = times_ms[wanted & (times_ms >= since_ms)]
    return float(found.min() - since_ms) if len(found) else np.nan


def spread(values: list[float]) -> str:
    """Median, 95th percentile and most, and how many there were not."""
    known = sorted(value for value in values if not np.isnan(value))
    if not known:
        return "never"
    missing = f"; {len(values) - len(known)} not seen" if len(known) < len(values) else ""
    p50, p95 = np.median(known), np.percentile(known, 95)
    return f"p50 {p50:.0f}, p95 {p95:.0f}, most {known[-1]:.0f} ms ({len(known)}){missing}"

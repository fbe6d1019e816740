"""What a server bears: peers that come and go, that vanish, that interrupt, many clients at once, hours of speech.

Used by benchmarks/live.py; each function measures one thing and gives the rows of a table.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from live_peers import LOUD, Watcher
from numpy.typing import NDArray
from serving import Server

from talkinghead.live.session import LiveSession
from talkinghead.live.ticks import AUDIO_RATE_HZ
from talkinghead.server.webrtc import GONE_S

BREAK_TICKS = 15
"""Silence before a sound that is a beginning."""
Rows = list[tuple[str, str]]
LONG_TEXT = "Good evening. It is seven o'clock, and here is the news of the day from around the world. " * 8
SETTLED_ROUNDS = 20
"""Connections before memory is measured: what is loaded once is loaded then."""
CLIP_S = 21.0
"""Length of the built-in anchor's clip, seconds: after it, its idle frames are all rendered, encoded and kept."""


def memory_note(server: Server) -> str:
    return f"{server.memory_mb:.0f} MB, {server.threads} threads, {server.open_files} files"


def connects(server: Server, count: int) -> Rows:
    """So many connects and disconnects, half of which end the session first; memory of the server before and after."""

    async def once(number: int) -> float:
        started_s = time.monotonic()
        session = await asyncio.to_thread(server.open_session)
        watcher = Watcher(server.address, session)
        await watcher.connect()
        await watcher.first_picture()
        took_s = time.monotonic() - started_s
        if number % 2:
            await watcher.close()
        await asyncio.to_thread(server.ask, f"/api/sessions/{session}", None, "DELETE")
        await watcher.close()
        return 1000 * took_s

    async def run() -> Rows:
        session = await asyncio.to_thread(server.open_session)
        watcher = Watcher(server.address, session)
        await watcher.connect()
        end_s = time.monotonic() + 5 * CLIP_S
        while watcher.count < 25 * CLIP_S and time.monotonic() < end_s:  # a busy machine takes longer
            await asyncio.sleep(1)
        await watcher.close()
        await asyncio.to_thread(server.ask, f"/api/sessions/{session}", None, "DELETE")
        for number in range(SETTLED_ROUNDS):
            await once(number)
        before, note, memory = server.memory_mb, memory_note(server), []
        times = []
        for number in range(count):
            times.append(await once(number))
            memory.append(server.memory_mb)
        slope = float(np.polyfit(np.arange(count), memory, 1)[0]) if count > 1 else 0.0
        return [
            (f"connects, each to its first picture, median of {count}", f"{statistics.median(times):.0f} ms"),
            (f"server before (after {SETTLED_ROUNDS} connects)", note),
            (f"server after {count} more", memory_note(server)),
            ("memory grew by", f"{memory[-1] - before:.1f} MB; {100 * slope:.1f} MB per 100 by the slope"),
        ]

    return asyncio.run(run())


def half_open(server: Server, count: int) -> Rows:
    """Peers whose process is killed, offers that nobody goes on with, requests that are never finished."""
    note = memory_note(server)
    session = server.open_session()
    script = Path(__file__).with_name("live_peers.py")
    command = [sys.executable, str(script), server.address, *[session] * count]
    peers = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert peers.stdout is not None and peers.stdout.readline().strip() == "watching"
    peers.kill()
    peers.wait()

    async def offer() -> None:
        for _ in range(count):
            watcher = Watcher(server.address, session)
            await watcher.connect()
            # It never sends a packet: its sockets are closed before the answer is used.
            await watcher.close()

    asyncio.run(offer())
    stalled = []
    for number in range(count):
        stalled.append(socket.create_connection(("127.0.0.1", server.port)))
        head = f"POST /api/sessions HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\ncontent-length: 100\r\n"
        stalled[-1].sendall((head if number % 2 else f"{head}\r\n{{").encode())
    answered = server.ask("/health").status
    offered_s = time.monotonic()
    left, end_s = "", offered_s + 3 * GONE_S
    while time.monotonic() < end_s:
        there = server.ask(f"/api/sessions/{session}").json()["connections"]
        left = f"{there} after {time.monotonic() - offered_s:.0f} s"
        if not there:
            break
        time.sleep(1)
    for one in stalled:
        one.close()
    server.ask(f"/api/sessions/{session}", None, "DELETE")
    time.sleep(1)
    return [
        ("server before", note),
        (f"{count} killed peers, {count} broken offers, {count} unfinished requests: /health answers", str(answered)),
        ("connections of the session that are left", left),
        ("server after", memory_note(server)),
    ]


def interrupts(server: Server, count: int) -> Rows:
    """So many interrupts over WebRTC: from the request until the audio that comes is silent."""

    async def run() -> Rows:
        session = await asyncio.to_thread(server.open_session)
        watcher = Watcher(server.address, session, keep=True)
        await watcher.connect()
        await watcher.first_picture()
        path = f"/api/sessions/{session}"
        times, texts = [], []
        for _ in range(count):
            asked_s = time.monotonic()
            await asyncio.to_thread(server.ask, f"{path}/say", {"text": LONG_TEXT})
            texts.append(1000 * (await watcher.until_sound(lambda level: level > LOUD) - asked_s))
            await asyncio.sleep(0.3)
            asked_s = time.monotonic()
            await asyncio.to_thread(server.ask, f"{path}/interrupt", None, "POST")
            silent_s = await until_silence(watcher, asked_s)
            times.append(1000 * (silent_s - asked_s))
            watcher.pictures.clear()
            del watcher.sounds[:-400]
        state = (await asyncio.to_thread(server.ask, path)).json()
        await watcher.close()
        await asyncio.to_thread(server.ask, path, None, "DELETE")
        tenth = max(1, count // 10)
        first, last = statistics.median(times[:tenth]), statistics.median(times[-tenth:])
        return [
            (f"text -> audible, {count} times", spread(texts)),
            (f"interrupt -> silence, {count} times", spread(times)),
            (f"the first {tenth}, and the last {tenth}", f"{first:.0f}, {last:.0f} ms in the median"),
            ("frames that came late", str(state["late_ticks"])),
            ("server after", memory_note(server)),
        ]

    return asyncio.run(run())


async def until_silence(watcher: Watcher, since_s: float, quiet_s: float = 0.3) -> float:
    """When the last loud block came, once nothing loud has come for `quiet_s`."""
    end_s = time.monotonic() + 20
    last_s = since_s
    while time.monotonic() < end_s:
        loud = [at_s for at_s, _, level in watcher.sounds[-100:] if level > LOUD and at_s >= since_s]
        last_s = max([last_s, *loud])
        if watcher.sounds and watcher.sounds[-1][0] - last_s > quiet_s:
            return last_s
        await asyncio.sleep(0.01)
    raise TimeoutError("It did not fall silent.")


def clients(server: Server, count: int, rounds: int = 10) -> Rows:
    """So many simultaneous HTTP clients, while one session speaks; what they were answered, and how soon."""
    session = server.open_session()
    server.ask(f"/api/sessions/{session}/say", {"text": LONG_TEXT})
    late = server.ask(f"/api/sessions/{session}").json()["late_ticks"]
    paths = ["/", "/health", "/api/anchors", "/api/voices", f"/api/sessions/{session}", "/api/jobs", "/openapi.json"]
    statuses: Counter[int] = Counter()

    def work(number: int) -> list[float]:
        times = []
        for place in range(rounds):
            started_s = time.monotonic()
            if place == rounds // 2:
                answer = server.ask("/api/sessions", {})
                if answer.status == 201:
                    server.ask(f"/api/sessions/{answer.json()['session']}", None, "DELETE")
            else:
                answer = server.ask(paths[(number + place) % len(paths)])
            statuses[answer.status] += 1
            times.append(1000 * (time.monotonic() - started_s))
        return times

    with ThreadPoolExecutor(count) as pool:
        times = [one for some in pool.map(work, range(count)) for one in some]
    state = server.ask(f"/api/sessions/{session}").json()
    server.ask(f"/api/sessions/{session}", None, "DELETE")
    return [
        (f"{count} clients at once, {rounds} requests each", spread(times)),
        ("answers by status", ", ".join(f"{status}: {number}" for status, number in sorted(statuses.items()))),
        ("frames of the session that speaks meanwhile that came late", str(state["late_ticks"] - late)),
        ("server after", memory_note(server)),
    ]


def idle(server: Server, count: int, speaking: int, seconds: float = 20.0) -> Rows:
    """So many sessions at once that are watched, the first few of which speak; processor time of the server."""
    sessions = [server.open_session(wait=False) for _ in range(count)]
    script = Path(__file__).with_name("live_peers.py")
    peers = subprocess.Popen(
        [sys.executable, str(script), server.address, *sessions], stdout=subprocess.PIPE, text=True
    )
    assert peers.stdout is not None and peers.stdout.readline().strip() == "watching"
    first = watched(server, sessions, CLIP_S)
    for session in sessions[:speaking]:
        server.ask(f"/api/sessions/{session}/say", {"text": LONG_TEXT})
    later = watched(server, sessions, seconds)
    peers.kill()
    peers.wait()
    for session in sessions:
        server.ask(f"/api/sessions/{session}", None, "DELETE")
    who = f"{count} sessions, {speaking} of them speaking"
    return [
        (f"{count} sessions, the first {CLIP_S:.0f} s: processor of the server", f"{first[0]:.2f} cores"),
        ("frames that came late", f"{first[1]} of {round(25 * CLIP_S * count)}"),
        (f"{who}: processor of the server", f"{later[0]:.2f} cores"),
        ("a session", f"{later[0] / count:.3f} cores"),
        ("frames that came late", f"{later[1]} of {round(25 * seconds * count)}"),
    ]


def watched(server: Server, sessions: list[str], seconds: float) -> tuple[float, int]:
    """Processor of the server in the next seconds, cores, and frames of its sessions that come late."""

    def late() -> int:
        return sum(server.ask(f"/api/sessions/{session}").json()["late_ticks"] for session in sessions)

    before, before_s, started_s = late(), server.processor_s, time.monotonic()
    time.sleep(seconds)
    share = (server.processor_s - before_s) / (time.monotonic() - started_s)
    return share, late() - before


@dataclass(frozen=True)
class LipOffsets:
    """How far the mouth is behind the audio, at each beginning of sound."""

    at_h: NDArray[np.float64]
    """(S,) hours from the beginning; sounds at the moment of an interrupt do not count."""
    offset_ms: NDArray[np.float64]
    """(S,) from the first sample of the sound to the beginning of the first frame of an open mouth."""
    without_lips: int
    """Sounds beside these, near which no mouth opened."""
    clock_ms: float
    """All audio against all frames at the end."""


def lip_offsets(length_h: float, interrupts: int) -> LipOffsets:
    """Hours of speech as quickly as they can be asked for, with interrupts.

    The anchor is drawn: its picture shows the loudness that drives the mouth, so that picture and audio of every tick
    can be compared. What is pushed are tones of 0.2 s, one a second, three of them ahead.
    """
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    drawn = importlib.import_module("drawn_performer")
    rate_hz, performer = drawn.RATE_HZ, drawn.DrawnPerformer()
    session = LiveSession(performer)
    rng = np.random.default_rng(1)
    frames = round(3600 * length_h * performer.frame_rate)
    interrupted = set(rng.choice(frames, interrupts, replace=False).tolist())
    tone = np.zeros(rate_hz, np.float32)
    tone[rate_hz // 2 : rate_hz // 2 + rate_hz // 5] = 0.5
    openings: list[float] = []
    sounds: list[float] = []
    samples, pushed_s, heard_s, is_open, loud_at = 0, 0.0, 0.0, False, -100
    for number in range(frames):
        now_s = float(number / performer.frame_rate)
        while pushed_s < heard_s + 3:
            session.push(tone, rate_hz)
            pushed_s += 1
        if number in interrupted:
            session.interrupt()
            pushed_s = heard_s = 0.0
        tick = session.next_tick(60)
        assert tick is not None
        heard_s = max(heard_s, tick.position_s)
        if not tick.is_speaking:  # the audio is still on its way: it takes no part of the hurry
            time.sleep(0.002)
        opened, loud = drawn.expression_in(tick.image) > 0.25, bool(np.abs(tick.audio).max() > 0.25)
        if opened and not is_open:
            openings.append(now_s)
        # What goes on after a gap, because it came late, is no beginning.
        if loud and number - loud_at > BREAK_TICKS:
            sounds.append((samples + int(np.flatnonzero(np.abs(tick.audio) > 0.25)[0])) / AUDIO_RATE_HZ)
        is_open, loud_at = opened, number if loud else loud_at
        samples += len(tick.audio)
    session.close()
    # An interrupt just before a tone lets 20 ms of it be heard as they fade, by a mouth that is still at rest.
    cut_s = np.array(sorted(interrupted)) / float(performer.frame_rate)
    lips, audio = np.array(openings), np.array(sounds)
    since_s = audio[:, None] - cut_s
    audio = audio[~((since_s > -0.1) & (since_s < 0.3)).any(1)]
    apart_ms = 1000 * (lips[np.abs(lips[None] - audio[:, None]).argmin(1)] - audio)
    near = np.abs(apart_ms) < 400
    clock_ms = 1000 * (samples / AUDIO_RATE_HZ - float(frames / performer.frame_rate))
    return LipOffsets(audio[near] / 3600, apart_ms[near], int(np.sum(~near)), clock_ms)


def hours(length_h: float, interrupts: int) -> Rows:
    """See `lip_offsets`."""
    found = lip_offsets(length_h, interrupts)
    offset_ms = found.offset_ms
    tenth = max(1, len(offset_ms) // 10)
    first, last = offset_ms[:tenth].mean(), offset_ms[-tenth:].mean()
    return [
        (f"{length_h:g} h, {interrupts} interrupts: sounds", f"{len(offset_ms)}"),
        ("sounds without lips", f"{found.without_lips}"),
        ("lips after the audio, median (a frame lasts 40 ms)", f"{np.median(offset_ms):.1f} ms"),
        ("at least, at most", f"{offset_ms.min():.1f}, {offset_ms.max():.1f} ms"),
        ("the first tenth, the last tenth", f"{first:.2f}, {last:.2f} ms"),
        ("trend", f"{np.polyfit(found.at_h, offset_ms, 1)[0]:.2f} ms an hour"),
        ("samples against frames at the end", f"{found.clock_ms:.2f} ms"),
    ]


def spread(values: list[float]) -> str:
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"{statistics.median(values):.0f} ms, p95 {p95:.0f}, most {max(values):.0f}"


def temporary_server(*options: str) -> Server:
    """A server in a folder of its own, which is left to the system's cleaning."""
    gc.collect()
    return Server(Path(tempfile.mkdtemp(prefix="talkinghead-live-")) / "studio", *options)

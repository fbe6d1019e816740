"""Latency of live sessions: how soon an anchor speaks, falls silent, and whether its frames come when they are due.

    python benchmarks/live.py [--anchor presenter] [--rounds 10] [--minutes 2]

The session is played by the clock of the server, without a network or a browser between them. With any of the following
options, a `talkinghead serve` of its own is measured from outside instead, and what is asked for alone:

    python benchmarks/live.py --browser 10                  # in Chromium, by the pixels of the mouth and the audio
    python benchmarks/live.py --connects 100 --half-open 20 # peers that come and go, and that vanish
    python benchmarks/live.py --interrupts 200 --clients 50
    python benchmarks/live.py --idle 10                     # sessions at once, and then one of them speaking
    python benchmarks/live.py --hours 1 --hour-interrupts 200    # audio against lips, as quickly as it goes
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from harness import machine

from talkinghead import load_anchor
from talkinghead.live.resident import ResidentAnchor
from talkinghead.live.session import LiveSession
from talkinghead.live.stored_images import StoredImage
from talkinghead.live.ticks import Tick
from talkinghead.media.audio_reader import read_audio
from talkinghead.server.player import Player, Subscription
from talkinghead.text_to_speech import Script

TEXT = "Good evening. It is seven o'clock, and here is the news of the day from around the world."
BLOCK_S = 0.04
RATE_HZ = 24_000


async def until(ticks: Subscription, wanted: Callable[[Tick], bool], most_s: float = 30) -> tuple[float, Tick]:
    """When the first tick came that is wanted, on the monotonic clock."""
    async with asyncio.timeout(most_s):
        while True:
            tick = await ticks.ticks.get()
            assert tick is not None
            if wanted(tick):
                return time.monotonic(), tick


def row(name: str, values: list[float], unit: str = "ms") -> None:
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    click.echo(f"| {name} | {statistics.median(values):.0f} | {p95:.0f} | {max(values):.0f} | {unit} |")


async def measure(player: Player, speech: np.ndarray, rounds: int, minutes: float) -> None:
    ticks = player.subscribe()
    session = player.session
    texts, blocks, silences, rests = [], [], [], []
    for _ in range(rounds):
        await until(ticks, lambda tick: tick.number > 25)
        asked_s = time.monotonic()
        session.say(Script(TEXT))
        texts.append(1000 * ((await until(ticks, lambda tick: bool(np.abs(tick.audio).max() > 0.02)))[0] - asked_s))
        await asyncio.sleep(1.2)
        asked_s = time.monotonic()
        session.interrupt()
        silent_s, silent = await until(ticks, lambda tick: not tick.audio.any())
        silences.append(1000 * (silent_s - asked_s))
        # What is kept is the mouth at rest.
        is_at_rest = isinstance(silent.shown, StoredImage)
        rest_s = silent_s if is_at_rest else (await until(ticks, lambda tick: isinstance(tick.shown, StoredImage)))[0]
        rests.append(1000 * (rest_s - asked_s))
        blocks.append(1000 * await stream(session, ticks, speech))
    click.echo(f"\n| {rounds} rounds | median | p95 | most | |\n|---|---|---|---|---|")
    row("text to first audible frame", texts)
    row("PCM to the frame of the same audio", blocks)
    row("interrupt to silence", silences)
    row("interrupt to the resting mouth", rests)
    await keep_up(player, ticks, minutes)


async def stream(session: LiveSession, ticks: Subscription, speech: np.ndarray) -> float:
    """Seconds from a block that is pushed until the tick with its first loud sample comes."""
    length = round(BLOCK_S * RATE_HZ)
    started_s = time.monotonic()
    first_loud = int(np.flatnonzero(np.abs(speech) > 0.02)[0])
    heard_s = asyncio.create_task(until(ticks, lambda tick: bool(np.abs(tick.audio).max() > 0.02)))
    for place, begin in enumerate(range(0, len(speech) - length, length)):
        await asyncio.sleep(max(0.0, started_s + place * BLOCK_S - time.monotonic()))
        session.push(speech[begin : begin + length], RATE_HZ)
        if heard_s.done():
            break
    session.end()
    at_s = (await heard_s)[0]
    session.interrupt()
    pushed_s = started_s + first_loud // length * BLOCK_S
    return at_s - pushed_s


async def keep_up(player: Player, ticks: Subscription, minutes: float) -> None:
    """Speak for minutes; how many ticks were late, and how far the clock of the ticks is from that of the machine."""
    late, dropped = player.late_ticks, ticks.dropped
    started_s, first = await until(ticks, lambda tick: True)
    memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count, drift_ms = 0, 0.0
    while (now_s := time.monotonic()) - started_s < 60 * minutes:
        if not player.session.is_speaking:
            player.session.say(Script(TEXT))
        tick = await ticks.ticks.get()
        assert tick is not None
        count += 1
        drift_ms = 1000 * (now_s - started_s - (tick.number - first.number) / float(player.session.frame_rate))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kb
    click.echo(
        f"\n{minutes:g} min of speech: {count} frames, {player.late_ticks - late} late, "
        f"{ticks.dropped - dropped} dropped; the clock is {drift_ms:.0f} ms late at the end; "
        f"memory grew by {grown / 1024:.0f} MB."
    )


def measure_core(anchor: str, speech: Path | None, rounds: int, minutes: float) -> None:
    """The session alone, see above."""
    resident = ResidentAnchor(load_anchor(anchor))
    click.echo(
        f"{anchor}: {resident.frames_per_second:.0f} frames per second in batches of two; "
        f"{resident.most_sessions} session(s) fit."
    )
    samples = read_audio(speech or resident.anchor.clip, RATE_HZ).samples
    resident.make_idle_ahead().wait()
    started_s = time.monotonic()
    player = Player(LiveSession(resident))

    async def run() -> None:
        subscription = player.subscribe()
        player.start()
        at_s, _ = await until(subscription, lambda tick: True)
        click.echo(f"session to its first frame: {1000 * (at_s - started_s):.0f} ms")
        player.unsubscribe(subscription)
        await measure(player, samples, rounds, minutes)

    asyncio.run(run())
    player.close()


def print_rows(rows: list[tuple[str, str]]) -> None:
    click.echo("\n| | |\n|---|---|")
    for name, value in rows:
        click.echo(f"| {name} | {value} |")


@click.command()
@click.option("--anchor", default="presenter")
@click.option("--speech", type=click.Path(path_type=Path), help="Recording that is pushed in blocks; the anchor's own.")
@click.option("--rounds", default=10)
@click.option("--minutes", default=2.0)
@click.option("--browser", default=0, help="Tries in Chromium.")
@click.option("--connects", default=0, help="WebRTC peers, one after the other.")
@click.option("--half-open", default=0, help="Peers that are killed, offers and requests that break off.")
@click.option("--interrupts", default=0, help="Over WebRTC.")
@click.option("--clients", default=0, help="Simultaneous HTTP clients.")
@click.option("--idle", default=0, help="Sessions that are watched at once.")
@click.option("--hours", default=0.0, help="Of speech, as quickly as it goes; the anchor is drawn.")
@click.option("--hour-interrupts", default=200, help="During those.")
def main(
    anchor: str, speech: Path | None, rounds: int, minutes: float, browser: int, hours: float, hour_interrupts: int,
    **counts: int,
) -> None:  # fmt: skip
    asked = {name: count for name, count in counts.items() if count}
    if not asked and not browser and not hours:
        measure_core(anchor, speech, rounds, minutes)
        return
    # They need aiortc, and playwright for --browser.
    import live_endurance

    click.echo(machine())
    if hours:
        print_rows(live_endurance.hours(hours, hour_interrupts))
    if asked.pop("idle", 0):
        idle = counts["idle"]
        with live_endurance.temporary_server("--idle-sessions", str(idle)) as server:
            server.warm(anchor)
            for speaking in (0, 1):
                print_rows(live_endurance.idle(server, idle, speaking))
    if asked or browser:
        with live_endurance.temporary_server() as server:
            server.warm(anchor)
            for name, count in asked.items():
                print_rows(getattr(live_endurance, name)(server, count))
            if browser:
                import live_browser

                samples = read_audio(speech or load_anchor(anchor).clip, RATE_HZ).samples
                print_rows(live_browser.latencies(server, anchor, browser, TEXT, samples))


if __name__ == "__main__":
    main()

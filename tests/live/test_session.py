"""Live sessions: picture and audio in step, interrupts, and what is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from drawn_performer import DrawnPerformer, expression_in, number_in

from talkinghead.errors import BusyError
from talkinghead.live import session as module
from talkinghead.live.resident import Capacity
from talkinghead.live.session import LiveSession, Played
from talkinghead.live.ticks import AUDIO_RATE_HZ, Event, Tick
from talkinghead.structures import ByteArray, FloatArray
from talkinghead.text_to_speech.speaking import Script


@pytest.fixture
def performer() -> DrawnPerformer:
    return DrawnPerformer()


@pytest.fixture
def session(performer: DrawnPerformer) -> Iterator[LiveSession]:
    session = LiveSession(performer)
    yield session
    session.close()


def take(session: LiveSession, count: int) -> list[Tick]:
    ticks = [session.next_tick(20) for _ in range(count)]
    assert None not in ticks
    return [tick for tick in ticks if tick is not None]


def take_until(session: LiveSession, wanted: Callable[[Tick], bool], most: int = 2000) -> list[Tick]:
    """Ticks to the first that is wanted, at a pace that lets what makes utterances keep up."""
    ticks = []
    for _ in range(most):
        ticks += take(session, 1)
        if wanted(ticks[-1]):
            return ticks
        if not ticks[-1].is_speaking:
            time.sleep(0.002)
    raise AssertionError("It never came.")


def ends(tick: Tick) -> bool:
    return any(event.kind in ("silence", "error") for event in tick.events)


def begins(tick: Tick) -> bool:
    return any(event.kind == "speaking" for event in tick.events)


def recording(path: Path, duration_s: float = 2.0, seed: int = 0) -> tuple[Path, np.ndarray]:
    """A file at the session's rate whose loudness changes every 0.2 s, in the middle of ticks."""
    levels = np.random.default_rng(seed).uniform(0.2, 0.8, round(duration_s / 0.2))
    samples = np.roll(np.repeat(levels, round(0.2 * AUDIO_RATE_HZ)), AUDIO_RATE_HZ // 50).astype(np.float32)
    soundfile.write(path, samples, AUDIO_RATE_HZ, subtype="FLOAT")
    return path, samples


def test_an_idle_anchor_goes_through_its_clip_in_silence(session: LiveSession, performer: DrawnPerformer) -> None:
    ticks = take(session, 50)
    assert [tick.number for tick in ticks] == list(range(50))
    assert [number_in(tick.image) for tick in ticks] == list(range(50))
    assert not any(tick.audio.any() or tick.is_speaking or tick.events for tick in ticks)
    assert performer.rendered == 0
    assert not session.is_speaking


def test_audio_is_whole_and_its_picture_comes_with_it(session: LiveSession, tmp_path: Path) -> None:
    path, samples = recording(tmp_path / "speech.wav")
    assert session.play(path) == 1
    ticks = take_until(session, ends)
    spoken = [tick for tick in ticks if tick.is_speaking]
    np.testing.assert_allclose(np.concatenate([tick.audio for tick in spoken])[: len(samples)], samples, atol=1e-4)
    eased = round(0.2 * 25)
    for tick in spoken[eased:]:
        assert expression_in(tick.image) == pytest.approx(float(np.abs(tick.audio[:10]).mean()), abs=0.02)
    assert spoken[-1].position_s == pytest.approx(2.0, abs=0.05)
    assert [tick.events for tick in ticks if tick.events] == [(Event("speaking", 1),), (Event("silence", 1),)]


def test_what_is_about_to_be_heard_is_not_over(session: LiveSession, tmp_path: Path) -> None:
    session.play(recording(tmp_path / "speech.wav")[0])
    for tick in iter(lambda: take(session, 1)[0], None):
        if ends(tick):
            break
        assert session.is_speaking
        time.sleep(0.01)  # what waits is rendered meanwhile, before it is asked for
        assert session.is_speaking
    assert not session.is_speaking


def test_the_mouth_neither_jumps_at_the_beginning_nor_at_the_end(session: LiveSession, tmp_path: Path) -> None:
    path = tmp_path / "loud.wav"
    soundfile.write(path, np.full(AUDIO_RATE_HZ, 0.8, np.float32), AUDIO_RATE_HZ, subtype="FLOAT")
    session.play(path)
    ticks = [*take_until(session, ends), *take(session, 10)]
    mouth = np.array([expression_in(tick.image) for tick in ticks])
    assert mouth.max() == pytest.approx(0.8, abs=0.01)
    assert np.abs(np.diff(mouth)).max() < 0.4
    assert mouth[-1] == 0


@pytest.mark.parametrize("frame_rate", [Fraction(25), Fraction(30000, 1001), Fraction(24)])
def test_ticks_of_any_rate_stay_in_step(frame_rate: Fraction) -> None:
    session = LiveSession(DrawnPerformer(frame_rate))
    samples = sum(len(tick.audio) for tick in take(session, 300))
    session.close()
    assert abs(samples - 300 / frame_rate * AUDIO_RATE_HZ) <= 1


def test_audio_that_arrives_in_blocks_is_spoken_whole(session: LiveSession) -> None:
    rng = np.random.default_rng(1)
    samples = np.repeat(rng.uniform(0.2, 0.8, 12), 3200).astype(np.float32)  # 2.4 s at 16 kHz
    for block in np.array_split(samples, 60):
        assert session.push(block, 16_000) == 1
    session.end()
    ticks = take_until(session, ends)
    audio = np.concatenate([tick.audio for tick in ticks if tick.is_speaking])
    assert len(audio) == pytest.approx(2.4 * AUDIO_RATE_HZ, abs=AUDIO_RATE_HZ / 25 + 1)
    held = np.repeat(samples, 3)[: len(audio)]
    assert np.median(np.abs(audio[: len(held)] - held)) < 0.01
    for number, tick in enumerate(ticks[:-2]):
        goes_on = number > 8 and all(one.is_speaking for one in ticks[number - 8 : number + 1])
        if goes_on and np.ptp(tick.audio[:960]) < 0.02:
            assert expression_in(tick.image) == pytest.approx(float(np.abs(tick.audio[:960]).mean()), abs=0.05)


def test_audio_that_comes_late_is_waited_for_in_silence_and_lost_nowhere(session: LiveSession) -> None:
    session.push(np.full(16_000, 0.5, np.float32), 16_000)
    first = take_until(session, begins)
    first += take_until(session, lambda tick: not tick.is_speaking)
    assert not any(ends(tick) for tick in first)
    assert session.is_speaking
    session.push(np.full(8_000, 0.5, np.float32), 16_000)
    session.end()
    ticks = first + take_until(session, ends)
    heard = np.concatenate([tick.audio for tick in ticks if tick.is_speaking])
    assert np.count_nonzero(np.abs(heard - 0.5) < 0.01) == pytest.approx(1.5 * AUDIO_RATE_HZ, abs=200)


def test_an_interrupt_falls_silent_at_once_and_the_head_goes_on(session: LiveSession, tmp_path: Path) -> None:
    path, samples = recording(tmp_path / "speech.wav", 4.0)
    session.play(path)
    session.play(path)
    ticks = take_until(session, begins) + take(session, 20)
    heard = np.concatenate([tick.audio for tick in ticks if tick.is_speaking])
    played = session.interrupt()
    assert played == Played(1, pytest.approx(len(heard) / AUDIO_RATE_HZ))
    after = take(session, 30)
    fade = round(0.02 * AUDIO_RATE_HZ)
    assert np.all(np.abs(after[0].audio[:fade]) <= np.abs(samples[len(heard) :][:fade]) + 1e-4)
    assert not after[0].audio[fade:].any()
    assert not any(tick.audio.any() for tick in after[1:])
    assert after[0].events == (Event("silence", 1),)
    assert not any(tick.events for tick in after[1:])
    numbers = [number_in(tick.image) for tick in ticks + after]
    assert numbers == list(range(len(numbers)))
    mouth = np.array([expression_in(tick.image) for tick in [ticks[-1], *after]])
    assert np.abs(np.diff(mouth)).max() < 0.45
    assert mouth[8] == 0
    assert session.interrupt() == Played(0, 0.0)


def test_the_first_tick_after_an_interrupt_is_rendered_alone(
    session: LiveSession, performer: DrawnPerformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.play(recording(tmp_path / "speech.wav", 4.0)[0])
    take_until(session, begins)
    while len(session._ready) <= module.AHEAD - module.BATCH:  # then nothing is being rendered
        time.sleep(0.002)
    batches: list[int] = []
    render = performer.render

    def noted(numbers: Sequence[int], images: Sequence[ByteArray], values: Sequence[FloatArray | None]) -> object:
        batches.append(len(numbers))
        return render(numbers, images, values)

    monkeypatch.setattr(performer, "render", noted)
    session.interrupt()
    take(session, 4)
    assert batches[:2] == [1, module.BATCH]


def test_what_is_said_after_an_interrupt_is_all_that_is_heard(session: LiveSession, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    path, _ = recording(tmp_path / "speech.wav", 4.0)
    ticks: list[Tick] = []
    for _ in range(40):
        session.play(path)
        ticks += take(session, int(rng.integers(0, 12)))
        session.interrupt()
    quiet = tmp_path / "quiet.wav"
    soundfile.write(quiet, np.full(AUDIO_RATE_HZ, 0.1, np.float32), AUDIO_RATE_HZ, subtype="FLOAT")
    number = session.play(quiet)
    ticks += take_until(session, lambda tick: Event("silence", number) in tick.events)
    spoken = [tick for tick in ticks if tick.utterance == number]
    assert sum(len(tick.audio) for tick in spoken) == pytest.approx(AUDIO_RATE_HZ, abs=2000)
    assert max(np.abs(tick.audio).max() for tick in spoken) == pytest.approx(0.1, abs=0.001)
    assert [number_in(tick.image) for tick in ticks] == list(range(len(ticks)))


def test_a_text_is_spoken(session: LiveSession) -> None:
    number = session.say(Script("Good evening. Here is the news."))
    ticks = take_until(session, ends)
    spoken = [tick for tick in ticks if tick.utterance == number]
    assert 1.5 < len(spoken) / 25 < 6
    loud = [tick for tick in spoken if np.abs(tick.audio).max() > 0.05]
    assert len(loud) > 20


def test_what_cannot_be_said_is_told_and_the_next_is_said(session: LiveSession, tmp_path: Path) -> None:
    session.say(Script("Good evening.", voice="nobody"))
    path, _ = recording(tmp_path / "speech.wav", 0.6)
    session.play(path)
    first = take_until(session, ends)[-1].events
    assert first[0].kind == "error"
    assert "no voice nobody" in first[0].message
    if not any(event.kind == "speaking" for event in first):
        take_until(session, begins)
    assert Event("silence", 2) in take_until(session, ends)[-1].events


@pytest.mark.parametrize(
    ("samples", "rate_hz"),
    [(np.zeros(8, np.float32), 4000), (np.full(8, np.nan, np.float32), 16_000), (np.zeros((8, 2)), 16_000)],
)
def test_audio_that_cannot_be_used_is_refused(session: LiveSession, samples: np.ndarray, rate_hz: int) -> None:
    with pytest.raises(ValueError, match="cannot be used|finite"):
        session.push(samples, rate_hz)
    assert not session.is_speaking


def test_one_utterance_has_one_rate(session: LiveSession) -> None:
    session.push(np.zeros(160, np.float32), 16_000)
    with pytest.raises(ValueError, match="end it first"):
        session.push(np.zeros(160, np.float32), 24_000)
    session.end()
    assert session.push(np.zeros(160, np.float32), 24_000) == 2


def test_no_more_sessions_than_the_machine_bears(performer: DrawnPerformer) -> None:
    first = LiveSession(performer)
    with pytest.raises(BusyError):
        LiveSession(performer)
    first.close()
    first.close()
    assert performer.opened[0].is_closed
    assert first.next_tick(1) is None
    with pytest.raises(ValueError, match="closed"):
        first.say(Script("Good evening."))
    LiveSession(performer).close()


def test_no_more_utterances_wait_than_there_is_room_for(session: LiveSession, tmp_path: Path) -> None:
    path, _ = recording(tmp_path / "speech.wav", 1.0)
    with pytest.raises(ValueError, match="wait already"):
        for _ in range(module.MOST_WAITING + 2):
            session.play(path)


def test_a_clip_that_cannot_be_read_ends_the_session(
    performer: DrawnPerformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError("gone")

    monkeypatch.setattr(performer, "render", fails)
    session = LiveSession(performer)
    with pytest.raises(OSError, match="gone"):
        session.next_tick(20)
    session.close()


def test_a_session_takes_its_turn_only_while_it_speaks(tmp_path: Path) -> None:
    performer = DrawnPerformer(most=2)
    performer.most_speaking = 1
    one, other = LiveSession(performer), LiveSession(performer)
    path, _ = recording(tmp_path / "speech.wav", 0.6)
    one.play(path)
    with pytest.raises(BusyError, match="Others"):
        other.play(path)
    with pytest.raises(BusyError, match="Others"):
        other.push(np.zeros(800, np.float32), 16_000)
    one.play(path)
    take_until(one, lambda tick: Event("silence", 2) in tick.events)
    assert performer.speaking == 0
    other.play(path)
    assert performer.speaking == 1
    other.interrupt()
    assert performer.speaking == 0
    one.say(Script("Good evening."))
    one.close()
    other.close()
    assert performer.speaking == 0


def test_capacity_holds_a_turn_for_everybody_unless_told_otherwise() -> None:
    every = Capacity()
    every.enter(0.35, 2)
    every.enter(0.35, 2)
    with pytest.raises(BusyError, match="2 run"):
        every.enter(0.35, 2)
    every.begin_to_speak(0.35, 2)
    every.end_to_speak(0.35)
    every.leave(0.35)
    every.enter(0.35, 2)
    few = Capacity(idle_sessions=3)
    for _ in range(3):
        few.enter(0.5, 1)
    with pytest.raises(BusyError, match="3 live session"):
        few.enter(0.5, 1)
    few.begin_to_speak(0.5, 1)
    with pytest.raises(BusyError, match="when one is silent"):
        few.begin_to_speak(0.5, 1)
    few.end_to_speak(0.5)
    few.begin_to_speak(0.5, 1)

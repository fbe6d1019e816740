"""An anchor driven while the audio arrives, against the same anchor driven by the file."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from speech_models import needs_default_weights

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.generation.driving import expression_from_speech, load_speech_model
from talkinghead.generation.live import LiveStream, stream_expression
from talkinghead.media.audio_reader import read_audio
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.model import SpeechModel
from talkinghead.structures import Audio, FloatArray
from talkinghead.weights.bundled import checkpoint_path

pytestmark = needs_default_weights


@pytest.fixture(scope="module")
def presenter() -> Anchor:
    return load_anchor(checkpoint_path("presenter"))


@pytest.fixture(scope="module")
def with_pause_mouth(presenter: Anchor) -> Anchor:
    """The same person, with a known mouth in pauses."""
    assert presenter.calibration
    pause = np.full(presenter.model.expressions, 0.3, np.float32)
    return dataclasses.replace(presenter, calibration=dataclasses.replace(presenter.calibration, pause=pause))


@pytest.fixture(scope="module")
def default_model(presenter: Anchor) -> SpeechModel:
    return load_speech_model(presenter, None, torch.device("cpu"))


@pytest.fixture(scope="module")
def said(presenter: Anchor) -> FloatArray:
    """Five seconds of the presenter's own voice."""
    return read_audio(presenter.clip, RATE_HZ, longest_s=5.0).samples[: 5 * RATE_HZ]


def live(
    anchor: Anchor, model: SpeechModel, samples: FloatArray, block: int, look_ahead_s: float = 0.26
) -> tuple[FloatArray, FloatArray]:
    """Times and expression of a whole stream."""
    blocks = (samples[start : start + block] for start in range(0, len(samples), block))
    parts = list(stream_expression(anchor, model, blocks, look_ahead_s=look_ahead_s))
    return np.concatenate([part.times_s for part in parts]), np.concatenate([part.values for part in parts])


@pytest.mark.parametrize("name", ["presenter", "with_pause_mouth"])
def test_with_everything_awaited_it_is_the_files_answer(
    request: pytest.FixtureRequest, name: str, default_model: SpeechModel, said: FloatArray
) -> None:
    anchor: Anchor = request.getfixturevalue(name)
    times_s, values = live(anchor, default_model, said, block=len(said), look_ahead_s=100.0)
    whole = expression_from_speech(anchor, default_model, Audio(said, RATE_HZ), times_s)
    assert len(times_s) == 250 and values.shape == whole.shape
    # Weights are rounded to 8 bits, and loudness is measured without the recording's mean.
    opening, expected = anchor.face.opening(values), anchor.face.opening(whole)
    assert np.corrcoef(opening, expected)[0, 1] > 0.999


def test_a_short_look_ahead_stays_near_and_blocks_do_not_matter(
    presenter: Anchor, default_model: SpeechModel, said: FloatArray
) -> None:
    times_s, values = live(presenter, default_model, said, block=640)
    _, others = live(presenter, default_model, said, block=1999)
    np.testing.assert_array_equal(values, others)
    whole = expression_from_speech(presenter, default_model, Audio(said, RATE_HZ), times_s)
    assert np.corrcoef(presenter.face.opening(values), presenter.face.opening(whole))[0, 1] > 0.9


def test_the_latency_is_the_look_ahead_and_a_block(
    presenter: Anchor, default_model: SpeechModel, said: FloatArray
) -> None:
    stream = LiveStream(presenter, default_model)
    parts = [stream.push(said[start : start + 640]) for start in range(0, 25 * 640, 640)]
    given = [(0.04 * number, part.times_s) for number, part in enumerate(parts, 1) if len(part.times_s)]
    assert all(now_s - times_s[-1] == pytest.approx(0.24) for now_s, times_s in given)
    # A moment waits for its look-ahead and for at most one step of 80 ms.
    assert all(now_s - times_s[0] <= 0.30 + 1e-9 for now_s, times_s in given[1:])


def test_the_mouth_stands_still_in_inserted_silence(
    with_pause_mouth: Anchor, default_model: SpeechModel, said: FloatArray
) -> None:
    samples = np.concatenate([said[: 2 * RATE_HZ], np.zeros(3 * RATE_HZ, np.float32), said[2 * RATE_HZ : 3 * RATE_HZ]])
    times_s, values = live(with_pause_mouth, default_model, samples, block=640)
    silent = values[(times_s > 3.6) & (times_s < 4.6)]
    np.testing.assert_allclose(silent, 0.3, atol=1e-6)
    assert with_pause_mouth.face.opening(values[(times_s > 0.5) & (times_s < 1.8)]).std() > 0.01

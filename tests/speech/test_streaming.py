"""Expression predicted while the audio arrives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from speech_models import babble

from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.model import SpeechModel
from talkinghead.speech.streaming import StreamedExpression, stream_expression


@pytest.mark.parametrize("look_ahead_s", [1.5, 3.5])
def test_a_stream_follows_the_prediction_of_the_whole(speech_model: SpeechModel, look_ahead_s: float) -> None:
    """With a look-ahead beyond the reach of encoder and predictor, the two take the same course."""
    encoder, audio = speech_model.encoder, babble(4)
    blocks = [audio.samples[start : start + 3000] for start in range(0, len(audio.samples), 3000)]
    parts = list(stream_expression(speech_model, blocks, look_ahead_s))
    times_s = np.concatenate([part.times_s for part in parts])
    np.testing.assert_allclose(times_s, encoder.first_s + np.arange(len(times_s)) / encoder.rate_hz)
    assert len(times_s) == len(audio.samples) // encoder.front_end.hop
    streamed = np.concatenate([part.expression.values for part in parts])
    whole = speech_model.predict(audio, times_s).values
    # The loudness of the whole is not known while it arrives, so only its course can be the same.
    for ours, theirs in zip(streamed.T, whole.T, strict=True):
        assert np.corrcoef(ours, theirs)[0, 1] > 0.98


def test_the_cut_into_blocks_does_not_matter(speech_model: SpeechModel) -> None:
    samples = babble(3).samples[:-50]
    streams = [
        list(stream_expression(speech_model, [samples[start : start + size] for start in range(0, len(samples), size)]))
        for size in (320, 640, 1600, 7001)
    ]
    first, *others = ([np.concatenate(parts) for parts in _columns(stream)] for stream in streams)
    assert len(first[0]) == len(samples) // 320
    for other in others:
        for ours, theirs in zip(first, other, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def _columns(stream: list[StreamedExpression]) -> tuple[list[np.ndarray], ...]:
    return (
        [part.times_s for part in stream],
        [part.expression.values for part in stream],
        [part.expression.closure for part in stream],
    )


def test_the_first_expression_comes_within_300_ms(speech_model: SpeechModel) -> None:
    arrived_s = 0.0

    def blocks() -> Iterator[np.ndarray]:
        nonlocal arrived_s
        for start in range(0, RATE_HZ, 800):
            arrived_s += 0.05
            yield babble(1).samples[start : start + 800]

    first = next(stream_expression(speech_model, blocks()))
    assert arrived_s <= 0.3 and len(first.times_s) and first.times_s[0] == speech_model.encoder.first_s

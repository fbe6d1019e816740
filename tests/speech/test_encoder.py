"""The speech encoder: time, level, chunks, memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from speech_models import babble, needs_default_weights

from talkinghead.errors import SpeechTooShortError
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.structures import Audio, FloatArray
from talkinghead.weights.bundled import checkpoint_folder


def test_features_move_with_the_audio(encoder: SpeechEncoder) -> None:
    audio = babble(4)
    late = Audio(np.concatenate([np.zeros(320 * 100, np.float32), audio.samples]), RATE_HZ)
    still, moved = encoder.encode(audio).values, encoder.encode(late).values
    assert len(moved) == len(still) + 100
    np.testing.assert_allclose(moved[150:], still[50:], atol=0.05)  # loudness is measured a bit differently


def test_other_sample_rates_give_the_same_times(encoder: SpeechEncoder) -> None:
    features = encoder.encode(babble(3, rate_hz=44100))
    assert features.values.shape == (150, 1, 32) and features.values.dtype == np.float32
    assert features.rate_hz == 50
    assert features.times_s[10] == pytest.approx(0.2)


def test_chunks_equal_the_whole(encoder: SpeechEncoder) -> None:
    audio = babble(31)
    whole = np.concatenate([p.values[p.kept] for p in encoder.pieces(audio, (1, 2), chunk_s=1000)])
    chunks = np.concatenate([p.values[p.kept] for p in encoder.pieces(audio, (1, 2), chunk_s=4)])
    assert whole.shape == chunks.shape == (1550, 2, 32)
    np.testing.assert_allclose(chunks, whole, atol=1e-3)


def test_a_short_first_piece_changes_nothing_but_the_pieces(encoder: SpeechEncoder) -> None:
    audio = babble(31)
    pieces = [p.values[p.kept] for p in encoder.pieces(audio, (1, 2), begins_soon=True)]
    assert len(pieces[0]) == 2 * 50 and all(len(piece) > 10 * 50 for piece in pieces[1:])
    whole = np.concatenate([p.values[p.kept] for p in encoder.pieces(audio, (1, 2), chunk_s=1000)])
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-3)
    # Where the context of the first piece is all there is, two pieces would be more work for nothing.
    assert len(list(encoder.pieces(babble(4), (2,), begins_soon=True))) == 1


@pytest.mark.parametrize("level", [0.05, 4.0])
def test_loudness_does_not_matter(encoder: SpeechEncoder, level: float) -> None:
    audio = babble(3)
    scaled = Audio(audio.samples * level, RATE_HZ)
    np.testing.assert_allclose(encoder.encode(scaled).values, encoder.encode(audio).values, atol=2e-3)


def test_silence_is_encoded(encoder: SpeechEncoder) -> None:
    assert np.isfinite(encoder.encode(Audio(np.zeros(RATE_HZ, np.float32), RATE_HZ)).values).all()


def test_too_short_speech_is_refused(encoder: SpeechEncoder) -> None:
    with pytest.raises(SpeechTooShortError, match=r"0\.10 s"):
        encoder.encode(babble(0.1))
    assert len(encoder.encode(babble(0.2)).values) == 10


def test_memory_does_not_grow_with_the_length(encoder: SpeechEncoder) -> None:
    class Noise:
        """Made as it is read, so that all memory is held by the encoder."""

        def __init__(self, seconds: int) -> None:
            self.rate_hz, self.duration_s = RATE_HZ, float(seconds)

        def blocks(self) -> Iterator[FloatArray]:
            draw = np.random.default_rng(0)
            for _ in range(int(self.duration_s)):
                yield 0.1 * draw.standard_normal(RATE_HZ, np.float32)

    def peak_mb(seconds: int) -> float:
        tracemalloc.start()
        frames = sum(len(piece.values[piece.kept]) for piece in encoder.pieces(Noise(seconds), (2,)))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert frames == 50 * seconds
        return peak / 1e6

    # Threads that other tests have left may allocate at the same time, so the smaller of two measurements counts.
    assert min(peak_mb(600), peak_mb(600)) < 1.1 * peak_mb(60) + 1


@needs_default_weights
def test_default_encoder_shows_no_seam_in_a_minute() -> None:
    encoder, audio = SpeechEncoder.load(checkpoint_folder() / "speech_encoder"), babble(60)
    whole = np.concatenate([p.values[p.kept] for p in encoder.pieces(audio, (1, 3), chunk_s=1000)])
    chunks = [p.values[p.kept] for p in encoder.pieces(audio, (1, 3))]
    assert len(chunks) == 5
    np.testing.assert_allclose(np.concatenate(chunks), whole, atol=1e-3)

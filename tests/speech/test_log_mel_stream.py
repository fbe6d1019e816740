"""Feature frames of audio that is still arriving, against those of the audio so far at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from speech_models import babble

from talkinghead.speech.front_ends import LogMelFrontEnd
from talkinghead.speech.log_mel_stream import LogMelStream

FRONT_END = LogMelFrontEnd()


@pytest.mark.parametrize("block", [1280, 320, 777, 100])
@pytest.mark.parametrize("gain", [1.0, 0.03, 40.0])
def test_frames_are_those_of_the_audio_so_far(block: int, gain: float) -> None:
    samples = babble(1).samples
    samples[4000:6000] = 0  # digital silence
    stream = LogMelStream(FRONT_END)
    for start in range(0, len(samples), block):
        stream.push(samples[start : start + block])
        count = min(start + block, len(samples)) // 320
        assert stream.count == count
        if count:
            first = max(0, count - 12)
            whole = FRONT_END(torch.from_numpy(samples[: 320 * count] * np.float32(gain))[None])[0]
            torch.testing.assert_close(stream.frames(first, gain), whole[first:], atol=2e-4, rtol=0)


def test_what_is_kept_does_not_grow() -> None:
    stream = LogMelStream(FRONT_END)
    for number in range(1, 60):
        stream.push(np.ones(1280, np.float32))
        assert stream.frames(max(0, 4 * number - 12), 1.0).shape == (min(12, 4 * number), FRONT_END.width)
    assert stream._log_power.shape[1] < 40 and len(stream._samples) < 1000

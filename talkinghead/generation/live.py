"""An anchor driven by speech that is still arriving: the same stages as for a file, with a fixed latency."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkinghead.anchor import Anchor
from talkinghead.generation.anchor_driver import AnchorDriver
from talkinghead.generation.driving import calibration_for
from talkinghead.speech.model import SpeechModel
from talkinghead.speech.streaming import LOOK_AHEAD_S, ExpressionStream, Steps, StreamedExpression
from talkinghead.speech.voice_activity import SpeechDetection, VoiceActivityConfig
from talkinghead.structures import FloatArray

HISTORY_S = 20.0
"""Time before the newest sample by which speech is told from silence, seconds: constant work in streams of any length.
"""


@dataclass(frozen=True)
class LiveExpression:
    """Expression of the anchor that a block of audio has completed."""

    times_s: NDArray[np.float64]
    """(T,) float64, seconds from the beginning of the stream, which continue those of the block before."""
    values: FloatArray
    """(T, K) float32, in standard deviations of the face model: what drives the anchor at these times."""


def stream_expression(
    anchor: Anchor,
    speech_model: SpeechModel,
    blocks: Iterable[FloatArray],
    pauses: VoiceActivityConfig | None = None,
    *,
    own_voice: bool = False,
    look_ahead_s: float = LOOK_AHEAD_S,
) -> Iterator[LiveExpression]:
    """Drive an anchor while the audio arrives, and to its end after the last block.

    Args:
        anchor: who speaks.
        speech_model: see `driving.load_speech_model`.
        blocks: (N,) float32 at 16 kHz each, of any length.
        pauses: how the mouth comes to rest where nobody speaks; None is the default.
        own_voice: whether the anchor speaks.
        look_ahead_s: audio after a moment that is waited for before its expression is given, seconds.

    Yields:
        After every block that completes a step of `streaming.STEP_S`, the expression since the block before.

    Raises:
        ModelUnavailableError: the encoder's output is not finite; the voice activity detector is missing.
        CheckpointError: the anchor's adaptation does not fit the speech model.
    """
    stream = LiveStream(anchor, speech_model, pauses, own_voice=own_voice, look_ahead_s=look_ahead_s)
    for block in blocks:
        if len((part := stream.push(block)).times_s):
            yield part
    if len((part := stream.finish()).times_s):
        yield part


class LiveStream:
    """Drives an anchor by audio that is pushed block by block; one for each utterance or connection."""

    def __init__(
        self,
        anchor: Anchor,
        speech_model: SpeechModel,
        pauses: VoiceActivityConfig | None = None,
        *,
        own_voice: bool = False,
        look_ahead_s: float = LOOK_AHEAD_S,
    ) -> None:
        """Args and errors: as in `stream_expression`."""
        pauses = pauses or VoiceActivityConfig()
        calibration = calibration_for(anchor, speech_model)
        self._driver = AnchorDriver.prepare(anchor, speech_model, calibration, pauses, own_voice=own_voice)
        self._gate = self._driver.pause_gate()
        self._detection = SpeechDetection(pauses, HISTORY_S)
        self._expression = ExpressionStream(self._driver.speech_model, look_ahead_s)
        self._steps = Steps()

    def push(self, block: FloatArray) -> LiveExpression:
        """Take the next samples, (N,) float32 at 16 kHz, and give what they complete, which may be nothing.

        Raises:
            ModelUnavailableError: the encoder's output is not finite.
        """
        parts = []
        # Step by step, so that the result does not depend on the lengths of the blocks.
        for step in self._steps.push(block):
            self._detection.push(step)
            parts.append(self._driven(self._expression.push(step), *self._detection.so_far()))
        return self._joined(parts)

    def finish(self) -> LiveExpression:
        """Expression up to the end of the audio. Nothing may be pushed afterwards."""
        rest = self._steps.rest()
        self._detection.push(rest)
        parts = [self._expression.push(rest), self._expression.finish()]
        stretches = self._detection.finish()
        return self._joined([self._driven(part, stretches, np.inf) for part in parts])

    def _driven(self, predicted: StreamedExpression, stretches: NDArray[np.float64], known_s: float) -> LiveExpression:
        """Expression of the anchor, by the stretches of speech that are known until a time in seconds."""
        weight = self._gate.weights(stretches, predicted.times_s, known_s)
        return LiveExpression(predicted.times_s, self._driver.expression(predicted.expression, weight))

    def _joined(self, parts: list[LiveExpression]) -> LiveExpression:
        """Several parts as one."""
        nothing = LiveExpression(np.zeros(0), np.zeros((0, len(self._driver.pause)), np.float32))
        return LiveExpression(
            np.concatenate([nothing.times_s, *(part.times_s for part in parts)]),
            np.concatenate([nothing.values, *(part.values for part in parts)]),
        )

"""From predictions of a speech model to the expression of one anchor, the same for files and for live audio.

Predicted, normalized expression is mapped to the anchor's own; the lips are closed where p, b or m is predicted; in
pauses the mouth goes to where this person has it then.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from talkinghead.anchor import Anchor
from talkinghead.face.face_model import PersonFace
from talkinghead.speech.adaptation import OTHER_VOICE, OWN_VOICE
from talkinghead.speech.articulation import KnownPhones
from talkinghead.speech.calibration import SpeechCalibration
from talkinghead.speech.lip_closure import KNOWN_LEVELS, OTHER_VOICE_LEVELS, close_lips
from talkinghead.speech.model import PredictedExpression, SpeechModel
from talkinghead.speech.voice_activity import PauseGate, VoiceActivityConfig
from talkinghead.structures import FloatArray

LONG_PAUSE_S = 1.6
"""Least length of a pause in which the mouth is taken to the person's own pause mouth. In shorter ones the predictor
leads, which has learned from people who breathe and get ready to speak in them: in pauses of 1 to 1.6 s it moved as
much as real mouths do in theirs, and a constant mouth agreed less with the opening of two people of three."""
SYNTHETIC_PAUSE_S = 0.3
"""The same for text-to-speech."""
LONG_PAUSE_RAMP_MS = 400.0
"""Time in which the mouth gets there and comes back, and lead before the speech."""
ASSUMED_PAUSE_S = 1.1
"""Length from which a pause of which the end is not known is taken for a long one, seconds."""


@dataclass(frozen=True)
class AnchorDriver:
    """What it takes to drive one anchor by one voice."""

    speech_model: SpeechModel
    """Adapted to the anchor, where the anchor has an adaptation."""
    to_anchor: Callable[[FloatArray], FloatArray]
    """From what `speech_model` predicts, (T, outputs), to the anchor's expression (T, K), in standard deviations of the
    face model."""
    face: PersonFace
    """The anchor's."""
    own: FloatArray
    """(N, K) expression measured in the anchor's clip."""
    closing: tuple[float, float] | None
    """See `lip_closure.CLOSING_LEVELS`."""
    pause: FloatArray
    """(K,) expression in pauses."""
    pauses: VoiceActivityConfig
    """Ramps of the gate."""
    shortest_pause_s: float
    """Least length of a pause in which the mouth goes to `pause`, seconds."""

    @classmethod
    def prepare(
        cls,
        anchor: Anchor,
        speech_model: SpeechModel,
        calibration: SpeechCalibration,
        pauses: VoiceActivityConfig,
        *,
        own_voice: bool,
        phones: KnownPhones | None = None,
    ) -> AnchorDriver:
        """Choose what fits anchor and voice.

        Args:
            anchor: who is driven.
            speech_model: any that fits the anchor.
            calibration: of the anchor, for this speech model.
            pauses: how the mouth comes to rest where nobody speaks.
            own_voice: whether the anchor speaks.
            phones: that are spoken, where they are known.

        Raises:
            CheckpointError: the anchor's adaptation does not fit the speech model.
        """
        to_anchor: Callable[[FloatArray], FloatArray] = calibration.apply
        heard, adaptation = calibration.closing, anchor.adaptation
        if adaptation is not None and adaptation.is_for(speech_model):
            speech_model = adaptation.applied(speech_model, OWN_VOICE if own_voice else OTHER_VOICE)
            to_anchor, heard = adaptation.apply, adaptation.closing
        # A synthetic voice neither breathes nor gets ready to speak: in its pauses there is nothing to show.
        is_synthetic = phones is not None and phones.is_synthetic
        shortest_pause_s = SYNTHETIC_PAUSE_S if is_synthetic else LONG_PAUSE_S
        if pauses == VoiceActivityConfig() and not is_synthetic:  # nobody asked for other times
            ramp_ms = LONG_PAUSE_RAMP_MS
            pauses = dataclasses.replace(pauses, attack_ms=ramp_ms, release_ms=ramp_ms, lead_ms=ramp_ms)
        return cls(
            speech_model,
            to_anchor,
            face=anchor.face,
            own=anchor.trained.expression[anchor.trained.valid],
            # How surely closures are heard in the anchor's own voice says nothing of others. Known phones are sure.
            closing=KNOWN_LEVELS if phones is not None else heard if own_voice else OTHER_VOICE_LEVELS,
            pause=anchor.rest_expression() if calibration.pause is None else calibration.pause,
            pauses=pauses,
            shortest_pause_s=shortest_pause_s,
        )

    def pause_gate(self) -> PauseGate:
        """A gate for one recording or stream."""
        return PauseGate(self.pauses, self.shortest_pause_s, min(self.shortest_pause_s, ASSUMED_PAUSE_S))

    def expression(self, predicted: PredictedExpression, weight: FloatArray) -> FloatArray:
        """Expression of the anchor.

        Args:
            predicted: at T times, by `speech_model`.
            weight: (T,) of the predicted movement, by `pause_gate`.

        Returns:
            (T, K) float32, in standard deviations of the face model.
        """
        mapped = self.to_anchor(predicted.values)
        driven = close_lips(mapped, predicted.closure, self.face, self.own, self.closing)
        return np.asarray(weight[:, None] * driven + (1 - weight[:, None]) * self.pause, np.float32)

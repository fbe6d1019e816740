"""Frames of a clip driven by its own speech: they follow its mouth, and where there is no speech it is said."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media_files import steady_times, write_clip

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.errors import CheckpointError
from talkinghead.speech.calibration import SpeechCalibration
from talkinghead.speech.model import SpeechModel
from talkinghead.training.face_update.own_speech import NO_MODEL, NO_SPEECH, OwnSpeech, drive_by_own_speech

pytestmark = pytest.mark.usefixtures("own_caches")

FRAMES = np.arange(0, 504, 2)


@pytest.fixture(scope="module")
def presenter() -> Anchor:
    return load_anchor("presenter")


def driven(anchor: Anchor, clip: Path, calibration: SpeechCalibration | None) -> OwnSpeech:
    return drive_by_own_speech(clip, anchor.face, anchor.reconstruction, anchor.network, calibration, FRAMES)


def test_driven_frames_follow_the_clips_mouth(presenter: Anchor) -> None:
    speech = driven(presenter, presenter.clip, presenter.calibration)
    assert speech.expression is not None and speech.expression.shape == (len(FRAMES), presenter.model.expressions)
    found = presenter.face.opening(speech.expression)
    measured = presenter.face.opening(presenter.reconstruction.expression[FRAMES])
    assert np.corrcoef(found, measured)[0, 1] > 0.6


def test_a_clip_that_speech_cannot_drive_says_why(
    presenter: Anchor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibration = presenter.calibration
    assert calibration is not None
    unfitted = dataclasses.replace(calibration, lag_s=None, r=None)
    assert driven(presenter, presenter.clip, unfitted) == OwnSpeech(None, NO_SPEECH)
    assert driven(presenter, presenter.clip, None) == OwnSpeech(None, NO_MODEL)
    silent = write_clip(tmp_path / "silent.mp4", steady_times(5, Fraction(25)), Fraction(25))
    assert driven(presenter, silent, calibration) == OwnSpeech(None, NO_SPEECH)

    def missing() -> None:
        raise CheckpointError("no weights")

    monkeypatch.setattr(SpeechModel, "load", missing)
    assert driven(presenter, presenter.clip, calibration) == OwnSpeech(None, NO_MODEL)

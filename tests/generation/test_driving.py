"""Where the expression comes from: the speech model for an anchor, its calibration, and how often audio is read."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from speech_models import needs_default_weights

from talkinghead.anchor import Anchor
from talkinghead.errors import CheckpointError, OptionError, TableError
from talkinghead.files import load_arrays, save_arrays
from talkinghead.generation import anchor_driver, driving
from talkinghead.generation.config import GenerationConfig
from talkinghead.generation.driving import (
    adaptation_used,
    calibration_for,
    expression_from_speech,
    load_speech_model,
)
from talkinghead.generation.known_speech import known_speech
from talkinghead.generation.pipeline import generate
from talkinghead.media.audio_reader import AudioFile, read_audio
from talkinghead.speech import calibration as calibration_module
from talkinghead.speech.adaptation import SpeechAdaptation
from talkinghead.speech.articulation import KnownPhones
from talkinghead.speech.calibration import SpeechCalibration
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.lip_closure import OTHER_VOICE_LEVELS
from talkinghead.speech.model import SpeechModel
from talkinghead.speech.phone_times import write_phone_times
from talkinghead.speech.voice_activity import VoiceActivityConfig
from talkinghead.structures import Audio, FloatArray
from talkinghead.text_to_speech import Phone
from talkinghead.text_to_speech.speech_file import SpokenFile

pytestmark = pytest.mark.usefixtures("own_caches")


def _phones(audio: Path, spoken: SpokenFile | None, config: GenerationConfig, duration_s: float) -> KnownPhones | None:
    return known_speech(AudioFile(audio), spoken, config, duration_s).phones


def named(encoder: str, predictor: str) -> Any:
    """In a speech model's place: its hashes."""
    return SimpleNamespace(
        encoder=SimpleNamespace(sha256=encoder),
        predictor_sha256=predictor,
        sha256=f"{encoder} {predictor}",
    )


def calibration_of(expressions: int, seed: int, encoder: str = "e", predictor: str = "p") -> SpeechCalibration:
    draw = np.random.default_rng(seed)
    matrix = draw.normal(size=(expressions, expressions)).astype(np.float32)
    offset = draw.normal(size=expressions).astype(np.float32)
    return SpeechCalibration(matrix, offset, 0.02, 0.9, encoder, predictor)


class Calibrations:
    """In the place of `calibrate`: a new random calibration at each call, with the calls counted."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(
        self, clip: Path, face: object, reconstruction: object, speech_model: Any, tracks: object
    ) -> SpeechCalibration:
        self.calls += 1
        hashes = speech_model.encoder.sha256, speech_model.predictor_sha256
        return calibration_of(face.model.expressions, self.calls, *hashes)  # type: ignore[attr-defined]


@pytest.fixture
def fitted(own_caches: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calibrations:
    """Calibrations are counted, and kept in an empty cache, `tmp_path`/cache."""
    calibrations = Calibrations()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(driving, "calibrate", calibrations)
    return calibrations


def with_calibration(anchor: Anchor) -> Anchor:
    return dataclasses.replace(anchor, calibration=calibration_of(anchor.model.expressions, 99))


def test_a_stored_calibration_is_used_without_reading_the_clips_audio(
    anchor: Anchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object, **options: object) -> None:
        raise AssertionError("the clip's audio is read")

    monkeypatch.setattr(calibration_module, "read_audio", fail)
    own = with_calibration(anchor)
    assert calibration_for(own, named("e", "p")) is own.calibration


@pytest.mark.parametrize(("encoder", "predictor"), [("other", "p"), ("e", "other")])
def test_a_calibration_for_other_hashes_is_fitted_once_and_cached(
    anchor: Anchor, fitted: Calibrations, encoder: str, predictor: str
) -> None:
    own, speech_model = with_calibration(anchor), named(encoder, predictor)
    first = calibration_for(own, speech_model)
    again = calibration_for(own, speech_model)
    assert fitted.calls == 1
    assert first.is_for(speech_model) and again.is_for(speech_model)
    np.testing.assert_array_equal(first.matrix, again.matrix)
    np.testing.assert_array_equal(first.offset, again.offset)
    assert (first.lag_s, first.r) == (again.lag_s, again.r)
    calibration_for(own, named("a third", predictor))
    assert fitted.calls == 2


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_cache_entry_is_fitted_anew(
    anchor: Anchor, fitted: Calibrations, tmp_path: Path, damage: bytes | None
) -> None:
    own, speech_model = dataclasses.replace(anchor, calibration=None), named("e", "p")
    calibration_for(own, speech_model)
    (entry,) = (tmp_path / "cache").rglob("*.safetensors")
    if damage is None:
        arrays, metadata = load_arrays(entry)
        save_arrays(entry, arrays | {"matrix": np.full_like(arrays["matrix"], np.nan)}, metadata)
    else:
        entry.write_bytes(damage)
    second, third = (calibration_for(own, speech_model) for _ in range(2))
    np.testing.assert_array_equal(second.matrix, third.matrix)
    assert fitted.calls == 2


def test_a_cache_that_cannot_be_written_costs_time_only(anchor: Anchor, fitted: Calibrations, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file, not a folder")
    for call in (1, 2):
        found = calibration_for(dataclasses.replace(anchor, calibration=None), named("e", "p"))
        assert fitted.calls == call and found.is_for(named("e", "p"))


@needs_default_weights
def test_training_stores_the_calibration_of_the_installed_speech_model(anchor: Anchor) -> None:
    assert anchor.calibration is not None and anchor.calibration.is_for(SpeechModel.load())


@needs_default_weights
def test_a_predictor_for_another_face_model_is_refused(anchor: Anchor) -> None:
    with pytest.raises(CheckpointError, match="another face model"):
        load_speech_model(dataclasses.replace(anchor, face_model_sha256="0" * 64), None, torch.device("cpu"))


@needs_default_weights
@pytest.mark.parametrize(("own_voice", "expected"), [(True, None), (False, OTHER_VOICE_LEVELS)])
def test_the_levels_of_closing_are_for_the_anchors_own_voice(
    anchor: Anchor,
    speech: Path,
    monkeypatch: pytest.MonkeyPatch,
    own_voice: bool,
    expected: tuple[float, float] | None,
) -> None:
    used = set()

    def recorded(expression: FloatArray, *given: Any) -> FloatArray:
        used.add(given[-1])
        return expression

    monkeypatch.setattr(anchor_driver, "close_lips", recorded)
    speech_model = SpeechModel.load()
    calibration = dataclasses.replace(calibration_for(anchor, speech_model), closing=None)
    expression_from_speech(
        dataclasses.replace(anchor, calibration=calibration, adaptation=None),
        speech_model,
        read_audio(speech),
        np.arange(25) / 25,
        own_voice=own_voice,
    )
    assert used == {expected}


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
    """How often each audio file was begun to be read."""
    counts: Counter[Path] = Counter()
    blocks = AudioFile.blocks

    def counted(self: AudioFile) -> Iterator[FloatArray]:
        counts[self.path] += 1
        yield from blocks(self)

    monkeypatch.setattr(AudioFile, "blocks", counted)
    return counts


@needs_default_weights
def test_speech_is_read_once_to_be_analyzed_and_once_to_be_encoded(
    anchor: Anchor, speech: Path, tmp_path: Path, readings: Counter[Path]
) -> None:
    """The writer reads it once more in stereo, not through `AudioFile`; the anchor's own clip is not read."""
    generate(anchor, speech, tmp_path / "output.mp4", device="cpu")
    assert readings == {speech: 2}


def test_speech_under_a_coefficient_file_is_read_for_its_length_alone(
    anchor: Anchor, speech: Path, expression_file: Path, tmp_path: Path, readings: Counter[Path]
) -> None:
    """The reading that finds its length, and whether its channels cancel each other, is not through `blocks`."""
    generate(anchor, speech, tmp_path / "output.mp4", expression=expression_file, device="cpu")
    assert not readings


@needs_default_weights
def test_an_adaptation_for_another_predictor_is_reported_and_not_used(anchor: Anchor) -> None:
    speech_model = SpeechModel.load()
    expressions, hashes = anchor.model.expressions, (speech_model.encoder.sha256, speech_model.predictor.sha256())
    matrix, offset = np.zeros((2 * expressions, expressions), np.float32), np.zeros(expressions, np.float32)
    own = SpeechAdaptation({}, matrix, offset, 0.8, 0.7, *hashes)
    for adaptation, own_voice, expected in (
        (None, True, "none"),
        (own, True, "whole"),
        (own, False, "half"),
        (dataclasses.replace(own, predictor_sha256="0" * 64), True, "outdated"),
    ):
        adapted = dataclasses.replace(anchor, adaptation=adaptation)
        assert adaptation_used(adapted, speech_model, own_voice) == expected


def test_phones_come_from_the_engine_or_the_user(tmp_path: Path) -> None:
    """Those of a transcript are aligned, and so are not an engine's."""
    phones = (Phone("b", 0.0, 0.1), Phone("ɑ", 0.1, 0.3))
    table = tmp_path / "phones.tsv"
    write_phone_times(table, phones)
    told = _phones(tmp_path / "speech.wav", SpokenFile({}, phones), GenerationConfig(), 1.0)
    read = _phones(tmp_path / "speech.wav", None, GenerationConfig(phones=table), 1.0)
    assert told == read == KnownPhones(phones, is_synthetic=True)
    assert _phones(tmp_path / "speech.wav", None, GenerationConfig(), 1.0) is None
    assert _phones(tmp_path / "speech.wav", SpokenFile({}, None), GenerationConfig(), 1.0) is None
    with pytest.raises(OptionError, match="not both"):
        GenerationConfig(phones=table, transcript=table)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("0 0.1 b\n0.1 3.0 a\n", "another one"), ("0 0.5 sil\n", "pauses only"), ("0 0.1 7\n0.1 0.2 %\n", "not in IPA")],
)
def test_phones_that_do_not_fit_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    table = tmp_path / "phones.txt"
    table.write_text(text)
    with pytest.raises(TableError, match=reason):
        _phones(tmp_path / "speech.wav", None, GenerationConfig(phones=table), 1.0)


def test_a_table_in_any_order_gives_phones_in_that_of_time(tmp_path: Path) -> None:
    table = tmp_path / "phones.txt"
    table.write_text("0.2 0.4 a\n0.0 0.3 B\n0.4 0.5 sp\n")
    found = _phones(tmp_path / "speech.wav", None, GenerationConfig(phones=table), 1.0)
    assert found is not None and found.phones == (Phone("B", 0.0, 0.2), Phone("a", 0.2, 0.4))


@needs_default_weights
def test_known_phones_close_the_lips_where_the_sound_says_nothing(anchor: Anchor) -> None:
    """A hum, of which two tenths of a second are said to be an m, by an engine that knows."""
    hum = Audio(0.1 * np.sin(np.arange(2 * RATE_HZ) * 0.05).astype(np.float32), RATE_HZ)
    times_s, speech_model = np.arange(50) / 25, SpeechModel.load()
    phones = KnownPhones((Phone("ɑ", 0.0, 0.9), Phone("m", 0.9, 1.1), Phone("ɑ", 1.1, 2.0)), is_synthetic=True)
    driver = anchor_driver.AnchorDriver.prepare(
        anchor,
        speech_model,
        calibration_for(anchor, speech_model),
        VoiceActivityConfig(),
        own_voice=False,
        phones=phones,
    )
    predicted = driver.speech_model.predict(hum, times_s, phones)
    opening = anchor.face.opening(driver.expression(predicted, np.ones(50, np.float32)))
    own = anchor.face.opening(anchor.reconstruction.expression[anchor.reconstruction.valid])
    low, high = np.quantile(own, [0.02, 0.98])
    assert (opening[(times_s > 0.9) & (times_s < 1.06)] < low + 0.15 * (high - low)).all()
    assert opening[(times_s > 0.3) & (times_s < 0.7)].mean() > low + 0.25 * (high - low)

"""The speech model: encoder and predictor belong together, and predict the same however the audio is cut."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from speech_models import K, babble, make_predictor, needs_default_weights

from talkinghead.errors import CheckpointError
from talkinghead.face.face_model import load_face_model
from talkinghead.files import load_arrays, sha256_of
from talkinghead.media.audio_reader import AudioFile, read_audio
from talkinghead.media.audio_writer import write_audio
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.loudness import integrated_lufs
from talkinghead.speech.model import PREDICTOR_FILE, SpeechModel
from talkinghead.speech.predictor import ExpressionPredictor, PredictorConfig
from talkinghead.structures import Audio
from talkinghead.text_to_speech.hibari import HibariEngine
from talkinghead.weights.bundled import checkpoint_folder


def test_prediction_in_pieces_equals_prediction_of_the_whole(encoder: SpeechEncoder, speech_model: SpeechModel) -> None:
    audio = babble(45)
    features = encoder.encode(audio, (1, 2))
    with torch.no_grad():
        whole = speech_model.predictor(torch.from_numpy(features.values)[None])[0].numpy()
    pieces = speech_model.predict(audio, features.times_s).values
    np.testing.assert_allclose(pieces, whole, atol=1e-3)


def test_parts_come_as_they_are_encoded(encoder: SpeechEncoder, speech_model: SpeechModel) -> None:
    """Each comes before the next stretch is encoded, and together they are the curves of the whole recording."""
    audio = babble(45)
    times_s = np.arange(46 * 24) / 23.976
    parts, encoded = [], []
    encode = encoder._encode_chunk
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "_encode_chunk", lambda *given: encoded.append(given) or encode(*given))
        for part in speech_model.predict_parts(audio, times_s):
            parts.append(part)
            assert len(encoded) == min(len(parts), 5)
    # The first part is short, so that the first frames can be made soon.
    assert 40 < len(parts[0].values) < 50 and all(len(part.values) > 200 for part in parts[1:5])
    features = encoder.encode(audio, (1, 2))
    with torch.no_grad():
        whole = speech_model.predictor(torch.from_numpy(features.values)[None])[0].numpy()
    expected = np.stack([np.interp(times_s, features.times_s, curve) for curve in whole.T], 1)
    np.testing.assert_allclose(np.concatenate([part.values for part in parts]), expected, atol=1e-3)


def test_expression_is_sampled_at_the_frames_own_times(speech_model: SpeechModel) -> None:
    audio = babble(2)
    at_frames = speech_model.predict(audio, np.arange(100) / 50).values
    between = speech_model.predict(audio, np.arange(99) / 50 + 0.005).values
    np.testing.assert_allclose(between, 0.75 * at_frames[:-1] + 0.25 * at_frames[1:], atol=1e-5)
    assert speech_model.predict(audio, np.arange(60) / 23.976).values.shape == (60, K)


def test_a_predictor_of_another_encoder_is_refused(encoder: SpeechEncoder) -> None:
    config = PredictorConfig("other", "0" * 64, "face", (1,), encoder.width, K, components=8)
    with pytest.raises(CheckpointError, match="was trained on the speech encoder other"):
        SpeechModel(encoder, ExpressionPredictor(config))


def test_a_predictor_that_names_layers_its_encoder_lacks(encoder: SpeechEncoder) -> None:
    config = PredictorConfig(encoder.name, encoder.sha256, "face", (1, 7), encoder.width, K, components=8)
    with pytest.raises(CheckpointError, match="does not fit its encoder"):
        SpeechModel(encoder, ExpressionPredictor(config))


def test_the_predictor_in_the_encoders_folder_is_taken(
    encoder_folder: Path, encoder: SpeechEncoder, tmp_path: Path
) -> None:
    folder = shutil.copytree(encoder_folder, tmp_path / "encoder")
    predictor = make_predictor(encoder)
    predictor.save(folder / PREDICTOR_FILE)
    loaded = SpeechModel.load(str(folder))
    assert loaded.encoder.sha256 == encoder.sha256
    assert loaded.predictor.sha256() == predictor.sha256()
    audio, times_s = babble(1), np.arange(25) / 25
    expected = SpeechModel(encoder, predictor).predict(audio, times_s)
    np.testing.assert_array_equal(loaded.predict(audio, times_s).values, expected.values)


@needs_default_weights
def test_the_bundled_predictor_is_refused_for_another_encoder(other_folders: Path) -> None:
    with pytest.raises(CheckpointError, match="--encoder hubert") as raised:
        SpeechModel.load(str(other_folders / "hubert"))
    assert "\n" not in str(raised.value)


def test_the_hash_is_of_both(encoder: SpeechEncoder, speech_model: SpeechModel) -> None:
    other = make_predictor(encoder)
    assert SpeechModel(encoder, other).sha256 == speech_model.sha256
    other.feature_mean += 1
    assert SpeechModel(encoder, other).sha256 != speech_model.sha256


@needs_default_weights
def test_default_encoder_and_predictor_fit_together() -> None:
    checkpoints = checkpoint_folder()
    speech_model = SpeechModel.load()
    predictor = speech_model.predictor
    assert sum(file.stat().st_size for file in (checkpoints / "speech_encoder").iterdir()) < 28e6
    arrays, _ = load_arrays(checkpoints / "speech_encoder" / "model.safetensors")
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float16)}
    assert predictor.config.face_model_sha256 == sha256_of(checkpoints / "face_model.safetensors")
    expression = speech_model.predict(babble(3), np.arange(75) / 25).values
    assert expression.shape == (75, predictor.config.expressions) and np.isfinite(expression).all()


@needs_default_weights
@pytest.mark.parametrize("ceiling", [4.0, 1.0])
def test_the_same_words_at_minus_40_and_minus_10_lufs_move_the_mouth_alike(ceiling: float) -> None:
    """At a ceiling of 1, which is full scale, the loud one is clipped as a file would be."""
    speech_model = SpeechModel.load()
    model = load_face_model(checkpoint_folder() / "face_model.safetensors")
    spoken = HibariEngine().speak("My mother bought five big apples and a pound of butter for Bob.", "hibari").audio
    own = integrated_lufs(spoken.samples, spoken.rate_hz)
    assert own is not None
    times_s = np.arange(0.0, spoken.duration_s, 0.04)
    openings = []
    for lufs in (-40.0, -10.0):
        samples = (spoken.samples * 10 ** ((lufs - own) / 20)).clip(-ceiling, ceiling)
        expression = speech_model.predict(Audio(samples, spoken.rate_hz), times_s).values
        openings.append(model.of(np.zeros(model.identities, np.float32)).opening(expression))
    quiet, loud = openings
    assert np.corrcoef(quiet, loud)[0, 1] > 0.95
    assert 0.9 < quiet.std() / loud.std() < 1.1


@needs_default_weights
def test_the_prediction_does_not_depend_on_the_time_in_the_recording() -> None:
    speech_model = SpeechModel.load()
    sentence, other = babble(4, seed=1).samples, babble(3, seed=2).samples
    samples = 1e-4 * np.random.default_rng(0).standard_normal(50 * RATE_HZ).astype(np.float32)
    samples[: len(other)] += other
    places_s = (10.0, 37.24)
    around_s = 8.0  # what comes before and after has to be the same too
    first = round((places_s[0] - around_s) * RATE_HZ)
    stretch = samples[first : first + round((4 + 2 * around_s) * RATE_HZ)].copy()
    stretch[round(around_s * RATE_HZ) :][: len(sentence)] += sentence
    for place_s in places_s:
        begin = round((place_s - around_s) * RATE_HZ)
        samples[begin : begin + len(stretch)] = stretch
    inside_s = np.arange(0, 4, 0.02)
    audio = Audio(samples, RATE_HZ)
    one, two = (speech_model.predict(audio, p + inside_s).values for p in places_s)
    assert one.std() > 0.1
    np.testing.assert_allclose(one, two, atol=1e-3)


@needs_default_weights
def test_a_file_read_in_blocks_is_predicted_as_the_whole(tmp_path: Path) -> None:
    write_audio(tmp_path / "speech.wav", [babble(45, rate_hz=22050)])
    speech_model = SpeechModel.load()
    times_s = np.arange(0, 45, 0.04)
    file = AudioFile(tmp_path / "speech.wav")
    whole = read_audio(tmp_path / "speech.wav")
    assert file.duration_s == whole.duration_s
    np.testing.assert_array_equal(np.concatenate(list(file.blocks())), whole.samples)
    in_blocks, at_once = (speech_model.predict(audio, times_s).values for audio in (file, whole))
    np.testing.assert_allclose(in_blocks, at_once, atol=1e-4)

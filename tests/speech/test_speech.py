"""Speech encoder and expression predictor: time, level, chunks, layouts on disk."""

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from speech_tools import OTHERS, WAVEFORM_SHAPE, babble, other_encoders, write_encoder
from transformers import (
    AutoModel,
    Wav2Vec2BertConfig,
    Wav2Vec2BertModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
    WhisperFeatureExtractor,
    WhisperModel,
)

from talkinghead.errors import CheckpointError, MissingFileError, ModelUnavailableError, SpeechTooShortError
from talkinghead.face.face_model import load_face_model
from talkinghead.files import load_arrays, save_arrays, sha256_of
from talkinghead.media.audio_reader import AudioFile, read_audio
from talkinghead.media.audio_writer import write_audio
from talkinghead.speech.audio_window import normalize_loudness
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.front_ends import RATE_HZ, LogMelFrontEnd, WaveformFrontEnd, WhisperFrontEnd
from talkinghead.speech.lip_closure import close_lips
from talkinghead.speech.loudness import LOUDNESS_LUFS, integrated_lufs
from talkinghead.speech.model import load_speech_model, predict_expression, predicted_parts
from talkinghead.speech.predictor import ExpressionPredictor, PredictorConfig
from talkinghead.speech.streaming import stream_expression
from talkinghead.structures import Audio, FloatArray
from talkinghead.text_to_speech.hibari import HibariEngine
from talkinghead.weights.bundled import checkpoint_folder

torch.set_num_threads(1)
K = 4

needs_default_weights = pytest.mark.skipif(
    not (checkpoint_folder() / "speech_encoder" / "model.safetensors").exists(),
    reason="the speech weights are not in this checkout",
)


def tiny_bert() -> Wav2Vec2BertModel:
    torch.manual_seed(0)
    config = Wav2Vec2BertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        feature_projection_input_dim=LogMelFrontEnd.width,
        position_embeddings_type=None,
        conv_depthwise_kernel_size=9,
        mask_time_prob=0.0,
        apply_spec_augment=False,
    )
    config.attention_reach_frames = 16
    return Wav2Vec2BertModel(config)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"), tiny_bert(), "LogMelFrontEnd")


@pytest.fixture(scope="session")
def encoder(folder: Path) -> SpeechEncoder:
    return SpeechEncoder.load(folder)


def make_predictor(encoder: SpeechEncoder) -> ExpressionPredictor:
    torch.manual_seed(1)
    config = PredictorConfig(encoder.name, encoder.sha256, "face", (1, 2), encoder.width, K, components=8, width=16)
    predictor = ExpressionPredictor(config)
    for buffer in (predictor.projection, predictor.tap_weights):
        buffer.normal_(std=0.2)
    return predictor.eval()


# Time


def test_log_mel_frames_are_centred_on_multiples_of_20_ms() -> None:
    front_end = LogMelFrontEnd()
    for frame in (3, 20, 41):
        click = torch.zeros(1, RATE_HZ)
        click[0, frame * 320] = 1.0
        loudness = front_end.spectra_of(click)[0].mean(0)
        assert int(loudness.argmax()) == 2 * frame
        assert loudness[2 * frame - 1] == pytest.approx(float(loudness[2 * frame + 1]), abs=1e-4)
        stacked = front_end(click)[0, frame, : 5 * 80].view(5, 80).mean(1)
        assert int(stacked.argmax()) == 2


def test_log_mel_is_whispers_but_for_the_floor() -> None:
    audio = babble(3).samples
    extractor = WhisperFeatureExtractor()
    theirs = extractor(audio, sampling_rate=RATE_HZ, return_tensors="np", padding="do_not_pad")["input_features"][0]
    ours = LogMelFrontEnd().spectra_of(torch.from_numpy(audio)[None])[0].numpy()
    above = theirs > theirs.max() - 1.9  # theirs ends 2 below the loudest
    above[:, :2] = above[:, -2:] = False  # and mirrors the sound at its ends
    assert above.mean() > 0.5
    np.testing.assert_allclose(ours[above], np.maximum(theirs[above], (LogMelFrontEnd.floor + 4) / 4), atol=1e-4)


def test_waveform_frames_lie_where_the_convolutions_see() -> None:
    front_end = WaveformFrontEnd([10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2], unit_variance=False)
    assert (front_end.hop, front_end.reach, front_end.center) == (320, 400, 200)


def test_features_move_with_the_sound(encoder: SpeechEncoder) -> None:
    audio = babble(4)
    late = Audio(np.concatenate([np.zeros(320 * 100, np.float32), audio.samples]), RATE_HZ)
    still, moved = encoder.encode(audio).values, encoder.encode(late).values
    assert len(moved) == len(still) + 100
    np.testing.assert_allclose(moved[150:], still[50:], atol=0.05)  # loudness is measured a bit differently


def test_other_sample_rates_mean_the_same_time(encoder: SpeechEncoder) -> None:
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


def test_prediction_in_pieces_equals_prediction_of_the_whole(encoder: SpeechEncoder) -> None:
    predictor, audio = make_predictor(encoder), babble(45)
    features = encoder.encode(audio, (1, 2))
    with torch.no_grad():
        whole = predictor(torch.from_numpy(features.values)[None])[0].numpy()
    pieces = predict_expression(encoder, predictor, audio, features.times_s).values
    np.testing.assert_allclose(pieces, whole, atol=1e-3)


def test_parts_come_as_they_are_heard(encoder: SpeechEncoder) -> None:
    """Each before the next stretch is encoded, and together what curves of the whole recording give."""
    predictor, audio = make_predictor(encoder), babble(45)
    times_s = np.arange(46 * 24) / 23.976
    parts, encoded = [], []
    encode = encoder._encode_chunk
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "_encode_chunk", lambda *given: encoded.append(given) or encode(*given))
        for part in predicted_parts(encoder, predictor, audio, times_s):
            parts.append(part)
            assert len(encoded) == min(len(parts), 4)
    assert [len(part.values) > 250 for part in parts[:4]] == [True] * 4
    features = encoder.encode(audio, (1, 2))
    with torch.no_grad():
        whole = predictor(torch.from_numpy(features.values)[None])[0].numpy()
    expected = np.stack([np.interp(times_s, features.times_s, curve) for curve in whole.T], 1)
    np.testing.assert_allclose(np.concatenate([part.values for part in parts]), expected, atol=1e-3)


def test_expression_is_sampled_at_the_frames_own_times(encoder: SpeechEncoder) -> None:
    predictor, audio = make_predictor(encoder), babble(2)
    at_frames = predict_expression(encoder, predictor, audio, np.arange(100) / 50).values
    between = predict_expression(encoder, predictor, audio, np.arange(99) / 50 + 0.005).values
    np.testing.assert_allclose(between, 0.75 * at_frames[:-1] + 0.25 * at_frames[1:], atol=1e-5)
    assert predict_expression(encoder, predictor, audio, np.arange(60) / 23.976).values.shape == (60, K)


# Level


@pytest.mark.parametrize("level", [0.05, 4.0])
def test_loudness_does_not_matter(encoder: SpeechEncoder, level: float) -> None:
    audio = babble(3)
    scaled = Audio(audio.samples * level, RATE_HZ)
    np.testing.assert_allclose(encoder.encode(scaled).values, encoder.encode(audio).values, atol=2e-3)


def test_loudness_is_that_of_the_speech_and_not_of_the_pauses() -> None:
    speech = torch.from_numpy(babble(5).samples)
    paused = normalize_loudness(torch.cat([speech, torch.zeros(20 * RATE_HZ)]))
    np.testing.assert_allclose(paused[: len(speech)], normalize_loudness(speech), atol=0.02)
    assert integrated_lufs(paused.numpy(), RATE_HZ) == pytest.approx(LOUDNESS_LUFS, abs=0.05)


def test_a_constant_in_the_sound_changes_nothing() -> None:
    speech = torch.from_numpy(babble(3).samples) * 0.05
    np.testing.assert_allclose(normalize_loudness(speech + 0.3), normalize_loudness(speech), atol=0.02)


@pytest.mark.parametrize("samples", [np.zeros(RATE_HZ), np.full(RATE_HZ, 0.5), 1e-4 * np.eye(1, RATE_HZ)[0]])
def test_silence_is_not_blown_up(samples: np.ndarray) -> None:
    assert normalize_loudness(torch.from_numpy(samples.astype(np.float32))).abs().max() < 1e-3


@needs_default_weights
@pytest.mark.parametrize("ceiling", [4.0, 1.0])
def test_the_same_words_at_40_and_10_lufs_move_the_mouth_alike(ceiling: float) -> None:
    """Below a ceiling of 1, full scale, the loud one is clipped as a file would be."""
    folder = checkpoint_folder()
    encoder = SpeechEncoder.load(folder / "speech_encoder")
    predictor = ExpressionPredictor.load(folder / "expression_predictor.safetensors")
    model = load_face_model(folder / "face_model.safetensors")
    spoken = HibariEngine().speak("My mother bought five big apples and a pound of butter for Bob.", "hibari").audio
    own = integrated_lufs(spoken.samples, spoken.rate_hz)
    assert own is not None
    times_s = np.arange(0.0, spoken.duration_s, 0.04)
    openings = []
    for lufs in (-40.0, -10.0):
        samples = (spoken.samples * 10 ** ((lufs - own) / 20)).clip(-ceiling, ceiling)
        expression = predict_expression(encoder, predictor, Audio(samples, spoken.rate_hz), times_s).values
        openings.append(model.opening(np.zeros(model.identities, np.float32), expression))
    quiet, loud = openings
    assert np.corrcoef(quiet, loud)[0, 1] > 0.95
    assert 0.9 < quiet.std() / loud.std() < 1.1


def test_silence_is_encoded(encoder: SpeechEncoder) -> None:
    assert np.isfinite(encoder.encode(Audio(np.zeros(RATE_HZ, np.float32), RATE_HZ)).values).all()


# Bad input and layouts on disk


def test_too_short_speech(encoder: SpeechEncoder) -> None:
    with pytest.raises(SpeechTooShortError, match=r"0\.10 s"):
        encoder.encode(babble(0.1))
    assert len(encoder.encode(babble(0.2)).values) == 10


@pytest.fixture(scope="session")
def other_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("others")
    for name, (model, front_end) in other_encoders().items():
        write_encoder(root / name, model, front_end)
    return root


@pytest.mark.parametrize("name", OTHERS)
def test_big_encoders_take_the_place(other_folders: Path, name: str) -> None:
    encoder = SpeechEncoder.load(other_folders / name)
    audio = babble(2)
    features = encoder.encode(audio, (1, 2))
    assert features.values.shape == (100, 2, 32) and np.isfinite(features.values).all()
    assert features.first_s == pytest.approx(0.0 if name == "whisper" else 0.0125)
    assert encoder.encode(babble(2, seed=5), (1, 2)).values.std() > 0.01
    later = Audio(np.concatenate([np.zeros(RATE_HZ, np.float32), audio.samples]), RATE_HZ)
    assert encoder.encode(later, (1,)).values.shape == (150, 1, 32)


@pytest.mark.parametrize("name", [name for name in OTHERS if name != "whisper"])
def test_big_encoders_hear_what_transformers_lets_them_hear(other_folders: Path, name: str) -> None:
    encoder, audio = SpeechEncoder.load(other_folders / name), babble(2)
    model = AutoModel.from_pretrained(other_folders / name).eval()
    even = normalize_loudness(torch.from_numpy(audio.samples)) * 10 ** (23 / 20)
    padded = torch.nn.functional.pad(even, (0, 80))
    with torch.no_grad():
        expected = model(padded[None]).last_hidden_state[0].numpy()
    np.testing.assert_allclose(encoder.encode(audio).values[:, 0], expected, atol=1e-4)


def test_whisper_hears_no_positions_and_shows_no_seam(other_folders: Path) -> None:
    encoder, audio = SpeechEncoder.load(other_folders / "whisper"), babble(31)
    whole = np.concatenate([p.values[p.kept] for p in encoder.pieces(audio, (1, 2), chunk_s=1000)])
    chunks = np.concatenate([p.values[p.kept] for p in encoder.pieces(audio, (1, 2), chunk_s=5)])
    np.testing.assert_allclose(chunks, whole, atol=1e-3)
    # With its own row at every place, and nothing to look past, it is what transformers makes of it.
    model = WhisperModel.from_pretrained(other_folders / "whisper").eval().get_encoder()
    with torch.no_grad():
        model.embed_positions.weight.copy_(model.embed_positions.weight[250].expand(1500, -1).clone())
        spectra = WhisperFrontEnd(80)(normalize_loudness(torch.from_numpy(babble(30).samples))[None])
        expected = model(spectra).last_hidden_state[0].numpy()
    encoder.model.config.attention_reach_frames = 1500
    found = np.concatenate([p.values[p.kept] for p in encoder.pieces(babble(30), (2,), chunk_s=1000)])
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-4)


def test_a_level_that_a_model_wants_does_not_depend_on_the_recording(tmp_path: Path) -> None:
    config = Wav2Vec2Config(**WAVEFORM_SHAPE, feat_extract_norm="layer")
    folder = write_encoder(tmp_path / "model", Wav2Vec2Model(config), "Wav2Vec2FeatureExtractor")
    assert SpeechEncoder.load(folder).front_end.gain == pytest.approx(14.1, abs=0.1)  # type: ignore[attr-defined]
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False}))
    assert SpeechEncoder.load(folder).front_end.gain == 1.0  # type: ignore[attr-defined]


def test_a_folder_with_a_predictor_for_another_encoder(other_folders: Path) -> None:
    with pytest.raises(CheckpointError, match="--encoder hubert"):
        predict_expression(
            SpeechEncoder.load(other_folders / "hubert"),
            ExpressionPredictor(PredictorConfig("other", "0" * 64, "face", (1,), 32, K, components=32)),
            babble(1),
            np.zeros(1),
        )


def test_folders_that_hold_no_encoder(folder: Path, tmp_path: Path) -> None:
    for name in ("nowhere/to-be-found", str(tmp_path / "missing")):
        with pytest.raises(ModelUnavailableError, match=r"config\.json"):
            SpeechEncoder.load(name)
    with pytest.raises(ModelUnavailableError, match="lacks"):
        SpeechEncoder.load(tmp_path)
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    weights = (folder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ModelUnavailableError, match="no usable"):
        SpeechEncoder.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelUnavailableError, match="bert"):
        SpeechEncoder.load(tmp_path)


def test_weights_that_are_lacking_are_not_made_up(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    arrays, _ = load_arrays(folder / "model.safetensors")
    del arrays[sorted(arrays)[0]]
    save_arrays(tmp_path / "model.safetensors", arrays, {"format": "pt"})
    with pytest.raises(ModelUnavailableError, match="lacks 1 weights"):
        SpeechEncoder.load(tmp_path)


def test_errors_name_the_layout_and_how_to_get_it(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError) as raised:
        SpeechEncoder.load("facebook/wav2vec2-base-960h")
    said = str(raised.value)
    for name in ("config.json", "preprocessor_config.json", "model.safetensors", "hf download facebook/wav2vec2-base"):
        assert name in said
    assert "\n" not in said
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"never opened")
    with pytest.raises(ModelUnavailableError, match=r"lacks model\.safetensors.*may run code.*save_pretrained"):
        SpeechEncoder.load(tmp_path)


def test_predictor_round_trip(encoder: SpeechEncoder, tmp_path: Path) -> None:
    predictor = make_predictor(encoder)
    predictor.save(tmp_path / "predictor.safetensors")
    again = ExpressionPredictor.load(tmp_path / "predictor.safetensors")
    assert again.config == predictor.config
    audio, times_s = babble(1), np.arange(25) / 25
    np.testing.assert_array_equal(
        predict_expression(encoder, again, audio, times_s).values,
        predict_expression(encoder, predictor, audio, times_s).values,
    )


def test_predictor_of_another_encoder(encoder: SpeechEncoder) -> None:
    config = PredictorConfig("other", "0" * 64, "face", (1,), encoder.width, K, components=8)
    with pytest.raises(CheckpointError, match="belongs to the speech encoder other"):
        predict_expression(encoder, ExpressionPredictor(config), babble(1), np.zeros(1))


def test_damaged_predictor(encoder: SpeechEncoder, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        ExpressionPredictor.load(tmp_path / "none.safetensors")
    path = tmp_path / "predictor.safetensors"
    make_predictor(encoder).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError):
        ExpressionPredictor.load(path)


@pytest.mark.parametrize(
    "claim",
    [{"width": 10**9}, {"networks": 10**6}, {"kernel": 4}, {"dilations": [0]}, {"dilations": [9000]}, {"layers": [-1]},
     {"taps": [0] * 1000}, {"components": True}, {"expressions": "many"}, {"unknown": 1}],
    ids=str,
)  # fmt: skip
def test_what_a_predictor_claims_to_be(encoder: SpeechEncoder, tmp_path: Path, claim: dict[str, object]) -> None:
    path = tmp_path / "predictor.safetensors"
    make_predictor(encoder).save(path)
    arrays, metadata = load_arrays(path)
    metadata["config"] = json.dumps(json.loads(metadata["config"]) | claim)
    save_arrays(path, arrays, metadata)
    with pytest.raises(CheckpointError, match="damaged"):
        ExpressionPredictor.load(path)


@pytest.mark.parametrize("worth", [np.nan, np.inf])
def test_a_predictor_whose_weights_are_no_numbers(encoder: SpeechEncoder, tmp_path: Path, worth: float) -> None:
    path = tmp_path / "predictor.safetensors"
    make_predictor(encoder).save(path)
    arrays, metadata = load_arrays(path)
    arrays["tap_weights"].flat[0] = worth
    save_arrays(path, arrays, metadata)
    with pytest.raises(CheckpointError, match="damaged"):
        ExpressionPredictor.load(path)


def test_a_predictor_that_names_layers_its_encoder_lacks(encoder: SpeechEncoder) -> None:
    config = PredictorConfig(encoder.name, encoder.sha256, "face", (1, 7), encoder.width, K, components=8)
    with pytest.raises(CheckpointError, match="another shape"):
        predict_expression(encoder, ExpressionPredictor(config), babble(1), np.zeros(1))


@pytest.mark.parametrize(
    "claim",
    [{"num_hidden_layers": 10**6}, {"intermediate_size": 2**40}, {"hidden_dropout": [[]]}, {"hidden_act": "none"},
     {"num_attention_heads": 0}, {"attention_reach_frames": {}}, {"layer_norm_eps": float("nan")}],
    ids=str,
)  # fmt: skip
def test_what_an_encoder_claims_to_be(folder: Path, tmp_path: Path, claim: dict[str, object]) -> None:
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    described = json.loads((folder / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(described | claim))
    with pytest.raises(ModelUnavailableError) as raised:
        SpeechEncoder.load(tmp_path)
    assert "\n" not in str(raised.value)


def test_an_encoder_that_hears_no_numbers(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    arrays, _ = load_arrays(folder / "model.safetensors")
    for array in arrays.values():
        array.flat[0] = np.nan
    save_arrays(tmp_path / "model.safetensors", arrays, {"format": "pt"})
    with pytest.raises(ModelUnavailableError, match="no number"):
        SpeechEncoder.load(tmp_path)


# The default weights


@needs_default_weights
def test_default_encoder_and_predictor_fit_together() -> None:
    checkpoints = checkpoint_folder()
    encoder = SpeechEncoder.load(checkpoints / "speech_encoder")
    predictor = ExpressionPredictor.load(checkpoints / "expression_predictor.safetensors")
    assert sum(file.stat().st_size for file in (checkpoints / "speech_encoder").iterdir()) < 25e6
    arrays, _ = load_arrays(checkpoints / "speech_encoder" / "model.safetensors")
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float16)}
    assert predictor.config.face_model_sha256 == sha256_of(checkpoints / "face_model.safetensors")
    expression = predict_expression(encoder, predictor, babble(3), np.arange(75) / 25).values
    assert expression.shape == (75, predictor.config.expressions) and np.isfinite(expression).all()


@needs_default_weights
def test_default_encoder_shows_no_seam_in_a_minute() -> None:
    encoder, audio = SpeechEncoder.load(checkpoint_folder() / "speech_encoder"), babble(60)
    whole = np.concatenate([p.values[p.kept] for p in encoder.pieces(audio, (1, 3), chunk_s=1000)])
    chunks = [p.values[p.kept] for p in encoder.pieces(audio, (1, 3))]
    assert len(chunks) == 5
    np.testing.assert_allclose(np.concatenate(chunks), whole, atol=1e-3)


@needs_default_weights
def test_the_answer_does_not_depend_on_where_a_sound_stands() -> None:
    encoder, predictor = load_speech_model()
    sentence, other = babble(4, seed=1).samples, babble(3, seed=2).samples
    samples = 1e-4 * np.random.default_rng(0).standard_normal(50 * RATE_HZ).astype(np.float32)
    samples[: len(other)] += other
    places_s = (10.0, 37.24)
    around_s = 8.0  # what is heard before and after has to be the same too
    first = round((places_s[0] - around_s) * RATE_HZ)
    stretch = samples[first : first + round((4 + 2 * around_s) * RATE_HZ)].copy()
    stretch[round(around_s * RATE_HZ) :][: len(sentence)] += sentence
    for place_s in places_s:
        begin = round((place_s - around_s) * RATE_HZ)
        samples[begin : begin + len(stretch)] = stretch
    inside_s = np.arange(0, 4, 0.02)
    audio = Audio(samples, RATE_HZ)
    one, two = (predict_expression(encoder, predictor, audio, p + inside_s).values for p in places_s)
    assert one.std() > 0.1
    np.testing.assert_allclose(one, two, atol=1e-3)


@needs_default_weights
def test_a_file_is_heard_block_by_block_as_it_is_heard_whole(tmp_path: Path) -> None:
    write_audio(tmp_path / "speech.wav", [babble(45, rate_hz=22050)])
    encoder, predictor = load_speech_model()
    times_s = np.arange(0, 45, 0.04)
    file = AudioFile(tmp_path / "speech.wav")
    whole = read_audio(tmp_path / "speech.wav")
    assert file.duration_s == whole.duration_s
    np.testing.assert_array_equal(np.concatenate(list(file.blocks())), whole.samples)
    np.testing.assert_allclose(
        predict_expression(encoder, predictor, file, times_s).values,
        predict_expression(encoder, predictor, whole, times_s).values,
        atol=1e-4,
    )


def test_memory_does_not_grow_with_the_length(encoder: SpeechEncoder) -> None:
    class Noise:
        """Made as it is read, so that all that is held is held by who listens."""

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

    # Threads that other tests have left may allocate at the same time, so the lesser of two tries counts.
    assert min(peak_mb(600), peak_mb(600)) < 1.1 * peak_mb(60) + 1


# Streaming


@pytest.mark.parametrize("ahead_s", [1.5, 3.5])
def test_a_stream_tells_what_the_whole_tells(encoder: SpeechEncoder, ahead_s: float) -> None:
    """With more sound ahead than encoder and predictor reach, the two take the same course."""
    predictor, audio = make_predictor(encoder), babble(4)
    blocks = [audio.samples[start : start + 3000] for start in range(0, len(audio.samples), 3000)]
    told = list(stream_expression(encoder, predictor, blocks, ahead_s))
    times_s = np.concatenate([one.times_s for one in told])
    np.testing.assert_allclose(times_s, encoder.first_s + np.arange(len(times_s)) / encoder.rate_hz)
    assert len(times_s) == len(audio.samples) // encoder.front_end.hop
    streamed = np.concatenate([one.expression.values for one in told])
    whole = predict_expression(encoder, predictor, audio, times_s).values
    # The loudness of the whole is not known in its midst, so only its course can be the same.
    for ours, theirs in zip(streamed.T, whole.T, strict=True):
        assert np.corrcoef(ours, theirs)[0, 1] > 0.98


def test_a_stream_speaks_after_its_first_300_ms(encoder: SpeechEncoder) -> None:
    heard_s = 0.0

    def blocks() -> Iterator[np.ndarray]:
        nonlocal heard_s
        for start in range(0, RATE_HZ, 800):
            heard_s += 0.05
            yield babble(1).samples[start : start + 800]

    first = next(stream_expression(encoder, make_predictor(encoder), blocks()))
    assert heard_s <= 0.3 and len(first.times_s) and first.times_s[0] == encoder.first_s


# Closed lips


def test_lips_meet_where_a_closure_is_heard() -> None:
    model = load_face_model(checkpoint_folder() / "face_model.safetensors")
    draw, identity = np.random.default_rng(0), np.zeros(model.identities, np.float32)
    seen = draw.standard_normal((500, model.expressions)).astype(np.float32)
    said = draw.standard_normal((80, model.expressions)).astype(np.float32)
    heard = np.where(np.arange(80) < 40, 0.9, 0.1).astype(np.float32)
    closed = np.quantile(model.lip_gap(identity, seen), 0.02)
    made = close_lips(said, heard, model, identity, seen)
    np.testing.assert_array_equal(made[40:], said[40:])
    before, after = model.lip_gap(identity, said)[:40], model.lip_gap(identity, made)[:40]
    np.testing.assert_allclose(after, np.minimum(before, closed), atol=1e-4)
    np.testing.assert_array_equal(close_lips(said, heard, model, identity, seen * 0), said)

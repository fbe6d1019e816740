"""What is fed in runs no code, takes no memory that it only claims to need, and is answered or refused in time.

`tests/fuzzing/fuzzer.py` makes the mutated inputs, 10 000 for each reader; here are 200 of them, and some made by hand.
"""

from __future__ import annotations

import json
import math
import os
import struct
import tracemalloc
import wave
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import fuzzer
import numpy as np
import pytest
import soundfile
import torch

import talkinghead
from talkinghead.anchor import load_anchor
from talkinghead.errors import CheckpointError, MediaError, NoVideoError, TableError
from talkinghead.evaluation.pairs import read_table
from talkinghead.face.appearance import CELLS, Appearance, load_appearance, save_appearance
from talkinghead.files import load_arrays, save_arrays
from talkinghead.generation.frame_order import ping_pong
from talkinghead.media import containers
from talkinghead.media.audio_reader import AudioFile
from talkinghead.media.video_reader import VideoReader, read_video_info
from talkinghead.media.video_writer import VideoWriter
from talkinghead.provenance.metadata import read_source_type
from talkinghead.structures import Frame
from talkinghead.weights import torch_files
from talkinghead.weights.torch_files import read_tensors

ROOT = Path(talkinghead.__file__).parent.parent
MUTATED = 200


@pytest.mark.slow
@pytest.mark.parametrize("reader", fuzzer.READERS)
def test_mutated_files_are_answered_or_refused(reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    answers = list(fuzzer.fuzz(reader, MUTATED, seed=1))
    assert [answer for answer in answers if answer.finding] == []
    assert len(answers) == MUTATED


def test_the_fuzzer_finds_what_it_looks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> None:
        number = int(path.name)
        if number == 1:
            raise ZeroDivisionError
        if number == 2:
            (path.parent.parent / "escaped").touch()
        if number == 3:
            raise MediaError("refused")

    numbers = iter(range(5))

    def mutate(good: Path, work: Path, draw: np.random.Generator) -> Path:
        path = work / str(next(numbers))
        path.touch()
        return path

    reader = fuzzer.Reader(lambda folder: None, mutate, read)
    found = [fuzzer.examine(reader, tmp_path, tmp_path / "work", 0, number) for number in range(5)]
    assert [outcome for outcome, _ in found] == ["accepted", "crash", "files", "refused", "accepted"]
    assert [bool(finding) for _, finding in found] == [False, True, True, False, False]
    assert found[1][1].startswith("ZeroDivisionError") and str(tmp_path / "work" / "escaped") in found[2][1]


def test_a_tally_is_a_table() -> None:
    counts = dict.fromkeys(fuzzer.OUTCOMES, 0) | {"refused": 7, "accepted": 3}
    assert fuzzer.table({"jobs": counts}).splitlines()[2] == "| jobs | 10 | 7 | 3 | 0 | 0 | 0 |"


def write_clip(path: Path, codec: str = "mjpeg") -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(4):
            image = np.full((64, 64, 3), 50 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    return path


def test_a_picture_is_not_as_large_as_it_claims(tmp_path: Path) -> None:
    """The size is in each JPEG picture's own header, big-endian after FF C0, length and depth."""
    path = write_clip(tmp_path / "clip.mov")
    content = bytearray(path.read_bytes())
    at = content.index(b"\xff\xc0")
    while at >= 0:
        content[at + 5 : at + 9] = struct.pack(">HH", 30_000, 30_000)
        at = content.find(b"\xff\xc0", at + 9)
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(MediaError):
        read_video_info(path)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_a_picture_that_the_container_calls_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "clip.mov")
    monkeypatch.setattr(containers, "MAX_PIXELS", 64 * 64 - 1)
    with pytest.raises(MediaError, match="64 x 64 are too large"):
        read_video_info(path)
    monkeypatch.setattr(containers, "MAX_PIXELS", 64 * 64)
    assert read_video_info(path).width == 64


def test_a_codec_that_nobody_knows(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mov")
    path.write_bytes(path.read_bytes().replace(b"jpeg", b"zzzz"))
    with pytest.raises((MediaError, NoVideoError)) as caught:
        read_video_info(path)
    assert caught.value.exit_code == 65


def test_sound_that_begins_in_a_thousand_years(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "sound.wav", np.zeros(1600), 16000)
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mjpeg", rate=25)
        video.width, video.height, video.pix_fmt = 64, 64, "yuvj420p"
        audio = container.add_stream("pcm_s16le", rate=16000)
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
        container.mux(video.encode(picture))
        container.mux(video.encode())
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), "s16", "mono")
        frame.sample_rate, frame.time_base, frame.pts = 16000, Fraction(1, 16000), 16000 * 86400 * 300
        container.mux(audio.encode(frame))
        container.mux(audio.encode())
    with pytest.raises(MediaError, match="clock is damaged"):
        sum(map(len, AudioFile(path).blocks()))


@pytest.mark.parametrize("rate_hz", [1, 500, 2_000_000])
def test_sampling_rates_that_are_none(rate_hz: int, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "sound.wav"), "wb") as file:
        file.setparams((1, 2, rate_hz, 0, "NONE", ""))
        file.writeframes(b"\0\0" * 1000)
    with pytest.raises(MediaError, match=f"{rate_hz} Hz"):
        list(AudioFile(tmp_path / "sound.wav").blocks())


def test_arrays_are_not_as_large_as_they_claim(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 64)
    with pytest.raises(CheckpointError):
        load_arrays(tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + header)
    with pytest.raises(CheckpointError):
        load_arrays(tmp_path / "a.safetensors")


def test_a_description_that_is_a_bomb(tmp_path: Path) -> None:
    anchor = tmp_path / "anchor"
    anchor.mkdir()
    for content in ("[" * 200_000, '{"a":' * 100_000, "9" * 100_000, " " * (2 << 20)):
        (anchor / "anchor.json").write_text(content, "utf-8")
        with pytest.raises(CheckpointError):
            load_anchor(anchor)


def test_boxes_that_lead_nowhere(tmp_path: Path) -> None:
    """Labels are looked for by walking the boxes; a box of no length, or one that is too long, must not catch it."""
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 32, 32, frame_rate=Fraction(25)) as writer:
        writer.write(Frame(np.zeros((32, 32, 3), np.uint8), 0.0))
    whole = path.read_bytes()
    for tail in (
        struct.pack(">I4s", 0, b"uuid"),
        struct.pack(">I4sQ", 1, b"uuid", 1 << 62),
        struct.pack(">I4s", 7, b"u"),
    ):
        path.write_bytes(whole + tail)
        assert read_source_type(path) is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.mp4", "ffconcat version 1.0\nfile secret.wav\n"),
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.wav\n#EXT-X-ENDLIST\n"),
        ("list.m3u8", "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/secret.wav\n"),
        ("list.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n"),
    ],
)
def test_playlists_and_addresses_are_not_followed(name: str, content: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "secret.wav", np.zeros(1600), 16000)
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(MediaError):
        list(AudioFile(tmp_path / name).blocks())


def test_a_clip_of_two_frames_lasts_for_hours() -> None:
    order = ping_pong(25 * 3600 * 3, 0, 1)
    assert len(order) == 270_000 and set(order[:9].tolist()) == {0, 1} and np.abs(np.diff(order)).max() == 1
    assert set(ping_pong(1000, 0, 0).tolist()) == {0}


def test_names_in_a_description_stay_in_its_folder(anchor_folder: Path, tmp_path: Path) -> None:
    """A clip named by a path is looked for by its last part alone."""
    anchor = tmp_path / "anchor"
    anchor.mkdir()
    for path in anchor_folder.iterdir():
        os.link(path, anchor / path.name)
    (anchor / "anchor.json").unlink()
    description = json.loads((anchor_folder / "anchor.json").read_text("utf-8"))
    description["clip"]["file"] = "../../../etc/clip.mp4"
    (anchor / "anchor.json").write_text(json.dumps(description), "utf-8")
    assert load_anchor(anchor).clip == anchor / "clip.mp4"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("inside", np.zeros(CELLS, np.uint8)),
        ("mean", np.full(3 * 384, np.nan, np.float32)),
        ("mean", np.full(3 * 384, 1e30, np.float32)),
        ("mean", np.zeros(5, np.float32)),
        ("basis", np.full((2, 3 * 384), np.inf, np.float32)),
        ("basis", np.full((2, 3 * 384), 1e30, np.float32)),
        ("usual", np.array([np.nan])),
        ("usual", np.zeros((2, 2))),
        ("usual", np.zeros(0)),
    ],
)
def test_appearances_that_no_face_gives(name: str, value: np.ndarray, tmp_path: Path) -> None:
    path, width = tmp_path / "appearance.safetensors", 3 * 384
    good = Appearance(np.ones(CELLS, np.bool_), np.full(width, 90, np.float32), np.zeros((2, width), np.float32), 4.0)
    save_appearance(path, good)
    assert load_appearance(path).usual == 4.0
    arrays, metadata = load_arrays(path)
    save_arrays(path, {**arrays, name: value}, metadata)
    with pytest.raises(CheckpointError, match="appearance"):
        load_appearance(path)


def test_variable_rates_keep_their_frames(tmp_path: Path) -> None:
    """The repaired clock of a hostile file still rises."""
    path = write_clip(tmp_path / "clip.mov")
    with VideoReader(path) as reader:
        times = [frame.time_s for frame in reader]
    assert all(b > a for a, b in zip(times, times[1:], strict=False)) and not any(map(math.isnan, times))


def test_a_table_whose_later_row_names_no_output(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("output,reference\na.mp4,b.mp4\n,c.mp4\n", "utf-8")
    with pytest.raises(TableError, match="line 3"):
        read_table(tmp_path / "pairs.csv")


@pytest.mark.parametrize("count", [1 << 33, 1 << 62, (1 << 64) - 1])
def test_a_torch_file_is_not_as_large_as_it_claims(count: int, tmp_path: Path) -> None:
    """In torch's older form the numbers of a storage follow their count, the last eight bytes before them."""
    path = tmp_path / "old.pth"
    torch.save({"a": torch.full((5,), 3.0)}, path, _use_new_zipfile_serialization=False)
    assert read_tensors(path)["a"].tolist() == [3.0] * 5
    content = bytearray(path.read_bytes())
    content[-28:-20] = struct.pack("<Q", count)
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        read_tensors(path)


def test_a_dict_in_itself_many_times(tmp_path: Path) -> None:
    state: dict[str, object] = {}
    for _ in range(15):
        state = {str(number): state for number in range(30)}
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(CheckpointError, match="more than 100000 entries"):
        read_tensors(tmp_path / "bad.pth")


def test_one_storage_in_many_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tied weights are read; a file that is nothing but names for the same numbers is not."""
    shared = torch.arange(1000.0)
    torch.save({"a": shared, "b": shared}, tmp_path / "tied.pt")
    assert read_tensors(tmp_path / "tied.pt")["b"].tolist() == shared.tolist()
    torch.save({str(number): shared for number in range(500)}, tmp_path / "many.pt")
    monkeypatch.setattr(torch_files, "LARGEST_BYTES", 1 << 20)
    with pytest.raises(CheckpointError, match="together are larger than 1 MiB"):
        read_tensors(tmp_path / "many.pt")


def test_one_number_that_stands_for_many(tmp_path: Path) -> None:
    """A tensor of a stride of 0 has as many numbers as it likes, all of them the same one."""
    torch.save({"a": torch.zeros(1).expand(10**9)}, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match="larger than its storage"):
        read_tensors(tmp_path / "bad.pt")


@pytest.mark.parametrize("member", ["data.pkl", "data/0"])
def test_members_of_an_archive_that_claim_more_than_the_file(member: str, tmp_path: Path) -> None:
    """torch does not compress; in a compressed archive 100 MB of zeros are 100 kB."""
    torch.save({"a": torch.ones(5)}, tmp_path / "good.pt")
    packed = tmp_path / "packed.pt"
    with zipfile.ZipFile(tmp_path / "good.pt") as good, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bad:
        for name in good.namelist():
            bad.writestr(name, bytes(100_000_000) if name.endswith(f"/{member}") else good.read(name))
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="claim to be larger"):
        read_tensors(packed)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_a_torch_file_beyond_the_bound_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_files, "LARGEST_BYTES", 1 << 20)
    torch.save({"a": torch.zeros(1 << 19)}, tmp_path / "large.pt")
    with pytest.raises(CheckpointError, match="larger than 1 MiB"):
        read_tensors(tmp_path / "large.pt")

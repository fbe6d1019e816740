"""Faults, by doing them: full disks, folders that may not be written, two at the same thing, kills, odd clips."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from batch_tools import environment, frames_of, job_file
from click.testing import CliRunner
from drawn_face import DrawnClip, draw_frames, drawn_clip, perform, performance, person, write_frames
from numpy.typing import NDArray

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.cli.main import main
from talkinghead.errors import NoFaceError, OutputError, OutputExistsError
from talkinghead.face.tracking import track_file
from talkinghead.files import load_arrays, locked, save_arrays
from talkinghead.generation.pipeline import generate
from talkinghead.media.audio_reader import read_audio
from talkinghead.media.video_reader import VideoReader
from talkinghead.provenance.reader import read_provenance
from talkinghead.structures import Frame
from talkinghead.training.face_update.config import LoopConfig
from talkinghead.training.face_update.train import MARK_FILE, STATE_FILE, train

pytestmark = pytest.mark.usefixtures("own_caches")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for a hundred kilobytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = [str(shutil.which("mount")), "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("file systems may not be mounted here")
    yield folder
    subprocess.run([str(shutil.which("umount")), str(folder)], check=True)


def test_a_full_disk_ends_generate_cleanly(
    anchor: Anchor, speech: Path, expression_file: Path, small_disk: Path
) -> None:
    (small_disk / "filler").write_bytes(bytes(85_000))
    before = files(small_disk)
    with pytest.raises(OutputError, match="No space left"):
        generate(anchor, speech, small_disk / "output.mp4", expression=expression_file, device="cpu")
    assert files(small_disk) == before


def test_a_full_disk_ends_train_cleanly(clip: DrawnClip, quick: LoopConfig, small_disk: Path) -> None:
    with pytest.raises(OutputError):
        train(clip.path, small_disk / "anchor", steps=1, device="cpu", loop=quick)
    assert files(small_disk) == []


def test_a_full_disk_ends_a_batch_cleanly(
    anchor_folder: Path, speech: Path, expression_file: Path, small_disk: Path, tmp_path: Path
) -> None:
    (small_disk / "filler").write_bytes(bytes(50_000))
    jobs = job_file(tmp_path, anchor_folder, speech, expression_file, 2)
    command = ["batch", str(jobs), "-o", str(small_disk / "out"), "--device", "cpu", "--retries", "0", "--json"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code in (3, OutputError.exit_code)  # the video or the table found no room
    assert [path for path in files(small_disk) if path.endswith(".mp4")] == []
    (small_disk / "filler").unlink()
    assert CliRunner().invoke(main, command).exit_code in (0, 3)  # it goes on where it was left
    status = json.loads(CliRunner().invoke(main, ["batch", "status", str(small_disk / "out"), "--json"]).stdout)
    assert status["counts"]["done"] >= 1


@pytest.mark.skipif(os.geteuid() != 0, reason="for others a folder's mode is enough, and test_bad_input has that")
def test_a_read_only_folder(anchor: Anchor, speech: Path, expression_file: Path, small_disk: Path) -> None:
    remount = [str(shutil.which("mount")), "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True)
    for output in ("output.mp4", "output.mov"):
        with pytest.raises(OutputError, match="[Rr]ead-only"):
            generate(anchor, speech, small_disk / output, expression=expression_file, device="cpu")
    with pytest.raises(OutputError), locked(small_disk / "anchor"):
        pass


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    """What a quota or a file system's own limit does."""
    code = (
        "import resource, signal, sys; import numpy as np; from pathlib import Path;"
        "from talkinghead.files import save_arrays; from talkinghead.errors import OutputError;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "path = Path(sys.argv[1]) / 'a.safetensors'\n"
        "try: save_arrays(path, {'a': np.zeros(9999)}, {})\n"
        "except OutputError: sys.exit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment(), check=False)
    assert done.returncode == 7 and files(tmp_path) == []


@pytest.mark.parametrize("damage", ["cut", "other numbers", "empty"])
def test_a_damaged_cache_entry_is_made_anew(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: DrawnClip
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    short = drawn_clip(tmp_path / "short.mp4", 0.3, with_audio=False).path
    first = track_file(short)
    (entry,) = (tmp_path / "cache").rglob("*.safetensors")
    if damage == "other numbers":
        arrays, metadata = load_arrays(entry)
        save_arrays(entry, {**arrays, "landmarks": arrays["landmarks"] * np.float32(np.nan)}, metadata)
    else:
        entry.write_bytes(entry.read_bytes()[:500] if damage == "cut" else b"")
    np.testing.assert_array_equal(track_file(short).landmarks, first.landmarks)
    assert load_arrays(entry)[1]


def test_two_trainings_of_one_anchor(clip: DrawnClip, quick: LoopConfig, tmp_path: Path) -> None:
    """The second one is sent away, and does the first one no harm."""
    refused: list[Exception] = []

    def second(_: object) -> None:
        if not refused:
            try:
                train(clip.path, tmp_path / "anchor", steps=1, device="cpu", loop=quick)
            except OutputExistsError as error:
                refused.append(error)

    train(clip.path, tmp_path / "anchor", steps=1, device="cpu", loop=quick, report=second)
    assert len(refused) == 1 and len(load_anchor(tmp_path / "anchor").reconstruction)
    assert files(tmp_path)[0] == "anchor" and not (tmp_path / ".anchor.lock").exists()


def test_two_processes_with_one_output(
    anchor_folder: Path, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    """Both may read the anchor; whoever is last, the video is whole."""
    output = tmp_path / "output.mp4"
    command = [sys.executable, "-m", "talkinghead", "generate", str(anchor_folder), str(speech), "-o", str(output)]
    command += ["--expression", str(expression_file), "--device", "cpu", "--quiet", "--overwrite"]
    both = [subprocess.Popen(command, env=environment()) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert frames_of(output) == 33 and read_provenance(output).ai_generated and files(tmp_path) == ["output.mp4"]


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on(clip: DrawnClip, tmp_path: Path) -> None:
    """Killed as soon as each file of the work is there; ANCHOR is whole from the moment that it has its name."""
    output, work = tmp_path / "anchor", tmp_path / ".anchor.training"
    command = [sys.executable, "-m", "talkinghead", "train", str(clip.path), "-o", str(output)]
    command += ["--steps", "4", "--device", "cpu", "--quiet"]
    for moment in (MARK_FILE, STATE_FILE, "network.safetensors"):
        resume = ["--resume"] if (work / MARK_FILE).is_file() else []
        process = subprocess.Popen([*command, *resume], env=environment(), stderr=subprocess.DEVNULL)
        while process.poll() is None and not (work / moment).is_file():
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert output.exists() or (work / MARK_FILE).is_file()
        if output.exists():
            break
    else:
        subprocess.run([*command, "--resume"], env=environment(), check=True)
        assert [name for name in files(tmp_path) if name.startswith(".")] == []
    assert load_anchor(output).network
    assert not work.exists() and not (output / STATE_FILE).exists()


def test_a_kill_while_an_anchor_is_replaced(clip: DrawnClip, quick: LoopConfig, tmp_path: Path) -> None:
    """Both folders are hidden for an instant; the next training of that name sees the older one again."""
    hidden = tmp_path / ".anchor.old"
    train(clip.path, tmp_path / "anchor", steps=1, device="cpu", loop=quick)
    (tmp_path / "anchor").rename(hidden)
    with pytest.raises(OutputExistsError):
        train(clip.path, tmp_path / "anchor", steps=1, device="cpu", loop=quick)
    assert load_anchor(tmp_path / "anchor").network and not hidden.exists()


SOUNDS = {
    "8 kHz": (8000, 1, "PCM_16", "wav"),
    "192 kHz": (192_000, 1, "PCM_24", "wav"),
    "5.1 float": (48_000, 6, "FLOAT", "wav"),
    "24 bit stereo": (44_100, 2, "PCM_24", "flac"),
    "11.025 kHz double": (11_025, 1, "DOUBLE", "wav"),
}


@pytest.mark.parametrize("kind", SOUNDS)
def test_sound_of_any_kind(kind: str, anchor: Anchor, expression_file: Path, tmp_path: Path) -> None:
    rate_hz, channels, subtype, suffix = SOUNDS[kind]
    samples = 0.2 * np.sin(2 * np.pi * 150 * np.arange(round(0.5 * rate_hz)) / rate_hz)
    recording, output = tmp_path / f"speech.{suffix}", tmp_path / "output.mp4"
    soundfile.write(recording, np.tile(samples[:, None], channels), rate_hz, subtype)
    made = generate(anchor, recording, output, expression=expression_file, device="cpu")
    assert made["frames"] == frames_of(output) == 13
    assert abs(len(read_audio(output).samples) - 8000) <= 1


def scenes() -> tuple[list[NDArray[np.uint8]], list[bool]]:
    """Cuts between two people's clips, with a picture of nobody between them; and where a face is."""
    images: list[NDArray[np.uint8]] = []
    shown: list[bool] = []
    for seed in (0, 1, 0):
        what = performance(0.4, seed)
        images += list(draw_frames(person(seed), perform(person(seed), what, np.arange(8) / 25)))
        images += [np.full_like(images[0], 90)] * 4
        shown += [True] * 8 + [False] * 4
    return images, shown


def test_cuts_and_frames_without_a_face(anchor: Anchor, speech: Path, expression_file: Path, tmp_path: Path) -> None:
    images, shown = scenes()
    cut = write_frames(tmp_path / "cut.mp4", iter(images), np.arange(len(images)) / 25, Fraction(25))
    output = tmp_path / "output.mp4"
    made = generate(anchor, speech, output, clip=cut, expression=expression_file, device="cpu")
    with VideoReader(output) as reader:
        frames = [frame.image for frame in reader]
    assert len(frames) == made["frames"]
    passed = [number for number, seen in enumerate(shown[: len(frames)]) if not seen]
    assert made["frames_passed_through"] >= len(passed) > 0
    for number in passed:
        assert np.abs(frames[number].astype(int) - 90).mean() < 3


def two_people(path: Path) -> Path:
    """The same person twice, saying different things: on the left, and smaller on the right."""
    times_s = np.arange(12) / 25
    left, right = (list(draw_frames(person(0), perform(person(0), performance(0.5, seed), times_s))) for seed in (0, 1))
    side = left[0].shape[0]
    images = []
    for a, b in zip(left, right, strict=True):
        small = np.full_like(b, 128)
        small[side // 8 : side // 8 + side * 3 // 4, : side * 3 // 4] = b[::4, ::4].repeat(3, 0).repeat(3, 1)
        images.append(np.concatenate([a, small], 1))
    return write_frames(path, iter(images), times_s, Fraction(25))


@pytest.mark.parametrize(("face", "side"), [("largest", 0), ("left", 0), ("right", 1), ("0", 0), ("1", 1)])
def test_one_of_two_faces_is_chosen(
    face: str, side: int, anchor_folder: Path, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    """What is drawn new lies on the chosen side; the other side stays as it was."""
    clip, output = two_people(tmp_path / "two.mp4"), tmp_path / "output.mp4"
    command = ["generate", str(anchor_folder), str(speech), "-o", str(output), "--clip", str(clip), "--face", face]
    result = CliRunner().invoke(main, [*command, "--expression", str(expression_file), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    with VideoReader(clip) as before, VideoReader(output) as after:
        changes = [np.abs(a.image.astype(int) - b.image).mean(2) for a, b in zip(before, after, strict=False)]
    change = np.mean(changes, 0)
    half = change.shape[1] // 2
    halves = [np.quantile(change[:, :half], 0.99), np.quantile(change[:, half:], 0.99)]
    assert halves[side] > 1.5 * halves[1 - side]  # the rest is what encoding anew changes


def test_a_face_that_is_not_there(anchor: Anchor, speech: Path, expression_file: Path, tmp_path: Path) -> None:
    clip = two_people(tmp_path / "two.mp4")
    with pytest.raises(NoFaceError):
        generate(anchor, speech, tmp_path / "output.mp4", clip=clip, expression=expression_file, face=5, device="cpu")
    for wrong in ("middle", "../up", -1):
        with pytest.raises(ValueError, match="largest, left, right"):
            track_file(clip, face=wrong)  # type: ignore[arg-type]


def test_clips_of_one_and_two_frames(anchor: Anchor, speech: Path, expression_file: Path, tmp_path: Path) -> None:
    for count in (1, 2):
        path, output = tmp_path / f"{count}.mp4", tmp_path / f"output{count}.mp4"
        images = draw_frames(person(0), anchor.reconstruction.select(np.arange(count)))
        write_frames(path, images, np.arange(count) / 25, Fraction(25))
        made = generate(anchor, speech, output, clip=path, expression=expression_file, device="cpu")
        assert made["frames"] == frames_of(output) == 33
        with pytest.raises(NoFaceError, match="10 are needed"):
            train(path, tmp_path / "anchor", steps=1, device="cpu")


def test_a_clip_without_a_key_frame_at_its_start(
    anchor: Anchor, speech: Path, expression_file: Path, tmp_path: Path
) -> None:
    """Cut out of a stream: what cannot be decoded before the first key frame is left out, sound and pictures agree."""
    whole, cut = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    images = list(draw_frames(person(0), anchor.reconstruction.select(np.arange(12))))
    with av.open(str(whole), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "5", "bf": "0", "sc_threshold": "0"})
        stream.width, stream.height, stream.pix_fmt = images[0].shape[1], images[0].shape[0], "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    with av.open(str(whole)) as source, av.open(str(cut), "w") as target:
        copied = target.add_stream_from_template(source.streams.video[0])
        for packet in list(source.demux(video=0))[1:]:
            if packet.dts is not None:
                packet.stream = copied
                target.mux(packet)
    with VideoReader(cut) as reader:
        frames = list(reader)
    assert 7 <= len(frames) <= 11 and frames[0].time_s == 0.0
    made = generate(anchor, speech, tmp_path / "output.mp4", clip=cut, expression=expression_file, device="cpu")
    assert made["frames"] == frames_of(tmp_path / "output.mp4") == 33


@pytest.mark.slow
def test_a_clip_in_4k(anchor: Anchor, speech: Path, expression_file: Path, tmp_path: Path) -> None:
    small = list(draw_frames(person(0), anchor.reconstruction.select(np.arange(3))))
    images = (
        np.pad(image.repeat(8, 0).repeat(8, 1), ((56, 56), (896, 896), (0, 0)), mode="edge")[:2160] for image in small
    )
    clip = write_frames(tmp_path / "4k.mp4", images, np.arange(3) / 25, Fraction(25))
    made = generate(anchor, speech, tmp_path / "output.mp4", clip=clip, expression=expression_file, device="cpu")
    with VideoReader(tmp_path / "output.mp4") as reader:
        assert (reader.info.width, reader.info.height) == (3840, 2160)
        assert sum(1 for _ in reader) == made["frames"] == 33
    assert made["frames_passed_through"] == 0


def test_the_clock_may_jump(
    anchor: Anchor, speech: Path, expression_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that is measured or waited for goes by the wall clock."""
    times = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time", lambda: float(next(times)))
    made = generate(anchor, speech, tmp_path / "output.mp4", expression=expression_file, device="cpu")
    assert 0 < made["seconds"] < 1000


def test_frames_are_values(anchor: Anchor, speech: Path, expression_file: Path) -> None:
    """A service may change a frame that it was given without changing the next ones."""
    with generate(anchor, speech, expression=expression_file, device="cpu") as stream:
        frames: list[Frame] = []
        for frame in stream:
            frames.append(Frame(frame.image.copy(), frame.time_s))
            if frame.image.flags.writeable:
                frame.image[:] = 0
    assert min(frame.image.mean() for frame in frames) > 10

"""Speech files with several tracks, gaps or late pictures, through to the output and its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from click.testing import CliRunner
from joined_files import encode_audio, loudest_hz, tone
from media_files import numbered_image, write_with_av

from talkinghead.cli.main import main
from talkinghead.errors import NoAudioError, OptionError
from talkinghead.generation import pipeline
from talkinghead.generation.pipeline import generate
from talkinghead.media.audio_reader import read_audio

pytestmark = pytest.mark.usefixtures("own_caches")


def two_tracks(path: Path) -> Path:
    """440 Hz, and 880 Hz of which half a second is missing after 0.3 s."""
    with av.open(str(path), "w") as container:
        streams = [cast(AudioStream, container.add_stream("pcm_s16le", rate=48000, layout="mono")) for _ in range(2)]
        encode_audio(container, streams[0], tone(440, 1.0, 48000), 0.0)
        encode_audio(container, streams[1], tone(880, 0.3, 48000), 0.0)
        later = tone(880, 0.4, 48000)
        for start in range(0, len(later), 1024):
            frame = av.AudioFrame.from_ndarray(
                (later[None, start : start + 1024] * 32767).astype(np.int16), "s16", "mono"
            )
            frame.sample_rate, frame.pts = 48000, 38400 + start
            packet = av.Packet(frame.to_ndarray().tobytes())
            packet.stream, packet.time_base = streams[1], streams[1].codec_context.time_base
            packet.pts = packet.dts = 38400 + start
            container.mux(packet)
    return path


def test_the_chosen_track_is_in_the_output_and_its_gap_in_the_report(
    anchor_folder: Path, expression_file: Path, tmp_path: Path
) -> None:
    speech, output = two_tracks(tmp_path / "speech.mkv"), tmp_path / "output.mp4"
    report = generate(anchor_folder, speech, output, expression=expression_file, audio_track=2, device="cpu")
    assert report["audio_gaps"] == 1 and report["audio_missing_s"] == pytest.approx(0.5, abs=0.002)
    assert "Number 2 is used" in report["remarks"][0] and "lacks 0.50 s" in report["remarks"][1]
    assert report["duration_s"] == pytest.approx(1.2, abs=0.002)
    samples = read_audio(output, 48000).samples
    assert len(samples) == pytest.approx(57600, abs=100)
    assert loudest_hz(samples[2000:12000], 48000) == pytest.approx(880, abs=10)
    assert np.abs(samples[18000:35000]).max() < 0.01


def test_the_command_says_so_before_the_first_frame(anchor_folder: Path, expression_file: Path, tmp_path: Path) -> None:
    speech = two_tracks(tmp_path / "speech.mkv")
    command = ["generate", anchor_folder, speech, "-o", tmp_path / "o.mp4", "--expression", expression_file]
    result = CliRunner().invoke(main, [str(word) for word in [*command, "--device", "cpu", "--audio-track", "1"]])
    assert result.exit_code == 0
    assert "Number 1 is used; --audio-track takes another." in result.stderr
    result = CliRunner().invoke(main, [str(word) for word in [*command, "--audio-track", "3", "--overwrite"]])
    assert result.exit_code == NoAudioError.exit_code and "no audio track 3" in result.stderr


def test_a_video_track_needs_a_clip(anchor_folder: Path, speech: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="video_track"):
        generate(anchor_folder, speech, tmp_path / "o.mp4", video_track=2)


def test_a_video_that_is_speech_and_expression_keeps_its_sync(
    anchor_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its pictures begin 0.4 s after its audio, which is time 0, so do its measured expressions."""
    video = write_with_av(
        tmp_path / "actor.mkv", [numbered_image(number) for number in range(25)], video_start_s=0.4, audio_start_s=0.0
    )
    asked = []

    def measured(anchor: Any, source: Path, times_s: np.ndarray, face: str, first_row: int) -> np.ndarray:
        asked.append(times_s)
        return np.tile(anchor.rest_expression(), (len(times_s), 1)).astype(np.float32)

    monkeypatch.setattr(pipeline, "expression_from_file", measured)
    for speech in (video, write_with_av(tmp_path / "other.mkv", [numbered_image(1)], audio_start_s=0.0)):
        stream = generate(anchor_folder, speech, expression=video, device="cpu")
        stream.close()
    assert asked[0][0] == pytest.approx(-0.4, abs=0.025)
    assert asked[1][0] == 0

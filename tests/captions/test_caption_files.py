"""SubRip and WebVTT, read back by FFmpeg and by this project's reader."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from av.subtitles.codeccontext import SubtitleCodecContext

from talkinghead.captions.caption_files import check_captions_path, write_captions
from talkinghead.captions.cues import Cue
from talkinghead.errors import OutputError
from talkinghead.text_to_speech.formats.subtitles import read_subtitles

CUES = (
    Cue(("Good evening, <all> & --> co.",), 0.3, 1.3004),
    Cue(("Two lines", "of this"), 59.9996, 62.5),
    Cue(("你好",), 3723.004, 3725.0),
)


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
def test_ffmpeg_reads_times_and_texts(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"captions{suffix}"
    write_captions(path, CUES)
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        assert isinstance(stream.codec_context, SubtitleCodecContext)
        found = [
            (float(packet.pts * packet.time_base), float(packet.duration * packet.time_base), bytes(packet).decode())
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None and packet.duration is not None and packet.time_base is not None
        ]
    assert [start for start, _, _ in found] == [0.3, 60.0, 3723.004]
    assert [round(duration, 3) for _, duration, _ in found] == [1.0, 2.5, 1.996]
    assert found[1][2] == "Two lines\nof this" and found[2][2] == "你好"


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
def test_the_projects_own_reader_reads_them(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"captions{suffix}"
    write_captions(path, CUES)
    passages = read_subtitles(path.read_text("utf-8")).passages
    assert [passage.start_s for passage in passages] == pytest.approx([0.3, 60.0, 3723.004])
    assert [passage.text for passage in passages[1:]] == ["Two lines\nof this", "你好"]
    if suffix == ".vtt":
        assert passages[0].text == "Good evening, <all> & --> co."
    else:
        assert path.read_text("utf-8").count("-->") == 3


def test_other_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.srt, \.vtt"):
        check_captions_path(tmp_path / "captions.txt", overwrite=False)

"""What is worth knowing of a file that is used all the same, one sentence each."""

from __future__ import annotations

from pathlib import Path

from talkinghead.errors import NoVideoError
from talkinghead.media.audio_reader import AudioFile
from talkinghead.media.containers import find_video_stream, open_input, parts_of, usable_video_streams
from talkinghead.media.tracks import audio_tracks, preferred
from talkinghead.structures import DEFAULT_TRACKS, Tracks

_SIDES = ("left", "right")


def audio_remarks(audio: AudioFile) -> list[str]:
    """Remarks on the audio of a file: several tracks, several recordings, gaps, channels that cancel each other.

    Raises:
        MissingFileError, NoAudioError, MediaError: it cannot be read.
    """
    path, survey = audio.path, audio.survey
    remarks = []
    if survey.tracks > 1:
        found = audio_tracks(path)
        used = preferred(found).number if audio.tracks.audio is None else audio.tracks.audio
        remarks.append(
            f"{path} has {len(found)} audio tracks: {'; '.join(map(str, found))}. Number {used} is used; --audio-track "
            "takes another."
        )
    if survey.parts > 1:
        remarks.append(f"{path} is {survey.parts} recordings one after the other; all are used.")
    if survey.gaps:
        places = "one place" if survey.gaps == 1 else f"{survey.gaps} places"
        remarks.append(f"{path} lacks {survey.missing_s:.2f} s of audio in {places}; it is silent there.")
    if survey.channel is not None:
        remarks.append(
            f"{path}: its two channels cancel each other, as with one wired in opposite phase; for the mouth, the "
            f"{_SIDES[survey.channel]} one is used alone."
        )
    return remarks


def video_remarks(path: Path, tracks: Tracks = DEFAULT_TRACKS) -> list[str]:
    """Remarks on the video of a file: several tracks, several recordings.

    Raises:
        MissingFileError, NoVideoError, MediaError: it cannot be read.
    """
    with open_input(path) as container:
        streams = usable_video_streams(container)
        if not streams:
            raise NoVideoError(f"{path}: the file has no video; give a video clip")
        sizes = [f"{stream.width} x {stream.height}" for stream in streams]
        used = streams.index(find_video_stream(container, path, tracks.video)) + 1
    remarks = []
    if len(sizes) > 1:
        numbered = "; ".join(f"{number} ({size})" for number, size in enumerate(sizes, 1))
        remarks.append(
            f"{path} has {len(sizes)} video tracks: {numbered}. Number {used} is used; --video-track takes another."
        )
    if (parts := len(parts_of(path))) > 1:
        remarks.append(f"{path} is {parts} recordings one after the other; all are used.")
    return remarks

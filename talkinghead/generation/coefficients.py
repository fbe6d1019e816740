"""What drives an anchor, as a file: predicted from speech, measured in a video, or converted from another file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.device import choose_device
from talkinghead.errors import NoVideoError, SpeechTooShortError
from talkinghead.files import PathLike, check_output_path, missing_file
from talkinghead.generation.coefficient_files import (
    TABLE_SUFFIXES,
    format_of,
    is_table,
    read_coefficients,
    write_coefficients,
)
from talkinghead.generation.coefficients_config import CoefficientsConfig
from talkinghead.generation.config import GenerationConfig
from talkinghead.generation.driving import expression_from_speech, load_speech_model, measure_expression
from talkinghead.generation.pipeline import is_own_voice
from talkinghead.generation.timeline import frame_count
from talkinghead.media.audio_reader import AudioFile
from talkinghead.media.video_reader import read_video_info
from talkinghead.speech.encoder import SHORTEST_SPEECH_S
from talkinghead.structures import FloatArray

Coefficients = tuple[FloatArray, NDArray[np.float64]]
"""(T, K) coefficients in standard deviations, and their (T,) times in seconds."""
Kind = Literal["speech", "video", "table"]


def write_driving(
    anchor: PathLike | Anchor,
    source: PathLike,
    output: PathLike,
    config: CoefficientsConfig | None = None,
    *,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the coefficients with which a source drives an anchor; `generate --expression` reads every such file.

    Args:
        anchor: ANCHOR folder, the bare name of a built-in one, or a loaded one.
        source: a recording, a video, or a file of coefficients in any format.
        output: the file.
        config: None for the default.
        overwrite: whether an existing file is replaced.

    Returns:
        What was written: output, format, read_as (speech, video or table), rows, duration_s, times_from_s (of the
        first row).

    Raises:
        MissingFileError, MediaError, NoAudioError, NoFaceError, SpeechTooShortError, CoefficientError: the source
            cannot be used.
        OptionError, OutputError, OutputExistsError: the output cannot be written, or its name does not go with the
            format.
        CheckpointError, ModelUnavailableError: as `load_anchor`, and as `load_speech_model`.
    """
    config, source, output = config or CoefficientsConfig(), Path(source), Path(output)
    format_ = format_of(output, config.format)
    check_output_path(output, overwrite=overwrite, suffixes=TABLE_SUFFIXES)
    if not source.is_file():
        raise missing_file(source)
    kind = _kind(source, config)
    loaded = anchor if isinstance(anchor, Anchor) else load_anchor(anchor)
    expression, times_s = _FINDERS[kind](loaded, source, config)
    write_coefficients(loaded, output, expression, times_s, format_)
    return {
        "output": str(output),
        "format": format_,
        "read_as": kind,
        "rows": len(times_s),
        "times_from_s": round(float(times_s[0]), 6),
        "duration_s": round(float(times_s[-1] - times_s[0]), 6),
    }


def _kind(source: Path, config: CoefficientsConfig) -> Kind:
    """What a source is read as."""
    if is_table(source):
        return "table"
    if config.read_as != "auto":
        return config.read_as
    try:
        read_video_info(source)
    except NoVideoError:
        return "speech"
    return "video"


def _of_table(anchor: Anchor, source: Path, config: CoefficientsConfig) -> Coefficients:
    """Rows without times are those of the anchor's own frames."""
    expression, times_s = read_coefficients(anchor, source)
    if times_s is None:
        times_s = np.arange(len(expression)) / float(read_video_info(anchor.clip, anchor.tracks).frame_rate)
    return expression, times_s


def _of_video(anchor: Anchor, source: Path, config: CoefficientsConfig) -> Coefficients:
    return measure_expression(anchor, source, config.face)


def _of_speech(anchor: Anchor, source: Path, config: CoefficientsConfig) -> Coefficients:
    """One row for each frame of the anchor, from the beginning of the speech."""
    audio = AudioFile(source, whole=True)
    duration_s = audio.duration_s
    if duration_s < SHORTEST_SPEECH_S:
        raise SpeechTooShortError(f"{source} lasts {duration_s:.2f} s; {SHORTEST_SPEECH_S} s are needed.")
    rate = read_video_info(anchor.clip, anchor.tracks).frame_rate
    times_s = np.arange(frame_count(duration_s, rate)) / float(rate)
    own_voice = is_own_voice(anchor, source, GenerationConfig(voice_is_anchor=config.voice_is_anchor))
    speech_model = load_speech_model(anchor, config.speech_encoder, choose_device(config.device))
    return expression_from_speech(anchor, speech_model, audio, times_s, own_voice=own_voice), times_s


_FINDERS: dict[Kind, Callable[[Anchor, Path, CoefficientsConfig], Coefficients]] = {
    "table": _of_table,
    "video": _of_video,
    "speech": _of_speech,
}

"""What an output shows of the whole, and what is heard with it: speech and leads, or the stretch of a preview."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import OptionError
from talkinghead.generation.leads import Leads
from talkinghead.generation.output_options import TimeRange
from talkinghead.generation.timeline import Timeline
from talkinghead.media.audio_reader import AudioFile
from talkinghead.media.audio_writer import AudioExcerpt

SAME_TIME_S = 1e-6
"""Times that differ by less are the same."""


@dataclass(frozen=True)
class OutputTimes:
    """The frames of an output and their times, on the output's clock and on that of the speech."""

    timeline: Timeline
    """Of the frames that are made, the first at time 0."""
    speech_times_s: NDArray[np.float64]
    """(T,) the same times from the beginning of the speech; negative in the lead-in."""
    first_row: int
    """Number of the first frame, counted from the first one of the speech; negative in the lead-in."""
    stretch: TimeRange
    """Where the output lies in the whole."""
    audio: AudioExcerpt
    """What is heard with the frames."""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.stretch.end_s - self.stretch.begin_s


def whole_output(whole: Timeline, leads: Leads, speech: AudioFile, speech_s: float) -> OutputTimes:
    """The whole output: lead-in, speech and lead-out.

    Args:
        whole: timeline of all three.
        leads: their lengths.
        speech: what is said.
        speech_s: length of the speech.
    """
    return OutputTimes(
        whole,
        whole.times_s - leads.before_s,
        first_row=-_first_at(whole, leads.before_s),
        stretch=TimeRange(0.0, leads.before_s + speech_s + leads.after_s),
        audio=AudioExcerpt(speech.path, 0.0 - leads.before_s, None, leads.after_s, speech.tracks),
    )


def preview(whole: OutputTimes, wanted: TimeRange) -> OutputTimes:
    """The frames that are shown from the beginning of a range to before its end, at least one.

    Raises:
        OptionError: the output ends before the range begins.
    """
    timeline = whole.timeline
    if wanted.begin_s >= whole.duration_s - SAME_TIME_S:
        raise OptionError(
            f"preview begins at {wanted.begin_s:g} s, and the video ends at {whole.duration_s:.2f} s; give an earlier "
            "range."
        )
    first = min(_first_at(timeline, wanted.begin_s), len(timeline) - 1)
    end = max(_first_at(timeline, wanted.end_s), first + 1)
    begin_s = float(timeline.times_s[first])
    end_s = float(timeline.times_s[end]) if end < len(timeline) else None
    heard = whole.audio
    return OutputTimes(
        replace(timeline, frames=timeline.frames[first:end], times_s=timeline.times_s[first:end] - begin_s),
        whole.speech_times_s[first:end],
        first_row=whole.first_row + first,
        stretch=TimeRange(begin_s, whole.stretch.end_s if end_s is None else end_s),
        audio=replace(heard, begin_s=heard.begin_s + begin_s, end_s=None if end_s is None else heard.begin_s + end_s),
    )


def _first_at(timeline: Timeline, time_s: float) -> int:
    """Number of the first frame at a time or after it."""
    return int(np.searchsorted(timeline.times_s, time_s - SAME_TIME_S))

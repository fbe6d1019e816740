"""Every error that talkinghead raises on purpose, one class for each cause.

The message is one line: what is wrong and what to do about it. `exit_code` is the status of the command line, by BSD's
sysexits.h where that has a fitting one, so that shell scripts can tell the causes apart.
"""

from __future__ import annotations


class TalkingHeadError(Exception):
    """Base of all errors raised on purpose; the command line prints the message and exits with `exit_code`."""

    exit_code = 1


class MissingFileError(TalkingHeadError):
    """A named file or folder does not exist or cannot be opened; correct the path or its permissions."""

    exit_code = 66  # EX_NOINPUT


class MediaError(TalkingHeadError):
    """An audio or video file is empty, cut short, damaged or of an unknown format; convert it or take another one."""

    exit_code = 65  # EX_DATAERR


class NoVideoError(MediaError):
    """The file given as a clip has no video stream; give a video."""


class NoAudioError(MediaError):
    """The file given as speech has no audio stream; give one with audio."""


class SpeechTooShortError(MediaError):
    """The speech is too short to drive a mouth movement; give a longer recording."""


class NoFaceError(TalkingHeadError):
    """The clip shows no usable face, or not in enough frames; take a clip in which the face is seen from the front."""

    exit_code = 65


class OtherPersonError(NoFaceError):
    """A clip does not show the person of the anchor; take a clip that does, or train an anchor on it."""


class UnfitClipError(TalkingHeadError):
    """A clip from which a training would fail or make nothing of worth; take another clip, or train all the same."""

    exit_code = 65


class TrainingInterruptedError(TalkingHeadError):
    """A training was ended by Ctrl-C or `kill`; what is trained is kept, and the same training resumes from there."""

    exit_code = 130  # as shells report an interrupted command


class OptionError(TalkingHeadError):
    """An option is of the wrong type or out of its range."""

    exit_code = 2  # as the command line ends for an option that it cannot read


class CoefficientError(TalkingHeadError):
    """A file of expression coefficients is unreadable, of the wrong shape, or not finite; write it anew."""

    exit_code = 65


class CheckpointError(TalkingHeadError):
    """A checkpoint or ANCHOR folder is damaged, incomplete or of another version; train or install it again."""

    exit_code = 65


class ModelUnavailableError(TalkingHeadError):
    """Third-party weights or their package are missing, or have another sha256; the message says how to get them."""

    exit_code = 69  # EX_UNAVAILABLE


class TextError(TalkingHeadError):
    """The text to be spoken cannot be read; give a text file in UTF-8."""

    exit_code = 65


class NothingToSpeakError(TextError):
    """The text holds nothing that the voice can say: it is empty, or has no words of the voice's language."""


class VoiceUnavailableError(TalkingHeadError):
    """The voice is unknown, not installed, or failed; `talkinghead voices` lists those that can be used."""

    exit_code = 69


class EngineUnavailableError(TalkingHeadError):
    """What a batch was asked to run on is not installed or cannot be reached; install it or run locally."""

    exit_code = 69


class BusyError(TalkingHeadError):
    """The machine would not keep up with one more live session; end another one first."""

    exit_code = 75  # EX_TEMPFAIL


class LabelError(TalkingHeadError):
    """A label cannot be made: no C2PA library, an unfit certificate or key, or a text that the font cannot show."""

    exit_code = 65


class TableError(TalkingHeadError):
    """A table of pairs or of phone times cannot be read; the message names the line or column to correct."""

    exit_code = 65


class JobFileError(TalkingHeadError):
    """The job file of a batch has errors, listed in `problems`; nothing was started. Correct them and start again."""

    exit_code = 2

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems
        """Everything that is wrong with it, one entry each, with the line of the file."""


class OutputExistsError(TalkingHeadError):
    """The output exists, or another process is writing it; choose another name or ask for overwriting."""

    exit_code = 73  # EX_CANTCREAT


class OutputError(TalkingHeadError):
    """The output cannot be written: no permission, no such folder, no space, or a name with another suffix."""

    exit_code = 73

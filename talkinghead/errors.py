"""Every error that talkinghead raises on purpose.

One class a cause, so that a caller can catch just what it can handle. The message is one line and says
what to do. `exit_code` follows BSD's sysexits.h, so that shell scripts can tell the causes apart.
"""

from __future__ import annotations


class TalkingHeadError(Exception):
    """Base of all errors raised on purpose; the command line prints its message and exits with `exit_code`."""

    exit_code = 1


class MissingFileError(TalkingHeadError):
    """A file or folder that was named does not exist or cannot be opened for reading."""

    exit_code = 66  # EX_NOINPUT


class MediaError(TalkingHeadError):
    """A media file is empty, truncated, not a media file at all, or of a kind that cannot be read."""

    exit_code = 65  # EX_DATAERR


class NoVideoError(MediaError):
    """A clip was wanted and the file has no video stream."""


class NoAudioError(MediaError):
    """Speech was wanted and the file has no audio stream."""


class SpeechTooShortError(MediaError):
    """The speech is too short to drive a single mouth movement."""


class NoFaceError(TalkingHeadError):
    """No frame of the clip shows a usable face."""

    exit_code = 65


class OptionError(TalkingHeadError):
    """An option is of the wrong type or out of its range."""

    exit_code = 2  # as the command line ends for an option that it cannot read


class CoefficientError(TalkingHeadError):
    """Expression coefficients are of the wrong shape, not finite, or not readable."""

    exit_code = 65


class CheckpointError(TalkingHeadError):
    """A checkpoint or ANCHOR folder is damaged, incomplete, or of another version."""

    exit_code = 65


class ModelUnavailableError(TalkingHeadError):
    """A third-party weight is not in the cache and could not be fetched, or does not match its sha256."""

    exit_code = 69  # EX_UNAVAILABLE


class TextError(TalkingHeadError):
    """A text that is to be spoken cannot be read."""

    exit_code = 65


class NothingToSpeakError(TextError):
    """The text holds nothing that the voice could say: it is empty, or only blanks, signs, or another language."""


class VoiceUnavailableError(TalkingHeadError):
    """There is no voice of that name, or what it needs is not installed, or it failed."""

    exit_code = 69


class EngineUnavailableError(TalkingHeadError):
    """What a batch shall run on is not installed or cannot be reached."""

    exit_code = 69


class LabelError(TalkingHeadError):
    """A label cannot be made: no C2PA library, an unfit certificate or key, a text that cannot be drawn."""

    exit_code = 65


class TableError(TalkingHeadError):
    """A table that says what to compare with what, or which phone is spoken when, cannot be read."""

    exit_code = 65


class JobFileError(TalkingHeadError):
    """The job file of a batch cannot be used; nothing was started."""

    exit_code = 2

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems
        """Everything that is wrong with it, one line each, with the line of the file."""


class OutputExistsError(TalkingHeadError):
    """The output is there already and overwriting was not asked for."""

    exit_code = 73  # EX_CANTCREAT


class OutputError(TalkingHeadError):
    """The output cannot be written: no permission, no such folder, no space."""

    exit_code = 73

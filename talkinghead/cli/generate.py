"""`talkinghead generate` and `talkinghead speak`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from talkinghead.cli.consent import remind_of_missing_consent
from talkinghead.cli.options import (
    STANDARD_INPUT,
    TEXT_FILE_HELP,
    VOICE_HELP,
    caption_options,
    config_options,
    shared_options,
    text_options,
)
from talkinghead.cli.output import echo, echo_pictures, echo_skipped, print_json, progress_bar
from talkinghead.errors import TextError, VoiceUnavailableError
from talkinghead.generation.config import GenerationConfig
from talkinghead.generation.outcome import MOSTLY_PASSED_THROUGH, describe_passed_through, is_mostly_passed_through
from talkinghead.generation.output_options import FIRST_SECONDS
from talkinghead.locale.messages import translated
from talkinghead.options.fields import options_of
from talkinghead.processes.collection import collection_paused
from talkinghead.processes.heaps import limit_heaps
from talkinghead.text_to_speech.config import SpeakingConfig

if TYPE_CHECKING:
    from talkinghead.captions.visemes import VisemeSet
    from talkinghead.text_to_speech import Script


@click.command()
@click.argument("anchor", type=click.Path(path_type=Path))
@click.argument("speech", required=False, type=click.Path(path_type=Path))
@text_options
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Video to write (.mp4).")
@config_options(GenerationConfig, bare={"preview": FIRST_SECONDS})
@config_options(SpeakingConfig, "speaking")
@click.option("--contact-sheet", type=click.Path(path_type=Path), help="Also write frames of the video as one PNG.")
@caption_options
@click.option(
    "--sign",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="CERT KEY",
    help="Sign the video with a C2PA manifest; both files in PEM form.",
)
@shared_options("overwrite", "quiet", "json")
def generate(
    anchor: Path,
    speech: Path | None,
    text: str | None,
    text_file: Path | None,
    voice: str | None,
    output: Path,
    speaking: SpeakingConfig,
    config: GenerationConfig,
    contact_sheet: Path | None,
    subtitles: Path | None,
    visemes: Path | None,
    viseme_set: VisemeSet,
    sign: tuple[Path, Path] | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make a video of ANCHOR saying SPEECH (any audio or video file) or a text.

    ANCHOR is a folder that `talkinghead train` made, or a built-in one: henrik or presenter.
    """
    limit_heaps(1)
    with collection_paused():
        source = _speech(anchor, speech, text, text_file, voice, speaking)
        from talkinghead.captions.visemes import VisemeFile
        from talkinghead.generation.pipeline import VideoOutput, write_video
        from talkinghead.provenance.c2pa import Signer

    signer = Signer.load(*sign) if sign else None
    shapes = None if visemes is None else VisemeFile(visemes, viseme_set)
    video = VideoOutput(output, contact_sheet, signer, overwrite, subtitles, shapes)
    with progress_bar(quiet or as_json) as bar:
        task = bar.add_task(translated("Preparing"), total=None, note="")

        def show(done: int, count: int) -> None:
            note = f"{done} of {count}"
            bar.update(task, description="Writing frames", total=count, completed=done, note=note)

        def remark(sentence: str) -> None:
            if not quiet:
                bar.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

        report = write_video(anchor, source, video, config, show, remark)
    remind_of_missing_consent(report["consent"], anchor, quiet)
    if report["speech_adaptation"] == "outdated" and not quiet:
        echo(f"{anchor} was adapted to another speech predictor; train it again to use that.", err=True)
    if as_json:
        print_json(report)
    elif not quiet:
        _echo_report(report, contact_sheet)
    if is_mostly_passed_through(report):
        raise click.exceptions.Exit(MOSTLY_PASSED_THROUGH)


def _echo_report(report: dict[str, Any], contact_sheet: Path | None) -> None:
    """Print the report of a video for people."""
    preview = report["preview"]
    what = "s of video" if preview is None else f"s as a PREVIEW of {preview[0]:.1f} to {preview[1]:.1f} s of the video"
    echo(
        f"{report['output']}: {report['duration_s']:.1f} {what}, {report['width']}x{report['height']}, "
        f"{report['frames']} frames at {report['fps']:.6g} fps, made in {report['seconds']:.1f} s "
        f"({report['frames_per_second']:.1f} frames per second)"
    )
    if report["enlargement"] is not None:
        echo(
            f"The picture is enlarged {report['enlargement']:g} times, which adds no detail: its clip has no more.",
            err=True,
        )
    if contact_sheet is not None:
        echo(f"{contact_sheet}: look at it first")
    echo_pictures(report["pictures"])
    if report["frames_passed_through"]:
        echo(describe_passed_through(report), err=is_mostly_passed_through(report))
    echo_skipped(report.get("text_to_speech"))


@click.command()
@click.argument("text", required=False)
@click.option("--text-file", type=click.Path(path_type=Path, allow_dash=True), help=TEXT_FILE_HELP)
@click.option("--voice", help=VOICE_HELP)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Audio file to write (.wav).")
@config_options(SpeakingConfig, "speaking")
@click.option("--phones", type=click.Path(path_type=Path), help="Also write its phones and their times, for --phones.")
@caption_options
@shared_options("overwrite", "quiet", "json")
def speak(
    text: str | None,
    text_file: Path | None,
    voice: str | None,
    output: Path,
    speaking: SpeakingConfig,
    phones: Path | None,
    subtitles: Path | None,
    visemes: Path | None,
    viseme_set: VisemeSet,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Speak TEXT into an audio file, as `generate --text` does for a video."""
    if (text is None) == (text_file is None):
        raise click.UsageError("Give either TEXT or --text-file.")
    script = _script(text, text_file, voice, speaking)
    from talkinghead.captions.caption_files import check_captions_path, write_captions
    from talkinghead.captions.cues import make_cues
    from talkinghead.captions.visemes import VisemeFile
    from talkinghead.files import check_output_path
    from talkinghead.speech.phone_times import write_phone_times
    from talkinghead.text_to_speech.speech_file import write_speech

    shapes = None if visemes is None else VisemeFile(visemes, viseme_set)
    if phones is not None:
        check_output_path(phones, overwrite=overwrite, suffixes=(phones.suffix.lower(),))
    if subtitles is not None:
        check_captions_path(subtitles, overwrite=overwrite)
    if shapes is not None:
        shapes.check(overwrite=overwrite)
    spoken = write_speech(script, output, overwrite=overwrite)
    made = spoken.report
    if subtitles is not None:
        write_captions(subtitles, make_cues(spoken.words))
    if (phones is not None or shapes is not None) and spoken.phones is None:
        raise VoiceUnavailableError(f"{made['engine']} does not tell phones; {output} was written without them.")
    if phones is not None and spoken.phones is not None:
        write_phone_times(phones, spoken.phones)
    if shapes is not None and spoken.phones is not None:
        shapes.write(spoken.phones, made["duration_s"], output)
    if as_json:
        print_json({"output": str(output), **made})
    elif not quiet:
        echo(f"{output}: {made['duration_s']:.1f} s, spoken by {made['voice']}")
        echo_skipped(made, spoken.skipped)


def _speech(
    anchor: Path,
    speech: Path | None,
    text: str | None,
    text_file: Path | None,
    voice: str | None,
    speaking: SpeakingConfig,
) -> Path | Script:
    """The speech file, or the script of a text, whichever was given."""
    if sum(given is not None for given in (speech, text, text_file)) != 1:
        raise click.UsageError("Give one of SPEECH, --text and --text-file.")
    if speech is not None:
        if voice is not None:
            raise click.UsageError("--voice goes with --text or --text-file, not with SPEECH.")
        changed = [one.name for one in options_of(SpeakingConfig) if getattr(speaking, one.name) != one.default]
        if changed:
            raise click.UsageError(
                f"--{changed[0].replace('_', '-')} goes with --text or --text-file, not with SPEECH."
            )
        return speech
    from talkinghead.anchor import anchor_voice

    return _script(text, text_file, voice or anchor_voice(anchor), speaking)


def _script(text: str | None, text_file: Path | None, voice: str | None, speaking: SpeakingConfig) -> Script:
    """The text, or that of the file, with its voice and how it is spoken."""
    from talkinghead.text_to_speech import DEFAULT_VOICE, Script

    content = read_script_text(text_file or STANDARD_INPUT) if text is None else text
    return Script(content, voice or DEFAULT_VOICE, speaking)


def read_script_text(path: Path) -> str:
    """The content of a text file in UTF-8, with or without a byte order mark; - is standard input."""
    from talkinghead.files import decode_text, read_text

    if path == STANDARD_INPUT:
        return decode_text(sys.stdin.buffer.read(), "The text on standard input", error=TextError)
    return read_text(path, error=TextError)

"""`talkinghead generate` and `talkinghead speak`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from talkinghead.cli.options import (
    STANDARD_INPUT,
    TEXT_FILE_HELP,
    VOICE_HELP,
    face_option,
    shared_options,
    text_options,
)
from talkinghead.cli.output import echo_skipped, print_json, progress_bar, warn_of_missing_consent
from talkinghead.errors import MissingFileError, TextError

if TYPE_CHECKING:
    from talkinghead.structures import FaceChoice
    from talkinghead.text_to_speech import Script


@click.command()
@click.argument("anchor", type=click.Path(path_type=Path))
@click.argument("speech", required=False, type=click.Path(path_type=Path))
@text_options
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The video to write (.mp4).")
@click.option("--clip", type=click.Path(path_type=Path), help="Take the frames from this clip of the same person.")
@click.option(
    "--expression",
    type=click.Path(path_type=Path),
    help="Coefficients from a .safetensors or .csv file, or measured from a video, instead of from SPEECH.",
)
@click.option("--speech-encoder", help="Folder or cached hub name of another wav2vec2-family encoder.")
@click.option(
    "--intensity", default=1.0, show_default=True, help="How far the mouth moves: 0 is at rest, 1 the anchor's own way."
)
@click.option("--attack-ms", type=click.FloatRange(1), help="Time in which the mouth leaves its rest.  [default: 140]")
@click.option("--release-ms", type=click.FloatRange(1), help="Time in which it comes to rest.  [default: 180]")
@click.option("--contact-sheet", type=click.Path(path_type=Path), help="Also write frames of the video as a PNG.")
@face_option
@click.option("--visible-label", metavar="TEXT", help="Draw a short text into a corner of every frame.")
@click.option("--label-font", type=click.Path(path_type=Path), help="Font of that text, for other than Latin letters.")
@click.option(
    "--sign",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="CERT KEY",
    help="Sign the video with a C2PA manifest; both in PEM form.",
)
@shared_options("device", "overwrite", "quiet", "json")
def generate(
    anchor: Path,
    speech: Path | None,
    text: str | None,
    text_file: Path | None,
    voice: str | None,
    output: Path,
    clip: Path | None,
    expression: Path | None,
    speech_encoder: str | None,
    intensity: float,
    attack_ms: float | None,
    release_ms: float | None,
    contact_sheet: Path | None,
    face: FaceChoice,
    visible_label: str | None,
    label_font: Path | None,
    sign: tuple[Path, Path] | None,
    device: str,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make a video of ANCHOR saying SPEECH (any sound or video file), or a text.

    ANCHOR is a folder that `talkinghead train` made, or the built-in one: presenter.
    """
    said = _speech(speech, text, text_file, voice)
    from talkinghead.generation.pipeline import generate as generate_video
    from talkinghead.provenance.c2pa import Signer
    from talkinghead.speech.voice_activity import VoiceActivityConfig

    times = {"attack_ms": attack_ms, "release_ms": release_ms}
    pauses = VoiceActivityConfig(**{name: value for name, value in times.items() if value is not None})
    with progress_bar(quiet or as_json) as bar:
        task = bar.add_task("Preparing", total=None, note="")
        made = generate_video(
            anchor,
            said,
            output,
            clip=clip,
            expression=expression,
            speech_encoder=speech_encoder,
            intensity=intensity,
            pauses=pauses,
            face=face,
            visible_label=visible_label,
            label_font=label_font,
            device=device,
            contact_sheet=contact_sheet,
            signer=Signer.load(*sign) if sign else None,
            overwrite=overwrite,
            progress=lambda done, count: bar.update(
                task, description="Writing frames", total=count, completed=done, note=f"{done} of {count}"
            ),
        )
    warn_of_missing_consent(made["consent"], anchor, quiet)
    if as_json:
        print_json(made)
    elif not quiet:
        click.echo(
            f"{made['output']}: {made['duration_s']:.1f} s of video, {made['frames']} frames at {made['fps']:.6g} fps, "
            f"made in {made['seconds']:.1f} s ({made['frames_per_second']:.1f} frames per second)"
        )
        if contact_sheet is not None:
            click.echo(f"{contact_sheet}: look at it first")
        if made["frames_passed_through"]:
            reasons = ", ".join(f"{reason}: {count}" for reason, count in made["passed_through"].items())
            click.echo(f"{made['frames_passed_through']} frames were passed through unchanged ({reasons}).")
        echo_skipped(made.get("text_to_speech"))


@click.command()
@click.argument("text", required=False)
@click.option("--text-file", type=click.Path(path_type=Path, allow_dash=True), help=TEXT_FILE_HELP)
@click.option("--voice", help=VOICE_HELP)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The sound to write (.wav).")
@shared_options("overwrite", "quiet", "json")
def speak(
    text: str | None,
    text_file: Path | None,
    voice: str | None,
    output: Path,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Say TEXT to a sound file: what `generate --text` would let an anchor say."""
    if (text is None) == (text_file is None):
        raise click.UsageError("Give either TEXT or --text-file.")
    script = _script(text, text_file, voice)
    from talkinghead.text_to_speech.speech_file import write_speech

    made = write_speech(script, output, overwrite=overwrite)
    if as_json:
        print_json({"output": str(output), **made})
    elif not quiet:
        click.echo(f"{output}: {made['duration_s']:.1f} s, said by {made['voice']}")
        echo_skipped(made)


def _speech(speech: Path | None, text: str | None, text_file: Path | None, voice: str | None) -> Path | Script:
    """The one of SPEECH, --text and --text-file that was given."""
    if sum(given is not None for given in (speech, text, text_file)) != 1:
        raise click.UsageError("Give one of SPEECH, --text and --text-file.")
    if speech is not None:
        if voice is not None:
            raise click.UsageError("--voice goes with --text or --text-file; SPEECH has its own voice.")
        return speech
    return _script(text, text_file, voice)


def _script(text: str | None, text_file: Path | None, voice: str | None) -> Script:
    from talkinghead.text_to_speech import DEFAULT_VOICE, Script

    return Script(_read_text(text_file or STANDARD_INPUT) if text is None else text, voice or DEFAULT_VOICE)


def _read_text(path: Path) -> str:
    """A text file, with or without a byte order mark; - is standard input."""
    if path == STANDARD_INPUT:
        raw = sys.stdin.buffer.read()
    else:
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise MissingFileError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextError(f"{path} is not text in UTF-8 (byte {error.start}); convert it first") from error

"""The command line. Heavy modules are imported inside the commands, so that --help and --version answer at once."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from talkinghead import __version__
from talkinghead.cli.batch import batch
from talkinghead.errors import MissingFileError, TalkingHeadError, TextError
from talkinghead.weights import registry as weights

if TYPE_CHECKING:
    from talkinghead.face.landmarks import FaceChoice
    from talkinghead.text_to_speech import Script

# OpenMP's threads wait for each other by spinning, which halves the speed as soon as anything else runs on the machine.
# It is read when torch is loaded, which this module does not do.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

FEW_STEPS = 250
"""A shorter training is remarked on: what it makes is not fit to be shown."""
REMARKABLE_LAG_MS = 60
"""A lag of a clip's sound that the eye can see is remarked on."""
LONGEST_SHOWN = 1000
"""Characters of a foreign text."""
INTERRUPTED = 130  # what a shell reports for a command that Ctrl-C ended

Command = TypeVar("Command", bound=Callable[..., Any])

_SHARED_OPTIONS = {
    "device": click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda."),
    "overwrite": click.option("--overwrite", is_flag=True, help="Replace the output if it is there already."),
    "quiet": click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors."),
    "json": click.option("--json", "as_json", is_flag=True, help="End with one JSON object on standard output."),
}


def shared_options(*names: str) -> Callable[[Command], Command]:
    """Give a command those of the options `device`, `overwrite`, `quiet` and `json` (passed as `as_json`) it uses."""

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            command = _SHARED_OPTIONS[name](command)
        return command

    return decorate


TABLE_WIDTH = 100
"""Characters of a table that goes into a file or a pipe, at least."""
STANDARD_INPUT = Path("-")
_TEXT_FILE_HELP = "Read the text from a file in UTF-8, or from standard input (-)."
_VOICE_HELP = "Who says the text; `talkinghead voices` lists them, the default first."


def text_options(command: Command) -> Command:
    """Give a command `--text`, `--text-file` and `--voice`, each None where it is not used."""
    for option in (
        click.option("--voice", help=_VOICE_HELP),
        click.option("--text-file", type=click.Path(path_type=Path, allow_dash=True), help=_TEXT_FILE_HELP),
        click.option("--text", help="Say this instead of SPEECH; a blank line is a longer pause."),
    ):
        command = option(command)
    return command


class _Face(click.ParamType[Any]):
    """largest, left, right, or a number from 0 on, from the left."""

    name = "largest|left|right|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in ("largest", "left", "right"):
            return value
        if not str(value).isdecimal():
            self.fail(f"{value!r} is none of largest, left, right and numbers from 0 on.", param, ctx)
        return int(value)


face_option = click.option(
    "--face",
    type=_Face(),
    default="largest",
    show_default=True,
    help="Which face, where there are several; N counts from the left, from 0.",
)


class _Commands(click.Group):
    """Shows an error once, in one line on standard error, and ends with its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TalkingHeadError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="talkinghead")
def main() -> None:
    """Make a person's own video clip speak any recording or text."""


main.add_command(batch)


@main.command()
@click.argument("clip", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The ANCHOR folder to make.")
@click.option("--minutes", type=click.FloatRange(min=0.01), help="Length of the training loop.  [default: 15]")
@click.option("--steps", type=click.IntRange(min=1), help="Length of the training loop in steps.")
@click.option("--resume", is_flag=True, help="Go on with a training of this clip that was interrupted.")
@face_option
@click.option("--consent", help="Who agreed to be animated, when and where; kept in the ANCHOR.")
@shared_options("device", "overwrite", "quiet", "json")
def train(
    clip: Path,
    output: Path,
    minutes: float | None,
    steps: int | None,
    resume: bool,
    face: FaceChoice,
    consent: str | None,
    device: str,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make an ANCHOR of the person in CLIP: track, reconstruct, train.

    Half a minute of one person talking to the camera is enough; two minutes are better.
    """
    from talkinghead.training.face_update.train import TrainingProgress
    from talkinghead.training.face_update.train import train as train_anchor

    names = {"tracking": "Tracking the face", "cropping": "Reading the clip", "training": "Training", "done": "Done"}
    with _progress(quiet or as_json) as bar:
        task = bar.add_task("", total=None, note="")

        def report(progress: TrainingProgress) -> None:
            note = f"{progress.step} frames" if progress.stage == "tracking" else ""
            if progress.stage == "training":
                note = f"step {progress.step}"
                if progress.held_out_psnr_db is not None:
                    note += f", unseen frames {progress.held_out_psnr_db:.1f} dB"
            total = 1.0 if progress.stage in ("training", "done") else None
            bar.update(task, description=names[progress.stage], total=total, completed=progress.done, note=note)

        made = train_anchor(
            clip,
            output,
            minutes=minutes,
            steps=steps,
            resume=resume,
            overwrite=overwrite,
            face=face,
            consent=consent,
            device=device,
            report=report,
        )
    _warn_of_missing_consent(consent, output, quiet)
    if as_json:
        _print_json({"anchor": str(output), **made})
    elif not quiet:
        steps_made = made["training"]["steps"]
        click.echo(f"{output}: trained {steps_made} steps. Look at {output / 'training.png'}")
        if steps_made < FEW_STEPS:
            click.echo(f"That is little: below about {FEW_STEPS} steps the mouth is a blur. Give it more --minutes.")
        lag_ms = made["sound"]["lag_ms"]
        if lag_ms is not None and abs(lag_ms) > REMARKABLE_LAG_MS:
            click.echo(
                f"The clip's sound is {abs(lag_ms)} ms {'late' if lag_ms > 0 else 'early'} against its mouth; "
                "that is taken out when speech drives the anchor."
            )


@main.command()
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
    from talkinghead.provenance.metadata import Signer
    from talkinghead.speech.voice_activity import VoiceActivityConfig

    times = {"attack_ms": attack_ms, "release_ms": release_ms}
    pauses = VoiceActivityConfig(**{name: value for name, value in times.items() if value is not None})
    with _progress(quiet or as_json) as bar:
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
    _warn_of_missing_consent(made["consent"], anchor, quiet)
    if as_json:
        _print_json(made)
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
        _echo_skipped(made.get("text_to_speech"))


@main.command()
@click.argument("anchor", type=click.Path(path_type=Path))
@shared_options("json")
def info(anchor: Path, as_json: bool) -> None:
    """Show what an ANCHOR was made from, and who consented."""
    from talkinghead.anchor import read_description
    from talkinghead.weights.bundled import anchor_folder

    description = read_description(anchor_folder(anchor))
    if as_json:
        _print_json({"anchor": str(anchor), **description})
        return
    table = _table("", "")
    for name, value in description.items():
        if isinstance(value, dict) and name != "sha256":
            value = ", ".join(f"{key.replace('_', ' ')} {part}" for key, part in value.items() if key != "sha256")
        if name not in ("sha256", "consent"):
            table.add_row(_foreign(name), _foreign(str(value)))
    table.add_row("consent", _foreign(description["consent"] or "nobody's is recorded"))
    _print_table(table)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@shared_options("json")
def verify(file: Path, as_json: bool) -> None:
    """Tell how FILE is labelled: container tags, IPTC digital source type, C2PA manifest.

    Exit code 1 means that it is not labelled as AI-generated, or that a manifest does not fit it.
    """
    from talkinghead.provenance.metadata import read_labels

    found = read_labels(file)
    if as_json:
        _print_json({"file": str(file), **found.as_json()})
    else:
        table = _table("", "")
        table.add_row("labelled as AI-generated", "yes" if found.ai_generated else "no")
        table.add_row("digital source type", _foreign(found.digital_source_type or "none"))
        for name, value in found.tags.items():
            table.add_row(f"tag {name}", _foreign(value))
        manifest = found.manifest
        table.add_row("C2PA manifest", "none" if manifest is None else str(manifest["state"]))
        for name, value in (manifest or {}).items():
            if name != "state" and value:
                table.add_row(f"C2PA {name}", _foreign(value if isinstance(value, str) else json.dumps(value)))
        for note in found.notes:
            table.add_row("note", _foreign(note))
        _print_table(table)
    if not (found.ai_generated and found.intact):
        raise click.exceptions.Exit(1)


@main.command()
@click.argument("text", required=False)
@click.option("--text-file", type=click.Path(path_type=Path, allow_dash=True), help=_TEXT_FILE_HELP)
@click.option("--voice", help=_VOICE_HELP)
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
        _print_json({"output": str(output), **made})
    elif not quiet:
        click.echo(f"{output}: {made['duration_s']:.1f} s, said by {made['voice']}")
        _echo_skipped(made)


@main.command()
@shared_options("json")
def voices(as_json: bool) -> None:
    """List the voices that can read a text, and how to get more."""
    from talkinghead.text_to_speech import DEFAULT_VOICE, engines

    found = [(engine, engine.voices()) for engine in engines()]
    if as_json:
        rows = [{**dataclasses.asdict(voice), "engine": engine.name} for engine, own in found for voice in own]
        about = [{"name": engine.name, "version": engine.version, "missing": engine.missing()} for engine, _ in found]
        _print_json({"default": DEFAULT_VOICE, "voices": rows, "engines": about})
        return
    table = _table("voice", "language", "", "engine")
    for engine, own in found:
        for voice in own:
            table.add_row(voice.name, voice.language, voice.description, engine.name)
    _print_table(table)
    for engine, _ in found:
        if engine.missing():
            click.echo(f"{engine.name} has more voices: {engine.missing()}")


def _paths(name: str, help_text: str) -> Callable[[Command], Command]:
    """An option that may be given several times, each with a path."""
    return click.option(name, multiple=True, type=click.Path(path_type=Path), help=help_text)


@main.command()
@shared_options("json")
def licenses(as_json: bool) -> None:
    """List every weight and package with its licence, and whether commercial use is open."""
    from talkinghead.weights.licenses import licences

    rows = licences()
    if as_json:
        _print_json({"licences": [dataclasses.asdict(row) for row in rows]})
        return
    table = _table("name", "version", "kind", "licence", "commercial use", "")
    for row in rows:
        table.add_row(row.name, row.version, row.kind, row.licence, str(row.commercial), row.note)
    _print_table(table)


@main.command()
@click.argument("outputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@_paths("--reference", "The true video: one for all, one for each output, or a folder of the same names.")
@_paths("--driving", "The sound that drives the output, likewise; without it the reference's own sound is taken.")
@_paths("--phones", "Phone times in that sound (begin, end, phone on each line), likewise.")
@_paths("--transcript", "Text of what is said in it, in English, to make phone times from, likewise.")
@_paths("--against", "Another system's output, or a folder of them with the same names, to put beside.")
@click.option("--anchor", type=click.Path(path_type=Path), help="ANCHOR of that person: adds the renderer ceiling.")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Also write the numbers as CSV.")
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="Also write a report, one page of its own.")
@shared_options("overwrite", "quiet", "json")
def evaluate(
    outputs: tuple[Path, ...],
    reference: tuple[Path, ...],
    driving: tuple[Path, ...],
    phones: tuple[Path, ...],
    transcript: tuple[Path, ...],
    against: tuple[Path, ...],
    anchor: Path | None,
    csv_file: Path | None,
    html_file: Path | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure OUTPUTS against true videos of the same speech. docs/evaluation.md says what each number means.

    OUTPUTS are videos, folders of them, or a CSV of pairs with the headings output, reference, driving, phones,
    transcript, ceiling, twin, system. Without a reference, only what the sound tells is measured.
    """
    from talkinghead.evaluation import tables
    from talkinghead.evaluation.evaluate import evaluate as evaluate_pairs
    from talkinghead.evaluation.pairs import find_pairs
    from talkinghead.files import write_text
    from talkinghead.media.video_writer import check_output_path

    for path, suffix in ((csv_file, ".csv"), (html_file, ".html")):
        if path is not None:
            check_output_path(path, overwrite=overwrite, suffixes=(suffix,))
    work = find_pairs(outputs, reference, driving, phones, against, transcript)
    if not work.pairs:
        raise MissingFileError(f"Nothing to compare: {work.left_out[0].output}: {work.left_out[0].reason}.")
    with _progress(quiet or as_json) as bar:
        task = bar.add_task("Measuring", total=len(work.pairs), note="")
        evaluation = evaluate_pairs(
            work.pairs,
            anchor=anchor,
            left_out=work.left_out,
            progress=lambda done, count: bar.update(task, completed=done, note=f"{done} of {count}"),
        )
    if csv_file is not None:
        write_text(csv_file, tables.as_csv(evaluation))
    if html_file is not None:
        from talkinghead.evaluation.report import report

        write_text(html_file, report(evaluation))
    if as_json:
        _print_json(tables.as_json(evaluation))
    else:
        _print_table(tables.headline_table(evaluation))
        _print_table(tables.scores_table(evaluation))
        if len(evaluation.pairs) > 1:
            _print_table(tables.intervals_table(evaluation))
            _print_table(tables.pairs_table(evaluation))
        if len(evaluation.systems) > 1:
            _print_table(tables.differences_table(evaluation))
        for remark in () if quiet else tables.remarks(evaluation):
            click.echo(remark)
    if evaluation.left_out:
        raise click.exceptions.Exit(evaluation.left_out[0].exit_code)


@main.command()
@click.argument("name", type=click.Choice(["syncnet_v2", "lpips_alex", "fid_inception"]))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: where `evaluate` looks for it.")
def convert(name: str, files: tuple[Path, ...], output: Path | None) -> None:
    """Turn the published weights NAME of others, in FILES that torch wrote, into safetensors.

    Nothing that the files hold is run. docs/evaluation.md says where to get them.
    """
    from talkinghead.metrics.networks import JUDGES
    from talkinghead.metrics.networks import convert as convert_weights

    click.echo(f"{convert_weights(JUDGES[name], files, output)}: ready for `talkinghead evaluate`")


@main.command()
@click.option("--fetch", is_flag=True, help="Fetch those that are not here yet.")
@shared_options("json")
def models(fetch: bool, as_json: bool) -> None:
    """List the third-party weights: size, licence, origin, and where they lie."""
    if fetch:
        for name in weights.WEIGHTS:
            weights.locate(name)
    folder = weights.folder()
    present = {weight.name: weights.is_intact(folder / weight.file_name, weight) for weight in weights.WEIGHTS.values()}
    if as_json:
        rows = [
            {**dataclasses.asdict(weight), "path": str(folder / weight.file_name) if present[weight.name] else None}
            for weight in weights.WEIGHTS.values()
        ]
        _print_json({"folder": str(folder), "models": rows})
        return
    for weight in weights.WEIGHTS.values():
        table = _table("", weight.name)
        table.add_row("use", weight.role)
        table.add_row("file", f"{weight.file_name}, {weight.size_bytes:,} bytes")
        table.add_row("sha256", weight.sha256)
        table.add_row("licence", f"{weight.licence}, made by {weight.maker}")
        table.add_row("from", f"pip: {weight.requirement}, {weight.member}")
        table.add_row("or from", weight.address)
        here = "here" if present[weight.name] else "not here yet (fetched on first need, or by --fetch)"
        table.add_row("where", f"{folder / weight.file_name}: {here}")
        _print_table(table)


@main.command()
@shared_options("json")
def doctor(as_json: bool) -> None:
    """Tell what is installed, which device is used, what is missing and how to get it."""
    from talkinghead.doctor import State, examine

    findings = examine()
    if as_json:
        _print_json({"findings": [dataclasses.asdict(finding) for finding in findings]})
    else:
        colours = {State.OK: "green", State.NOTE: "yellow", State.MISSING: "red"}
        table = _table("", "", "", "what to do")
        for finding in findings:
            state = f"[{colours[finding.state]}]{finding.state}[/]"
            table.add_row(finding.subject, state, finding.detail, finding.remedy)
        _print_table(table)
    if any(finding.state == State.MISSING for finding in findings):
        raise click.exceptions.Exit(1)


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


def _warn_of_missing_consent(consent: str | None, anchor: Path, quiet: bool) -> None:
    if consent is None and not quiet:
        click.echo(
            f"{anchor} records nobody's consent: animate only people who agreed to it (train --consent).", err=True
        )


def _echo_skipped(spoken: dict[str, Any] | None) -> None:
    if spoken and spoken["skipped"]:
        click.echo(f"{spoken['voice']} could not say {spoken['skipped']} sentences or words of the text.")


def _progress(hidden: bool) -> Progress:
    """A progress bar on standard error, with the time left; nothing where there is no terminal to draw it on."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=console,
        disable=hidden or not console.is_terminal,
        transient=True,
    )


def _print_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _table(*headings: str) -> Table:
    """A table without lines that folds what is too long instead of cutting it off."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _foreign(text: str) -> Text:
    """A text out of a file that somebody else may have made: no markup, no control signs for the terminal, an end."""
    shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in text[:LONGEST_SHOWN])
    return Text(shown + "..." * (len(text) > LONGEST_SHOWN))


def _print_table(table: Table) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:  # a file or a pipe has no width: rich would take 80
        console = Console(highlight=False, width=max(console.width, TABLE_WIDTH))
    console.print(table)

"""`talkinghead dialogue`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from talkinghead.cli.consent import remind_of_missing_consent
from talkinghead.cli.options import STANDARD_INPUT, caption_options, config_options, shared_options
from talkinghead.cli.output import print_json, progress_bar
from talkinghead.generation.config import GenerationConfig
from talkinghead.generation.dialogue_config import DialogueConfig
from talkinghead.generation.outcome import MOSTLY_PASSED_THROUGH, describe_passed_through, is_mostly_passed_through
from talkinghead.processes.collection import collection_paused
from talkinghead.processes.heaps import limit_heaps
from talkinghead.text_to_speech.config import SpeakingConfig

if TYPE_CHECKING:
    from talkinghead.anchor import anchor_voice
    from talkinghead.captions.visemes import VisemeSet
    from talkinghead.generation.dialogue_script import Turn


@click.command()
@click.argument("script", type=click.Path(path_type=Path, allow_dash=True))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Video to write (.mp4).")
@click.option("--cast", multiple=True, metavar="NAME=ANCHOR", help="Who a name of the script is; once for each name.")
@click.option("--voice", multiple=True, metavar="NAME=VOICE", help="Voice that speaks a name's texts.")
@config_options(DialogueConfig, "dialogue")
@config_options(GenerationConfig)
@config_options(SpeakingConfig, "speaking")
@caption_options
@shared_options("overwrite", "quiet", "json")
def dialogue(
    script: Path,
    output: Path,
    cast: tuple[str, ...],
    voice: tuple[str, ...],
    dialogue: DialogueConfig,
    config: GenerationConfig,
    speaking: SpeakingConfig,
    subtitles: Path | None,
    visemes: Path | None,
    viseme_set: VisemeSet,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make a video of several anchors who speak in turn, as SCRIPT says.

    Its lines are NAME: text, or JSON with anchor, text or speech, and voice. A name is one of --cast, an ANCHOR folder,
    or a built-in anchor.
    """
    anchors, voices = _pairs("--cast", cast), _pairs("--voice", voice)
    turns = _turns(script, anchors)
    limit_heaps(1)
    with collection_paused():
        from talkinghead.captions.visemes import VisemeFile
        from talkinghead.generation.dialogue import Speaker, write_dialogue
        from talkinghead.generation.pipeline import VideoOutput
        from talkinghead.text_to_speech import DEFAULT_VOICE

    names = dict.fromkeys(turn.speaker for turn in turns)
    folders = {name: Path(anchors.get(name, name)) for name in names}
    people = {
        name: Speaker(folder, voices.get(name) or anchor_voice(folder) or DEFAULT_VOICE)
        for name, folder in folders.items()
    }
    shapes = None if visemes is None else VisemeFile(visemes, viseme_set)
    video = VideoOutput(output, overwrite=overwrite, subtitles=subtitles, visemes=shapes)
    with progress_bar(quiet or as_json) as bar:
        task = bar.add_task("Preparing", total=None, note="")

        def show(done: int, count: int) -> None:
            bar.update(task, description="Writing frames", total=count, completed=done, note=f"{done} of {count}")

        report = write_dialogue(turns, people, video, config, dialogue, speaking, show)
    for name, consent in report["consent"].items():
        remind_of_missing_consent(consent, Path(people[name].anchor), quiet)  # type: ignore[arg-type]
    if as_json:
        print_json(report)
    elif not quiet:
        click.echo(
            f"{report['output']}: {report['duration_s']:.1f} s of {', '.join(report['speakers'])} in "
            f"{len(report['turns'])} turns, {report['width']}x{report['height']}, {report['frames']} frames"
        )
        if report["frames_passed_through"]:
            click.echo(describe_passed_through(report), err=is_mostly_passed_through(report))
    if is_mostly_passed_through(report):
        raise click.exceptions.Exit(MOSTLY_PASSED_THROUGH)


def _pairs(option: str, given: tuple[str, ...]) -> dict[str, str]:
    """Values of an option that is NAME=VALUE, by name."""
    pairs: dict[str, str] = {}
    for one in given:
        name, _, value = one.partition("=")
        if not name or not value:
            raise click.UsageError(f"{option} is NAME={'ANCHOR' if option == '--cast' else 'VOICE'}, not {one!r}.")
        if name in pairs:
            raise click.UsageError(f"{option} is given twice for {name}.")
        pairs[name] = value
    return pairs


def _turns(script: Path, anchors: dict[str, str]) -> list[Turn]:
    """The turns of a script, whose names are those of the cast, or of anchors."""
    from talkinghead.cli.generate import read_script_text
    from talkinghead.generation.dialogue_script import read_script
    from talkinghead.weights.bundled import anchor_folder

    def is_speaker(name: str) -> bool:
        return name in anchors or (anchor_folder(Path(name)) / "anchor.json").is_file()

    folder = Path() if script == STANDARD_INPUT else script.parent
    return read_script(read_script_text(script), is_speaker, folder)

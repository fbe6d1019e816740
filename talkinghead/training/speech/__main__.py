"""The recipes behind the default speech weights, as commands.

    python -m talkinghead.training.speech encoder FOLDER... --teacher model.bin -o checkpoints/speech_encoder
    python -m talkinghead.training.speech predictor CLIPS.tsv -o checkpoints/expression_predictor.safetensors

The second one, with `--encoder`, is also how a predictor is made for any other encoder of the wav2vec2 family.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from talkinghead.errors import OutputExistsError, TalkingHeadError
from talkinghead.face.face_model import load_face_model
from talkinghead.files import sha256_of
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.predictor import PredictorConfig
from talkinghead.text_to_speech import join, speak
from talkinghead.training.speech.augmentation import find_recordings
from talkinghead.training.speech.clips import (
    Example,
    chosen_layers,
    prepare_clip,
    prepare_utterances,
    read_clip_list,
    read_scripts,
)
from talkinghead.training.speech.encoder import EncoderTrainer
from talkinghead.training.speech.phoneme_recognizer import PhonemeRecognizer
from talkinghead.training.speech.predictor import PredictorTrainingConfig, Score, leave_one_out, train_predictor
from talkinghead.training.speech.pseudo_labels import prepare_teacher
from talkinghead.training.speech.transplant import EncoderTrainingConfig
from talkinghead.training.speech.whisper import WhisperTeacher
from talkinghead.weights.bundled import checkpoint_path

STEPS_PER_REPORT = 25


class _Commands(click.Group):
    """Shows an error raised on purpose as one line, with its own exit code."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except TalkingHeadError as error:
            click.echo(f"Error: {error}", err=True)
            context.exit(error.exit_code)


@click.group(cls=_Commands)
def main() -> None:
    """Make the speech encoder, or an expression predictor for any encoder."""


@main.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--teacher", required=True, type=click.Path(path_type=Path), help="Whisper as a CTranslate2 model.bin.")
@click.option("--held-out", multiple=True, help="Name of a folder to measure on and not to learn from.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the encoder.")
@click.option("--minutes", default=60.0, show_default=True)
@click.option("--start", type=click.Path(path_type=Path), help="Folder of an encoder to go on from.")
@click.option("--resume", is_flag=True, help="Go on from the state of an interrupted training.")
@click.option("--overwrite", is_flag=True)
def encoder(
    folders: tuple[Path, ...],
    teacher: Path,
    held_out: tuple[str, ...],
    output: Path,
    minutes: float,
    start: Path | None,
    resume: bool,
    overwrite: bool,
) -> None:
    """Teach the encoder from Whisper and a phoneme recogniser on all sound files under FOLDERS."""
    if output.exists() and not overwrite:
        raise OutputExistsError(f"{output} is there already; give --overwrite to replace it.")
    config = EncoderTrainingConfig()
    learn, measure = find_recordings(folders, held_out)
    trainer = EncoderTrainer(config, WhisperTeacher(teacher, config.reaches), PhonemeRecognizer(), learn, start)
    state = output.with_name(f".{output.name}.state.safetensors")
    if resume:
        trainer.load(state)
    for step, seconds, loss in trainer.run(minutes, state):
        if step % STEPS_PER_REPORT == 0:
            click.echo(f"step {step}  {seconds / 60:.1f} of {minutes:g} min  loss {loss:.3f}")
    trainer.export(output)
    state.unlink(missing_ok=True)
    if len(measure):
        explained = trainer.explained(measure)
        click.echo("variance explained on held-out voices: " + ", ".join(f"{k} {v:.3f}" for k, v in explained.items()))


@main.command()
@click.argument("clips", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the clips. Default: where the list lies.")
@click.option("--texts", type=click.Path(path_type=Path), help="List of texts to speak, to learn where lips close.")
@click.option("--encoder", "encoder_name", help="Folder or cached hub name. Default: the project's own.")
@click.option("--speech", multiple=True, type=click.Path(path_type=Path), help="Folder of speech without pictures.")
@click.option("--teacher", type=click.Path(path_type=Path), help="Whisper-base as a CTranslate2 model.bin.")
@click.option("--held-out", multiple=True, help="Name of a folder of speech not to learn from.")
@click.option("--minutes", default=60.0, show_default=True, help="How much of the speech is labelled and learned.")
@click.option("--face-model", type=click.Path(path_type=Path), help="Default: the project's own.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="File of the predictor.")
@click.option("--steps", default=PredictorTrainingConfig.steps, show_default=True)
@click.option("--seed", default=PredictorTrainingConfig.seed, show_default=True)
@click.option("--overwrite", is_flag=True)
def predictor(
    clips: Path,
    data: Path | None,
    texts: Path | None,
    encoder_name: str | None,
    speech: tuple[Path, ...],
    teacher: Path | None,
    held_out: tuple[str, ...],
    minutes: float,
    face_model: Path | None,
    output: Path,
    steps: int,
    seed: int,
    overwrite: bool,
) -> None:
    """Teach a predictor on the list CLIPS (tab-separated: clip, sound, lag_ms, speaker, end_s).

    With --texts (tab-separated: voice, text) it also learns where p, b and m close the lips, and how far open
    each phone wants the mouth, from the phones of those text-to-speech voices that tell them.

    With --speech and --teacher it learns, beside the clips, from recordings that nobody filmed: a teacher that hears
    with three models, slow ones among them, labels them.

    Every speaker is first predicted by a predictor taught on the others: the table that is printed. The one that is
    written has been taught on all.
    """
    if output.exists() and not overwrite:
        raise OutputExistsError(f"{output} is there already; give --overwrite to replace it.")
    if bool(speech) != bool(teacher):
        raise click.UsageError("--speech and --teacher belong together.")
    model_file = face_model or checkpoint_path("face_model.safetensors")
    model = load_face_model(model_file)
    loaded = SpeechEncoder.load(encoder_name or checkpoint_path("speech_encoder"))
    layers = chosen_layers(loaded.layer_count)
    entries = read_clip_list(clips, data)
    prepared = [prepare_clip(entry, loaded, model, layers) for entry in entries]
    config = PredictorConfig(
        encoder=loaded.name,
        encoder_sha256=loaded.sha256,
        face_model_sha256=sha256_of(model_file),
        layers=layers,
        features=loaded.width,
        expressions=model.expressions,
        components=min(PredictorConfig.components, loaded.width),
    )
    training = PredictorTrainingConfig(steps=steps, seed=seed)
    utterances = None
    if texts is not None:
        spoken = [join(list(speak(script))) for script in read_scripts(texts)]
        utterances = prepare_utterances(spoken, loaded, layers)
    lesson_without: Callable[[str | None], list[Example]] | None = None
    if teacher is not None:
        recordings, _ = find_recordings(speech, held_out)
        lesson_without = prepare_teacher(
            entries, model, teacher, recordings, minutes, loaded, layers, training
        ).lesson_without
    scores, stretch = leave_one_out(prepared, config, training, loaded, utterances, lesson_without)
    Console().print(_table(scores, stretch))
    lesson = [] if lesson_without is None else lesson_without(None)
    taught = train_predictor(prepared, config, training, utterances, lesson)
    with torch.no_grad():
        taught.output_scale.fill_(stretch)
    taught.save(output)


def _table(scores: list[Score], stretch: float) -> Table:
    table = Table(title=f"Mouth opening of speakers left out, output stretched by {stretch:.2f}")
    for column in ("speaker", "seconds", "r", "width r", "CCC", "std ratio", "lag ms"):
        table.add_column(column, justify="left" if column == "speaker" else "right")
    for score in scores:
        numbers = (score.r, score.width_r, score.concordance, score.std_ratio)
        shown = [f"{value:.2f}" for value in numbers]
        table.add_row(score.speaker, f"{score.seconds:.0f}", *shown, f"{score.lag_ms:+.0f}")
    mean = np.mean([(s.r, s.width_r, s.concordance, s.std_ratio) for s in scores], 0)
    table.add_section()
    table.add_row("mean", "", *(f"{value:.2f}" for value in mean), "")
    return table


if __name__ == "__main__":
    main()

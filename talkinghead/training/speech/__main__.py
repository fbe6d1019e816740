"""The commands that the default speech weights are trained with.

    python -m talkinghead.training.speech encoder FOLDER... --teacher model.bin -o checkpoints/speech_encoder
    python -m talkinghead.training.speech predictor CLIPS.tsv -o checkpoints/expression_predictor.safetensors
    python -m talkinghead.training.speech streaming FOLDER... -o checkpoints/speech_encoder/streaming.safetensors

The second one, with `--encoder`, also trains a predictor for any other encoder of the wav2vec2 family.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from talkinghead.errors import CheckpointError, OutputExistsError
from talkinghead.face.face_model import load_face_model
from talkinghead.files import sha256_of
from talkinghead.options.command_group import CommandGroup
from talkinghead.speech.articulation import FEATURES
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.model import SpeechModel
from talkinghead.speech.predictor import PredictorConfig
from talkinghead.speech.stream_weights import save_stream_weights
from talkinghead.text_to_speech import join, speak
from talkinghead.training.speech.augmentation import find_recordings
from talkinghead.training.speech.clips import prepare_clip, read_clip_list, shape_map
from talkinghead.training.speech.encoder import EncoderTrainer
from talkinghead.training.speech.feature_extractors import chosen_layers
from talkinghead.training.speech.leave_one_out import Score, leave_one_out
from talkinghead.training.speech.phoneme_recognizer import PhonemeRecognizer
from talkinghead.training.speech.predictor import train_predictor
from talkinghead.training.speech.predictor_config import PredictorTrainingConfig
from talkinghead.training.speech.pseudo_labels import UnlabeledSpeech, prepare_pseudo_labeler
from talkinghead.training.speech.stream_trainer import StreamTrainer, StreamTrainingConfig
from talkinghead.training.speech.student import EncoderTrainingConfig
from talkinghead.training.speech.utterances import prepare_utterances, read_scripts
from talkinghead.training.speech.whisper import WhisperTeacher
from talkinghead.weights.bundled import checkpoint_path

STEPS_PER_REPORT = 25
"""Steps between two lines of the encoder's training."""


@click.group(cls=CommandGroup)
def main() -> None:
    """Train the speech encoder, or an expression predictor for any encoder."""


@main.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--teacher", required=True, type=click.Path(path_type=Path), help="Whisper as a CTranslate2 model.bin.")
@click.option("--held-out", multiple=True, help="Name of a folder to measure on instead of training on it.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the encoder to write.")
@click.option("--minutes", default=60.0, show_default=True, help="Length of the training.")
@click.option("--start", type=click.Path(path_type=Path), help="Folder of an encoder to start from.")
@click.option("--resume", is_flag=True, help="Continue an interrupted training.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
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
    """Train the encoder on all audio files under FOLDERS, by distillation from Whisper and a phoneme recognizer."""
    _check_output(output, overwrite)
    config = EncoderTrainingConfig()
    training, measuring = find_recordings(folders, held_out)
    trainer = EncoderTrainer(config, WhisperTeacher(teacher, config.reaches), PhonemeRecognizer(), training, start)
    state = output.with_name(f".{output.name}.state.safetensors")
    if resume:
        trainer.load(state)
    for step, seconds, loss in trainer.run(minutes, state):
        if step % STEPS_PER_REPORT == 0:
            click.echo(f"step {step}  {seconds / 60:.1f} of {minutes:g} min  loss {loss:.3f}")
    trainer.export(output)
    state.unlink(missing_ok=True)
    if len(measuring):
        explained = trainer.explained(measuring)
        shares = ", ".join(f"{name} {value:.3f}" for name, value in explained.items())
        click.echo(f"variance explained on held-out voices: {shares}")


@main.command()
@click.argument("clips", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the clips. Default: the list's own folder.")
@click.option("--texts", type=click.Path(path_type=Path), help="List of texts to speak, to train closed lips on.")
@click.option("--encoder", "encoder_name", help="Folder or cached hub name. Default: the project's own.")
@click.option("--speech", multiple=True, type=click.Path(path_type=Path), help="Folder of speech without video.")
@click.option("--teacher", type=click.Path(path_type=Path), help="Whisper-base as a CTranslate2 model.bin.")
@click.option("--held-out", multiple=True, help="Name of a folder of speech not to train on.")
@click.option("--minutes", default=60.0, show_default=True, help="How much of the speech gets pseudo-labels.")
@click.option("--face-model", type=click.Path(path_type=Path), help="Default: the project's own.")
@click.option("--left-out", type=click.Path(path_type=Path), help="Folder for the predictors of the cross-validation.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="File of the predictor to write.")
@click.option("--steps", default=PredictorTrainingConfig.steps, show_default=True, help="Steps of each network.")
@click.option("--seed", default=PredictorTrainingConfig.seed, show_default=True, help="Seed of the networks.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
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
    left_out: Path | None,
    output: Path,
    steps: int,
    seed: int,
    overwrite: bool,
) -> None:
    """Train a predictor on the list CLIPS (tab-separated: clip, sound, lag_ms, speaker, end_s).

    With --texts (tab-separated: voice, text) it is also trained on text-to-speech voices whose phones are known: where
    p, b and m close the lips, and how far open the mouth is for each phone. It then takes known phones beside the
    audio; those of the clips are heard by a recognizer (the package hama).

    With --speech and --teacher it is trained, beside the clips, on recordings without video, which a larger predictor
    with the features of three models labels.

    The table that is printed is of a cross-validation: every speaker's mouth is predicted by a predictor that is
    trained on others. --left-out keeps these, one file for each speaker that it has not seen, for
    benchmarks/speech_delivered.py. The predictor that is written is trained on all.
    """
    _check_output(output, overwrite)
    if bool(speech) != bool(teacher):
        raise click.UsageError("--speech and --teacher are needed together.")
    model_file = face_model or checkpoint_path("face_model.safetensors")
    model = load_face_model(model_file)
    extractor = SpeechEncoder.load(encoder_name or checkpoint_path("speech_encoder"))
    layers = chosen_layers(extractor.layer_count)
    entries = read_clip_list(clips, data)
    recognizer = None if texts is None else PhonemeRecognizer()
    prepared = [prepare_clip(entry, extractor, model, layers, recognizer) for entry in entries]
    config = _predictor_config(extractor, layers, model_file, model.expressions, knows_phones=texts is not None)
    training = PredictorTrainingConfig(steps=steps, seed=seed)
    spoken = [] if texts is None else [join(list(speak(script))) for script in read_scripts(texts)]
    utterances = prepare_utterances(spoken, extractor, layers) if spoken else None
    labels_without = None
    if teacher is not None:
        unlabeled = UnlabeledSpeech(find_recordings(speech, held_out)[0], minutes, teacher)
        labeler = prepare_pseudo_labeler(entries, model, unlabeled, extractor, layers, training, spoken)
        labels_without = labeler.labels_without
    found = leave_one_out(prepared, config, training, extractor, utterances, labels_without)
    Console().print(_table(found.scores, found.stretch))
    if left_out is not None:
        for speaker, without in found.predictors.items():
            without.save(left_out / f"{speaker}.safetensors")
    pseudo_labeled = [] if labels_without is None else labels_without(frozenset())
    trained = train_predictor(prepared, config, training, utterances, pseudo_labeled)
    with torch.no_grad():
        trained.output_scale.fill_(found.stretch)
    trained.save(output)


@main.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--encoder", "encoder_name", help="Folder of the encoder. Default: the project's own.")
@click.option("--held-out", multiple=True, help="Name of a folder to measure on instead of training on it.")
@click.option("--face-model", type=click.Path(path_type=Path), help="Default: the project's own.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="File of the weights to write.")
@click.option("--steps", default=600, show_default=True, help="Steps of the training, of 8 s of speech each.")
@click.option("--resume", is_flag=True, help="Continue an interrupted training.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
def streaming(
    folders: tuple[Path, ...],
    encoder_name: str | None,
    held_out: tuple[str, ...],
    face_model: Path | None,
    output: Path,
    steps: int,
    resume: bool,
    overwrite: bool,
) -> None:
    """Train what an encoder's weights become in streams, on all audio files under FOLDERS.

    The encoder, and the predictor that belongs to it, are their own teachers: what they make of a whole recording.
    """
    _check_output(output, overwrite)
    training, measuring = find_recordings(folders, held_out)
    model_file = face_model or checkpoint_path("face_model.safetensors")
    model, speech_model = load_face_model(model_file), SpeechModel.load(encoder_name)
    if speech_model.predictor.config.face_model_sha256 != sha256_of(model_file):
        raise CheckpointError(
            "The encoder's predictor was trained for another face model; give that with --face-model."
        )
    to_opening = torch.from_numpy(shape_map(model, np.ones(model.expressions, np.float32))[:, 0].astype(np.float32))
    trainer = StreamTrainer(StreamTrainingConfig(), speech_model, to_opening, training)
    state = output.with_name(f".{output.name}.state.safetensors")
    if resume:
        trainer.load(state)
    for step, loss in trainer.run(steps, state):
        if step % STEPS_PER_REPORT == 0:
            click.echo(f"step {step} of {steps}  loss {loss:.3f}")
    save_stream_weights(output, trainer.result())
    state.unlink(missing_ok=True)
    if len(measuring):
        found = ", ".join(f"{name} {value:.3f}" for name, value in trainer.agreement(measuring).items())
        click.echo(f"r with the whole recording's answer on held-out voices: {found}")


def _check_output(output: Path, overwrite: bool) -> None:
    """Raise OutputExistsError where an output exists that is not to be replaced."""
    if output.exists() and not overwrite:
        raise OutputExistsError(f"{output} exists; give another name, or --overwrite.")


def _predictor_config(
    encoder: SpeechEncoder, layers: tuple[int, ...], face_model: Path, expressions: int, *, knows_phones: bool
) -> PredictorConfig:
    """The shape of a predictor for an encoder and a face model, with as many components as the encoder allows."""
    return PredictorConfig(
        encoder=encoder.name,
        encoder_sha256=encoder.sha256,
        face_model_sha256=sha256_of(face_model),
        layers=layers,
        features=encoder.width,
        expressions=expressions,
        components=min(PredictorConfig.components, encoder.width),
        articulation=len(FEATURES) if knows_phones else 0,
    )


def _table(scores: Sequence[Score], stretch: float) -> Table:
    table = Table(title=f"Mouth opening of speakers left out, output stretched by {stretch:.2f}")
    for column in ("speaker", "seconds", "r", "width r", "CCC", "std ratio", "lag ms"):
        table.add_column(column, justify="left" if column == "speaker" else "right")
    for score in scores:
        numbers = (score.r, score.width_r, score.concordance, score.std_ratio)
        shown = [f"{value:.2f}" for value in numbers]
        table.add_row(Text(score.speaker), f"{score.seconds:.0f}", *shown, f"{score.lag_ms:+.0f}")
    mean = np.mean([(s.r, s.width_r, s.concordance, s.std_ratio) for s in scores], 0)
    table.add_section()
    table.add_row("mean", "", *(f"{value:.2f}" for value in mean), "")
    return table


if __name__ == "__main__":
    main()

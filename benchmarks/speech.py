"""How well speech features tell a mouth's opening: every speaker predicted by a predictor taught on the others.

    python benchmarks/speech.py --data FOLDER_OF_CLIPS [--teacher model.bin]

Rows: log-mel spectra (two to a frame, the floor any encoder has to clear), the project's own encoder, and, where its
weights are given, the teacher that encoder learned from.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
import torchaudio
from rich.console import Console
from rich.table import Table

from talkinghead.face_model import load_face_model
from talkinghead.resources import checkpoint_path
from talkinghead.speech import (
    RATE_HZ,
    LogMelFrontEnd,
    PredictorConfig,
    SpeechEncoder,
    SpeechFeatures,
    normalise_loudness,
)
from talkinghead.structures import Sound
from talkinghead.training.expression_predictor import (
    PredictorTrainingConfig,
    chosen_layers,
    leave_one_out,
    prepare_clip,
    read_clip_list,
)
from talkinghead.training.speech_encoder import EncoderTrainingConfig
from talkinghead.training.whisper import WhisperTeacher

CLIPS = Path(__file__).with_name("speech_clips.tsv")


@dataclass
class LogMel:
    """Log-mel spectra in an encoder's place."""

    layer_count: int = 1
    width: int = 160
    rate_hz: float = 50.0
    first_s: float = 0.0

    def spectra(self, sound: Sound) -> torch.Tensor:
        samples = torch.from_numpy(np.ascontiguousarray(sound.samples))
        if sound.rate_hz != RATE_HZ:
            samples = torchaudio.functional.resample(samples, sound.rate_hz, RATE_HZ)
        return LogMelFrontEnd().spectra_of(normalise_loudness(samples)[None])

    def encode(self, sound: Sound, layers: tuple[int, ...]) -> SpeechFeatures:
        values = self.spectra(sound)[0].T.reshape(-1, len(layers), self.width)
        return SpeechFeatures(values.numpy(), self.rate_hz, self.first_s)


class Teacher(LogMel):
    """Whisper's first layers in an encoder's place."""

    def __init__(self, path: Path) -> None:
        config = EncoderTrainingConfig()
        self.model = WhisperTeacher(path, config.reaches)
        super().__init__(config.layers, self.model.width)

    @torch.inference_mode()
    def encode(self, sound: Sound, layers: tuple[int, ...]) -> SpeechFeatures:
        every = torch.arange(4 * self.width)
        streams = self.model.streams(self.spectra(sound), [every] * self.layer_count)
        values = torch.stack([streams[layer - 1][0] for layer in layers], 1)
        return SpeechFeatures(values.numpy(), self.rate_hz, self.first_s)


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the clips in speech_clips.tsv.")
@click.option("--teacher", type=click.Path(path_type=Path), help="Whisper as a CTranslate2 model.bin.")
@click.option("--steps", default=PredictorTrainingConfig.steps, show_default=True)
def main(data: Path, teacher: Path | None, steps: int) -> None:
    """Print the table."""
    rows = {"log-mel": LogMel(), "own encoder": SpeechEncoder.load(checkpoint_path("speech_encoder"))}
    if teacher is not None:
        rows["teacher"] = Teacher(teacher)
    model = load_face_model(checkpoint_path("face_model.safetensors"))
    entries = read_clip_list(CLIPS, data)
    speakers = sorted({entry.speaker for entry in entries})
    table = Table(
        "features", "mean r", "CCC", "std ratio", *speakers, title="r of the mouth's opening, speaker left out"
    )
    for name, encoder in rows.items():
        clips = [prepare_clip(entry, encoder, model) for entry in entries]
        config = PredictorConfig(name, "", "", chosen_layers(encoder), encoder.width, model.expressions)
        scores, _ = leave_one_out(clips, config, PredictorTrainingConfig(steps=steps), encoder)
        mean = np.mean([(score.r, score.concordance, score.std_ratio) for score in scores], 0)
        table.add_row(name, *(f"{value:.2f}" for value in mean), *(f"{score.r:.2f}" for score in scores))
    Console(width=180).print(table)


if __name__ == "__main__":
    main()

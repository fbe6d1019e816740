"""How well a mouth's opening and width are predicted from the features of several extractors, and what those cost.

    python benchmarks/speech.py --data FOLDER_OF_CLIPS [--tiny model.bin] [--base model.bin] [--phonemes]
                                [--speech FOLDER [--held-out NAME] [--minutes 40]] [--curve]

Every speaker is predicted by a predictor that is trained on others (six groups of speakers), with the same members,
steps and seeds for each row: the mean mouth, log-mel spectra (two to a frame, the least that an encoder has to beat),
the project's own encoder, and where they are given two Whisper encoders (all layers with 30 s of context, no absolute
positions; their third and last layer) and the log posteriors of a phoneme recognizer alone. With --speech, and --base
to make its pseudo-labels, there is one row more, trained as the predictor that ships is: the own encoder, with
pseudo-labeled speech besides the clips. With --curve, instead, the own encoder is cut behind each of its layers, and
what it then costs on this machine is measured: nothing else should run meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor

from talkinghead.face.face_model import FaceModel, load_face_model
from talkinghead.speech.adapters import hidden_states
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.front_ends import RATE_HZ, LogMelFrontEnd
from talkinghead.speech.predictor import PredictorConfig
from talkinghead.training.speech.augmentation import find_recordings
from talkinghead.training.speech.clips import Clip, ClipEntry, Example, prepare_clip, read_clip_list
from talkinghead.training.speech.feature_extractors import (
    FeatureExtractor,
    FunctionExtractor,
    chosen_layers,
    phoneme_extractor,
    whisper_extractor,
)
from talkinghead.training.speech.leave_one_out import Score, leave_one_out
from talkinghead.training.speech.predictor_config import PredictorTrainingConfig
from talkinghead.training.speech.pseudo_labels import UnlabeledSpeech, prepare_pseudo_labeler
from talkinghead.weights.bundled import checkpoint_path

CLIPS = Path(__file__).with_name("speech_clips.tsv")
"""The clips that the default predictor is trained on."""
COST_S = 60
"""Length of the audio on which the cost is measured."""
PIECE_S = 20
"""Length of the pieces that it is encoded in."""
COLUMNS = ("features", "opening r", "width r", "CCC", "std ratio", "error / std", "worst lag ms")


def log_mel() -> FunctionExtractor:
    """Log-mel spectra, two of 10 ms to a feature."""
    front_end = LogMelFrontEnd()

    def extract(samples: Tensor, layers: tuple[int, ...]) -> Tensor:
        return front_end.spectra_of(samples[None])[0].T.reshape(-1, len(layers), 2 * front_end.mels)

    return FunctionExtractor(1, 2 * front_end.mels, extract)


def score_features(
    extractor: FeatureExtractor,
    entries: list[ClipEntry],
    model: FaceModel,
    layers: tuple[int, ...],
    training: PredictorTrainingConfig,
    labels_without: Callable[[Set[str]], Sequence[Example]] | None = None,
) -> list[Score]:
    """Scores of all speakers, each left out; `labels_without` gives pseudo-labeled speech for those left out."""
    clips: list[Clip] = [prepare_clip(entry, extractor, model, layers) for entry in entries]
    components = min(PredictorConfig.components, extractor.width)
    config = PredictorConfig("", "", "", layers, extractor.width, model.expressions, components)
    return leave_one_out(clips, config, training, extractor, None, labels_without).scores


def print_row(name: str, scores: list[Score]) -> None:
    """One row: the mean over speakers, then r of each."""
    mean = np.mean([(s.r, s.width_r, s.concordance, s.std_ratio, s.error) for s in scores], 0)
    worst = max((score.lag_ms for score in scores), key=abs)
    cells = [name, *(f"{value:.2f}" for value in mean), f"{worst:+.0f}", *(f"{score.r:.2f}" for score in scores)]
    print("| " + " | ".join(cells) + " |", flush=True)


def seconds_per_second(encoder: SpeechEncoder, layers: int) -> float:
    """Time that spectra and the first `layers` layers take, per second of audio."""
    draw = np.random.default_rng(0)
    samples = torch.from_numpy(0.1 * draw.standard_normal(COST_S * RATE_HZ).astype(np.float32))
    cut: Any = encoder.model  # whatever its type, it has these layers
    kept, reach = cut.encoder.layers, cut.config.attention_reach_frames
    cut.encoder.layers, cut.config.num_hidden_layers = kept[:layers], layers
    cut.config.attention_reach_frames = list(reach)[:layers]
    try:
        best = np.inf
        for _ in range(3):  # the least of three: whatever else runs can only add
            began = time.perf_counter()
            with torch.inference_mode():
                for piece in samples.split(PIECE_S * RATE_HZ):
                    hidden_states(cut, encoder.front_end(piece[None]))
            best = min(best, time.perf_counter() - began)
    finally:
        cut.encoder.layers, cut.config.num_hidden_layers = kept, len(kept)
        cut.config.attention_reach_frames = reach
    return best / COST_S


def print_curve(
    encoder: SpeechEncoder, entries: list[ClipEntry], model: FaceModel, training: PredictorTrainingConfig
) -> None:
    """A row for each layer that the encoder can be cut behind."""
    every = sum(parameter.numel() for parameter in encoder.model.parameters())
    model_layers: Any = encoder.model.encoder
    layer = sum(parameter.numel() for parameter in model_layers.layers[0].parameters())
    print("| layers | MB in half precision | s per s of audio | opening r | width r |\n|---|---|---|---|---|")
    for count in range(1, encoder.layer_count + 1):
        scores = score_features(encoder, entries, model, (count,), training)
        megabytes = 2e-6 * (every - (encoder.layer_count - count) * layer)
        r, width_r = np.mean([(score.r, score.width_r) for score in scores], 0)
        cost = seconds_per_second(encoder, count)
        print(f"| {count} | {megabytes:.1f} | {cost:.3f} | {r:.2f} | {width_r:.2f} |", flush=True)


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the clips in speech_clips.tsv.")
@click.option("--clips", type=click.Path(path_type=Path), default=CLIPS, help="Another list.")
@click.option("--encoder", "encoder_name", help="Folder of the own encoder. Default: the project's.")
@click.option("--tiny", type=click.Path(path_type=Path), help="Whisper tiny.en as a CTranslate2 model.bin.")
@click.option("--base", type=click.Path(path_type=Path), help="Whisper base as a CTranslate2 model.bin.")
@click.option("--phonemes", "with_phonemes", is_flag=True, help="Needs the package hama.")
@click.option("--curve", is_flag=True, help="Only the own encoder, cut behind each layer: size, cost, r.")
@click.option("--speech", multiple=True, type=click.Path(path_type=Path), help="Folder of speech without video.")
@click.option("--held-out", multiple=True, help="Name of a folder of speech not to train on.")
@click.option("--minutes", default=40.0, show_default=True, help="How much of the speech gets pseudo-labels.")
@click.option("--steps", default=PredictorTrainingConfig.steps, show_default=True)
def main(
    data: Path,
    clips: Path,
    encoder_name: str | None,
    tiny: Path | None,
    base: Path | None,
    with_phonemes: bool,
    curve: bool,
    speech: tuple[Path, ...],
    held_out: tuple[str, ...],
    minutes: float,
    steps: int,
) -> None:
    """Print the table as Markdown, a row as soon as it is known."""
    if speech and base is None:
        raise click.UsageError("--speech needs --base, one of the models that label it.")
    training = PredictorTrainingConfig(steps=steps)
    own = SpeechEncoder.load(encoder_name or checkpoint_path("speech_encoder"))
    rows: dict[str, Callable[[], FeatureExtractor]] = {"log-mel": log_mel, "own wav2vec2": lambda: own}
    if tiny is not None:
        rows["Whisper-tiny.en"] = lambda: whisper_extractor(tiny, 4)
    if base is not None:
        rows["Whisper-base"] = lambda: whisper_extractor(base, 6)
    if with_phonemes:
        rows["phoneme posteriors"] = phoneme_extractor
    model = load_face_model(checkpoint_path("face_model.safetensors"))
    entries = read_clip_list(clips, data)
    if curve:
        print_curve(own, entries, model, training)
        return
    for number, (name, make) in enumerate(rows.items()):
        extractor = make()
        scores = score_features(extractor, entries, model, chosen_layers(extractor.layer_count), training)
        if number == 0:
            header = [*COLUMNS, *(score.speaker for score in scores)]
            print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
            none: dict[str, Any] = dict.fromkeys(("r", "width_r", "concordance", "std_ratio", "lag_ms"), 0.0)
            print_row("mean mouth", [replace(score, error=1.0, **none) for score in scores])
        print_row(name, scores)
    if speech and base is not None:
        layers = chosen_layers(own.layer_count)
        unlabeled = UnlabeledSpeech(find_recordings(speech, held_out)[0], minutes, base)
        labeler = prepare_pseudo_labeler(entries, model, unlabeled, own, layers, training)
        scores = score_features(own, entries, model, layers, training, labeler.labels_without)
        print_row("own wav2vec2, as it ships", scores)


if __name__ == "__main__":
    main()

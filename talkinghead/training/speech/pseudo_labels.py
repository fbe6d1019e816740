"""Pseudo-labels: the expression that a larger predictor predicts for speech without video.

There are minutes of tracked clips, but hours of speech. The labels are made by a predictor like any other whose
features are those of several models side by side, slow ones among them: the project's encoder, Whisper-base and a
phoneme recognizer. Trained on the clips, it labels recordings without video. It is trained a second time on those and
the clips (a noisy student: Xie et al., "Self-training with Noisy Student improves ImageNet classification", 2020) and
labels again. On these labels and the clips the predictor that is shipped is trained, which has one small encoder.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkinghead.face.face_model import FaceModel
from talkinghead.speech.audio_window import samples_at_encoder_rate
from talkinghead.speech.encoder import SpeechEncoder
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.predictor import ExpressionPredictor, PredictorConfig
from talkinghead.structures import Audio
from talkinghead.text_to_speech import Phone, Utterance
from talkinghead.training.speech.augmentation import Recordings
from talkinghead.training.speech.clips import Clip, ClipEntry, Example, articulation_at, prepare_clip
from talkinghead.training.speech.feature_extractors import (
    ConcatenatedExtractor,
    FeatureExtractor,
    chosen_layers,
    phoneme_extractor,
    whisper_extractor,
)
from talkinghead.training.speech.phoneme_recognizer import PhonemeRecognizer
from talkinghead.training.speech.predictor import train_predictor
from talkinghead.training.speech.predictor_config import PredictorTrainingConfig
from talkinghead.weights.bundled import checkpoint_path

STRETCH_S = 25.0
"""Length of a recording that is labeled."""
ROUNDS = 2
"""How often the labeling predictor is trained; from the second time on, on its own labels besides the clips."""
WHISPER_LAYERS, WHISPER_CHOSEN = 6, (3, 6)
"""Layers of Whisper-base's encoder, and those whose features are taken."""
LABELER_COMPONENTS, LABELER_WIDTH = 64, 48
"""Principal components of each layer, and width of the networks, of the labeling predictor."""


@dataclass(frozen=True)
class UnlabeledSpeech:
    """Speech without video that is to be labeled, and the model that it takes."""

    recordings: Recordings
    minutes: float
    """How much of the recordings is drawn."""
    whisper: Path
    """Whisper-base as a CTranslate2 model.bin."""


@dataclass(frozen=True)
class EncodedRecording:
    """Features of a recording without video, for the predictor to train and for the one that labels."""

    features: Tensor
    """(S, layers, D) float16, of the predictor to train."""
    times_s: NDArray[np.float64]
    """(S,) their times in seconds."""
    labeler_features: Tensor
    """(S', layers', D') float16, of the predictor that labels."""
    labeler_times_s: NDArray[np.float64]
    """(S',) their times in seconds."""
    phones: Sequence[Phone] | None
    """Phones that are spoken; None where they are not known."""


def encode_recordings(
    recordings: Sequence[tuple[Tensor, Sequence[Phone] | None]],
    extractor: FeatureExtractor,
    layers: tuple[int, ...],
    labeler: FeatureExtractor,
) -> list[EncodedRecording]:
    """Extract both kinds of features of recordings.

    Args:
        recordings: (N,) samples at 16 kHz each, and the phones that are spoken in them, where known.
        extractor: of the predictor to train.
        layers: of that.
        labeler: the extractor of the predictor that labels, which takes all its layers.
    """
    every = tuple(range(1, labeler.layer_count + 1))
    encoded = []
    for samples, phones in recordings:
        audio = Audio(samples.numpy(), RATE_HZ)
        ours, theirs = extractor.encode(audio, layers), labeler.encode(audio, every)
        values = (torch.from_numpy(ours.values).half(), torch.from_numpy(theirs.values).half())
        encoded.append(EncodedRecording(values[0], ours.times_s, values[1], theirs.times_s, phones))
    return encoded


def prepare_pseudo_labeler(
    entries: Sequence[ClipEntry],
    model: FaceModel,
    speech: UnlabeledSpeech,
    extractor: FeatureExtractor,
    layers: tuple[int, ...],
    training: PredictorTrainingConfig,
    spoken: Sequence[Utterance] = (),
) -> PseudoLabeler:
    """The labeler behind the shipped predictor: the project's encoder, Whisper-base and a phoneme recognizer.

    Args:
        entries: clips to train the labeling predictor on.
        model: the face model.
        speech: what to label.
        extractor: of the predictor that the labels are for.
        layers: of that extractor.
        training: settings of the labeling predictor.
        spoken: utterances whose phones are known, to label besides.

    Raises:
        MissingFileError, CheckpointError, ModelUnavailableError: one of the models is missing.
    """
    own = SpeechEncoder.load(checkpoint_path("speech_encoder"))
    labeler = ConcatenatedExtractor(
        [
            (own, chosen_layers(own.layer_count)),
            (whisper_extractor(speech.whisper, WHISPER_LAYERS), WHISPER_CHOSEN),
            (phoneme_extractor(), (1,)),
        ]
    )
    every = tuple(range(1, labeler.layer_count + 1))
    clips = [prepare_clip(entry, labeler, model, every) for entry in entries]
    draw = np.random.default_rng(training.seed)
    length, count = round(STRETCH_S * RATE_HZ), max(1, round(60 * speech.minutes / STRETCH_S))
    recognizer = PhonemeRecognizer()
    waveforms = [speech.recordings.stretch(length, draw) for _ in range(count)]
    recordings: list[tuple[Tensor, Sequence[Phone] | None]]
    recordings = [(samples, recognizer.phones(samples)) for samples in waveforms]
    recordings += [(samples_at_encoder_rate(utterance.audio), utterance.phones) for utterance in spoken]
    return PseudoLabeler(clips, labeler, encode_recordings(recordings, extractor, layers, labeler), training)


class PseudoLabeler:
    """Labels recordings by a predictor that is trained on the clips of some speakers."""

    def __init__(
        self,
        clips: Sequence[Clip],
        extractor: FeatureExtractor,
        recordings: Sequence[EncodedRecording],
        training: PredictorTrainingConfig,
        components: int = LABELER_COMPONENTS,
        width: int = LABELER_WIDTH,
    ) -> None:
        """Prepare to label.

        Args:
            clips: to train on, with the features of all layers of the extractor.
            extractor: of the labeling predictor.
            recordings: to label.
            training: settings of the labeling predictor.
            components: of its features.
            width: of its networks.
        """
        self._clips, self._recordings, self._training = clips, recordings, training
        layers = tuple(range(1, extractor.layer_count + 1))
        outputs = clips[0].examples[0].expression.shape[1]
        self._config = PredictorConfig("", "", "", layers, extractor.width, outputs, components, width=width)

    def labels_without(self, speakers: Set[str] = frozenset()) -> list[Example]:
        """The recordings, labeled by a predictor that is trained on the clips of everybody but these speakers.

        As in a clip, each coefficient has mean 0 over a recording; its standard deviation over all of them is 1.
        """
        clips = [clip for clip in self._clips if clip.entry.speaker not in speakers]
        shape_map = torch.stack([clip.examples[0].shape_map for clip in clips]).mean(0)
        features = [recording.labeler_features for recording in self._recordings]
        labels: list[NDArray[np.float32]] = []
        for _ in range(ROUNDS):
            labeled = [
                _example(one.labeler_features, curves, shape_map, one.labeler_times_s, one.phones)
                for one, curves in zip(self._recordings, labels, strict=bool(labels))
            ]
            predictor = train_predictor(clips, self._config, self._training, pseudo_labeled=labeled)
            labels = _predict_labels(predictor, features)
        return [
            _example(
                one.features,
                _at(one.times_s, one.labeler_times_s, curves),
                shape_map,
                one.times_s,
                one.phones,
            )
            for one, curves in zip(self._recordings, labels, strict=True)
        ]


@torch.inference_mode()
def _predict_labels(predictor: ExpressionPredictor, features: Sequence[Tensor]) -> list[NDArray[np.float32]]:
    """(S, K) normalized expression for each recording."""
    labels = [predictor(one.float()[None])[0].numpy() for one in features]
    std = np.maximum(np.concatenate(labels).std(0), 1e-3)
    return [(curves - curves.mean(0)) / std for curves in labels]


def _at(times_s: NDArray[np.float64], known_s: NDArray[np.float64], curves: NDArray[np.float32]) -> NDArray[np.float32]:
    """Curves (S', K), known at the times `known_s`, at the times `times_s`: (S, K)."""
    return np.stack([np.interp(times_s, known_s, curve) for curve in curves.T], 1).astype(np.float32)


def _example(
    features: Tensor,
    curves: NDArray[np.float32],
    shape_map: Tensor,
    times_s: NDArray[np.float64],
    phones: Sequence[Phone] | None,
) -> Example:
    return Example(
        features,
        torch.from_numpy(curves),
        shape_map,
        valid=torch.ones(len(curves), dtype=torch.bool),
        articulation=articulation_at(phones, times_s),
        closed=torch.zeros(len(curves)),  # which the detector of closed lips is not trained on
    )

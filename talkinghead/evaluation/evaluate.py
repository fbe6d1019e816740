"""Score outputs against references by the metrics of docs/evaluation.md, beside rows that set the scale."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead import metrics
from talkinghead.errors import NoFaceError, TalkingHeadError
from talkinghead.evaluation.audio_lag import AudioLag, find_audio_lag, lag_scores, speech_start_s
from talkinghead.evaluation.clip import Clip, read_clip
from talkinghead.evaluation.driving_audio import (
    DrivingAudio,
    read_audio_if_any,
    read_driving_audio,
    with_aligned_phones,
)
from talkinghead.evaluation.image_scorer import (
    ImageScorer,
    ImageScores,
    delayed_image_scores,
    image_scores,
    twin_scores,
)
from talkinghead.evaluation.landmark_pair import LandmarkPair, LocalFace, delayed, earlier, mouth_shape_px
from talkinghead.evaluation.measured import Measured
from talkinghead.evaluation.mouth_and_audio import MouthAndAudio, lip_sync, syncnet_embeddings
from talkinghead.evaluation.needs import Need
from talkinghead.evaluation.notes import (
    Words,
    counted,
    difference_notes,
    lag_note,
    start_note,
    treatment_notes,
    words_note,
)
from talkinghead.evaluation.pairs import LeftOut, Pair
from talkinghead.evaluation.registry import audio_scores, landmark_scores, not_measured
from talkinghead.evaluation.results import (
    ENVELOPE_S,
    FROZEN_MOUTH,
    GROUND_TRUTH,
    RENDERER_CEILING,
    SHIFT_FRAMES,
    SHIFTED_TRUTH,
    Curves,
    Evaluation,
    PairScores,
)
from talkinghead.evaluation.scores import Scores
from talkinghead.files import PathLike, sha256_of
from talkinghead.media.audio_writer import write_audio
from talkinghead.metrics import syncnet
from talkinghead.metrics.networks import MetricNetworks, load_metric_networks
from talkinghead.speech.phone_times import read_phone_times
from talkinghead.structures import Audio, FloatArray, Track

Values = NDArray[np.float64]

TWIN_MISSING = "needs a twin: the same output from a clip that differs in the original mouth alone"


@dataclass(frozen=True)
class Reference:
    """A reference clip, with what is computed once and serves every output that is scored against it."""

    clip: Clip
    face: LocalFace
    scorer: ImageScorer
    features: Sequence[FloatArray]
    """Image features (2048,) of the sampled frames, for FID."""
    rows: Mapping[str, Scores]
    """The scale rows by name."""
    audio_lag: AudioLag
    """Of the driving audio against the reference's mouth."""
    audio: Audio | None
    """The reference's own; None where it has none."""


@dataclass(frozen=True)
class GroundTruth:
    """What an output is scored against: the driving audio, and a reference where there is one."""

    driving: DrivingAudio
    reference: Reference | None = None


def evaluate(
    pairs: Iterable[Pair],
    *,
    anchor: PathLike | None = None,
    left_out: Sequence[LeftOut] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score every output against its reference; a pair that cannot be scored is left out, with its reason.

    Args:
        pairs: outputs and what each is scored against.
        anchor: ANCHOR of the person in the references; each reference then gets a renderer ceiling generated with it.
        left_out: clips that are known beforehand not to be scorable.
        progress: called with pairs done and pairs in all.

    Raises:
        TalkingHeadError: no pair at all could be scored; the error is the first pair's.
    """
    given, anchor = list(pairs), None if anchor is None else Path(anchor)
    networks = load_metric_networks()
    found: dict[int, PairScores] = {}
    failed: list[tuple[LeftOut, TalkingHeadError]] = []
    groups: dict[tuple[Path | None, ...], list[int]] = {}
    for number, pair in enumerate(given):
        groups.setdefault((pair.reference, pair.driving, pair.phones, pair.transcript), []).append(number)
    for numbers in groups.values():
        # One ground truth is kept at a time, and serves all systems that are scored against it.
        ground_truth: GroundTruth | None = None
        for number in numbers:
            pair = given[number]
            try:
                ground_truth = ground_truth or read_ground_truth(pair, networks, anchor)
                found[number] = evaluate_pair(pair, networks, ground_truth)
            except TalkingHeadError as error:
                failed.append((LeftOut(pair.output, pair.system, str(error), error.exit_code), error))
            if progress:
                progress(len(found) + len(failed), len(given))
    if failed and not found:
        raise failed[0][1]
    ordered = tuple(found[number] for number in sorted(found))
    return Evaluation(ordered, (*left_out, *(left for left, _ in failed)), networks.sha256)


def read_ground_truth(pair: Pair, networks: MetricNetworks, anchor: Path | None = None) -> GroundTruth:
    """Read a pair's reference and driving audio, and score the rows that set the scale.

    Args:
        pair: names the files; its output is not read unless it is the only one with audio.
        networks: the metric networks that are installed.
        anchor: ANCHOR of the person in the reference, for the renderer ceiling.

    Raises:
        MissingFileError, MediaError, NoVideoError, TableError: a file cannot be read.
        NoFaceError: no frame of the reference shows a face.
    """
    phones = None if pair.phones is None else read_phone_times(pair.phones)
    is_speech = pair.driving is not None
    driving = read_driving_audio(pair.driving or pair.reference or pair.output, phones, whole=is_speech)
    if phones is None and pair.transcript is not None:
        driving = with_aligned_phones(driving, pair.transcript)
    if pair.reference is None:
        return GroundTruth(driving)
    reference = _read_reference(pair.reference, pair.driving or pair.reference, driving, networks)
    ground_truth = GroundTruth(driving, reference)
    if anchor is None:
        return ground_truth
    with tempfile.TemporaryDirectory(prefix="talkinghead-") as folder:
        output = render_ceiling(anchor, reference.clip, driving.audio, Path(folder))
        ceiling = evaluate_pair(Pair(output, pair.reference), networks, ground_truth).scores
    return replace(ground_truth, reference=replace(reference, rows={**reference.rows, RENDERER_CEILING: ceiling}))


def _read_reference(path: Path, driving_path: Path, driving: DrivingAudio, networks: MetricNetworks) -> Reference:
    clip = read_clip(path)
    track = clip.track
    if not track.valid.any():
        raise NoFaceError(f"{path} shows no face, so there is nothing to compare with")
    face = LocalFace(track)
    audio_lag = AudioLag(reason="needs audio") if driving.audio is None else find_audio_lag(driving_path, face)
    scorer = ImageScorer.of(clip, face, networks)
    late_images, features = delayed_image_scores(scorer, SHIFT_FRAMES)
    embeddings = syncnet_embeddings(clip, driving, networks)
    late_frames = round(SHIFT_FRAMES * syncnet.FRAME_RATE_HZ / clip.frame_rate)

    def row(shown: Track, sync: syncnet.LipSync | None, images: Mapping[str, float]) -> Scores:
        by_landmarks = landmark_scores(LandmarkPair(shown, track, face)).scores
        by_audio = audio_scores(MouthAndAudio(shown, driving, sync, audio_lag.lag_s or 0.0)).scores
        return Scores(**by_landmarks, **by_audio, **images)

    rows = {
        GROUND_TRUTH: row(track, lip_sync(embeddings), scorer.identical),
        FROZEN_MOUTH: row(metrics.freeze_mouth(track, face.landmarks), None, {}),
        SHIFTED_TRUTH: row(delayed(track, SHIFT_FRAMES), lip_sync(embeddings, late_frames), late_images),
    }
    return Reference(clip, face, scorer, features, rows, audio_lag, read_audio_if_any(path))


def render_ceiling(anchor: Path, reference: Clip, audio: Audio | None, folder: Path) -> Path:
    """Generate the reference again with an ANCHOR of that person, from the coefficients measured in it.

    Args:
        anchor: ANCHOR folder.
        reference: clip whose frames and coefficients are used.
        audio: its audio; None generates with silence.
        folder: where to write the result.

    Returns:
        Path of the generated video.

    Raises:
        TalkingHeadError: as `generate` does.
    """
    # Imported here: nothing else in an evaluation needs the generator.
    from talkinghead.generation.pipeline import generate

    output, speech = folder / "ceiling.mp4", folder / "speech.wav"
    period_s = 1 / float(reference.frame_rate)
    duration_s = float(reference.track.times_s[-1]) + period_s
    samples = np.zeros(round(duration_s * syncnet.RATE_HZ), np.float32)
    if audio is not None:
        samples[: len(audio.samples)] = audio.samples[: len(samples)]
    write_audio(speech, [Audio(samples, syncnet.RATE_HZ)])
    generate(anchor, speech, output, clip=reference.path, expression=reference.path)
    return output


def evaluate_pair(
    pair: Pair, networks: MetricNetworks | None = None, ground_truth: GroundTruth | None = None
) -> PairScores:
    """Score one output against its reference, frame by frame at the reference's times and size.

    An output in which no face is found is scored too: its landmark scores are NaN.

    Args:
        pair: the output and what it is scored against.
        networks: metric networks; None loads those that are installed.
        ground_truth: what `read_ground_truth` returned for this pair; None reads it.

    Raises:
        MissingFileError, MediaError, NoVideoError, TableError: a file cannot be read.
        NoFaceError: no frame of the reference shows a face.
    """
    networks = networks or load_metric_networks()
    ground_truth = ground_truth or read_ground_truth(pair, networks)
    output, driving = read_clip(pair.output), ground_truth.driving
    heard = read_audio_if_any(pair.output)
    start_s = speech_start_s(heard, _driving_audio(ground_truth))
    sync = lip_sync(syncnet_embeddings(output, driving, networks))
    measured = audio_scores(MouthAndAudio(earlier(output.track, start_s), driving, sync))
    missing = {**driving.missing, **{Need(name): reason for name, reason in networks.missing.items()}}
    if pair.twin is None:
        missing[Need.TWIN] = TWIN_MISSING
    if ground_truth.reference is None:
        counts = {"frames_scored": float(output.track.valid.sum()), "frames_total": float(len(output.track))}
        notes = (*treatment_notes(output, "output"), *counted(~output.track.valid, "of the output show no face"))
        reasons = measured.unless(not_measured({**missing, Need.REFERENCE: "needs a reference"}))
        return PairScores(pair, Scores(**measured.scores, **counts), {}, notes, reasons, None, _hashes(pair))
    heard_output = _HeardOutput(output, heard, start_s)
    return _against_reference(pair, heard_output, ground_truth, ground_truth.reference, measured, missing, networks)


@dataclass(frozen=True)
class _HeardOutput:
    """An output and its audio."""

    clip: Clip
    audio: Audio | None
    speech_start_s: float
    """See `audio_lag.speech_start_s`."""


def _driving_audio(ground_truth: GroundTruth) -> Audio | None:
    """What drove the outputs, as far as it is known: the audio that was named, else the reference's."""
    if ground_truth.driving.audio is not None:
        return ground_truth.driving.audio
    return None if ground_truth.reference is None else ground_truth.reference.audio


def _against_reference(
    pair: Pair,
    heard: _HeardOutput,
    ground_truth: GroundTruth,
    reference: Reference,
    by_audio: Measured,
    missing: Mapping[Need, str],
    networks: MetricNetworks,
) -> PairScores:
    output, mouth = heard.clip, earlier(heard.clip.track, heard.speech_start_s)
    lag = lag_scores(mouth, reference.clip.track, reference.audio_lag)
    landmarks = LandmarkPair(mouth, reference.clip.track, reference.face, lag)
    timed = replace(output, track=earlier(mouth, lag.taken_out_s))
    images = _image_scores(output, timed, reference.scorer)
    measured = by_audio | landmark_scores(landmarks) | images.measured
    if pair.twin is not None:
        measured |= twin_scores(output, read_clip(pair.twin), reference.scorer)
    rows = dict(reference.rows)
    if pair.ceiling is not None:
        rows[RENDERER_CEILING] = evaluate_pair(Pair(pair.ceiling, pair.reference), networks, ground_truth).scores
    if reference.audio_lag.lag_s is None:
        missing = {**missing, Need.AUDIO_LAG: reference.audio_lag.reason}
    words = Words.of(
        driving=None if pair.driving is None else ground_truth.driving.audio,
        output=heard.audio,
        reference=reference.audio,
        lag=reference.audio_lag,
        pair=landmarks,
    )
    notes = (
        *words_note(words),
        *start_note(heard.speech_start_s),
        *lag_note(reference.audio_lag, lag.taken_out_s),
        *difference_notes(output, reference.clip),
    )
    return PairScores(
        pair,
        Scores(**measured.scores),
        rows,
        notes,
        measured.unless({**not_measured(missing), **reference.scorer.missing}),
        _curves(timed, reference, ground_truth.driving, landmarks, images.psnr_mouth_db),
        _hashes(pair),
        (images.features, reference.features),
    )


def _image_scores(output: Clip, timed: Clip, scorer: ImageScorer) -> ImageScores:
    """Scores of images; `timed` is the output with the lag of the audio taken out.

    The mouth follows the audio, but head and background are those of the reference's frame at the same time: a lag
    counts for the mouth crop alone.
    """
    if timed.track is output.track:
        return image_scores(output, scorer)
    mouth, whole = (
        image_scores(clip, scorer.restricted(of_mouth=of_mouth)) for clip, of_mouth in ((timed, True), (output, False))
    )
    return replace(mouth, measured=mouth.measured | whole.measured)


def _curves(
    output: Clip, reference: Reference, driving: DrivingAudio, landmarks: LandmarkPair, psnr_mouth_db: Values
) -> Curves:
    track = reference.clip.track
    return Curves(
        times_s=track.times_s,
        reference_opening=metrics.opening(track),
        reference_mouth_px=mouth_shape_px(track),
        landmarks=landmarks.curves,
        psnr_mouth_db=psnr_mouth_db,
        silent=driving.silent(track.times_s),
        envelope=_envelope(driving.audio),
        partners=metrics.nearest_frames(output.track.times_s, track.times_s),
        crop=reference.scorer.crop,
    )


def _envelope(audio: Audio | None) -> Values:
    """(E,) root mean square of each `ENVELOPE_S` of audio, over the largest."""
    if audio is None:
        return np.zeros(0)
    piece = round(ENVELOPE_S * audio.rate_hz)
    pieces = audio.samples[: len(audio.samples) // piece * piece].reshape(-1, piece).astype(np.float64)
    level = np.sqrt(np.square(pieces).mean(1))
    return np.asarray(level / max(float(level.max(initial=0)), 1e-9))


def _hashes(pair: Pair) -> dict[str, str]:
    """Hash of each file of a pair, by the field that names it."""
    named = {field.name: getattr(pair, field.name) for field in fields(Pair)}
    return {name: sha256_of(value) for name, value in named.items() if isinstance(value, Path)}

"""Outputs judged against the truth by the metrics of docs/evaluation.md, beside rows that set the scale."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkinghead import metrics
from talkinghead.errors import NoFaceError, TalkingHeadError
from talkinghead.evaluation import scores
from talkinghead.evaluation.clip import (
    Clip,
    Driving,
    LandmarkCurves,
    LocalFace,
    PictureJudge,
    aligned,
    embeddings,
    landmark_numbers,
    late,
    late_picture_numbers,
    leak_of,
    mouth_and_audio,
    mouth_shape_px,
    picture_numbers,
    read_clip,
    read_driving,
    sync_numbers,
)
from talkinghead.evaluation.pairs import LeftOut, Pair
from talkinghead.evaluation.phone_times import read_phone_times
from talkinghead.evaluation.scores import NAMES, Scores
from talkinghead.files import sha256_of
from talkinghead.media.audio_writer import write_audio
from talkinghead.metrics import syncnet
from talkinghead.metrics.fid import frechet_distance
from talkinghead.metrics.networks import Judges, load_judges
from talkinghead.structures import Audio, BoolArray, FloatArray, Track

Values = NDArray[np.float64]

GROUND_TRUTH = "ground truth"
"""Row: the reference judged against itself, the best that there is."""
FROZEN_MOUTH = "frozen mouth"
"""Row: the reference with its median mouth in every frame. Landmarks only: what does not beat it does not speak."""
SHIFTED_TRUTH = "shifted truth"
"""Row: the reference itself, `SHIFT_FRAMES` late. A number that is no worse here does not see lip sync."""
RENDERER_CEILING = "renderer ceiling"
"""Row: another output, made with the true coefficients. What is lost there, no better speech can win back."""
SHIFT_FRAMES = 5

ENVELOPE_S = 0.02
"""Length of the pieces whose level is drawn."""


@dataclass(frozen=True)
class Curves:
    """What a report draws of one clip, at the reference's times."""

    times_s: Values
    """(T,)"""
    true_opening: Values
    """(T,)"""
    true_mouth_px: Values
    """(T, 20, 2)"""
    landmarks: LandmarkCurves
    psnr_mouth_db: Values
    """(T,)"""
    silent: BoolArray
    """(T,)"""
    envelope: Values
    """(E,) level of the sound every `ENVELOPE_S`, 1 at its loudest; empty without sound."""
    partners: NDArray[np.intp]
    """(T,) number of the output's frame beside each of the reference, -1 for none."""
    crop: metrics.MouthCrop


@dataclass(frozen=True)
class PairScores:
    """One output against its reference."""

    pair: Pair
    scores: Scores
    rows: Mapping[str, Scores]
    """The rows that set the scale, by name; empty without a reference."""
    notes: tuple[str, ...]
    """What one has to know to read the numbers: clips that differ in rate, size or length, frames without a face."""
    missing: Mapping[str, str]
    """Why a number was not measured, by its name."""
    curves: Curves | None
    """None without a reference."""
    sha256: Mapping[str, str]
    """Of every file that was read, by what it is in the pair."""
    features: tuple[Sequence[FloatArray], Sequence[FloatArray]] = ((), ())
    """For FID: of the output, of the reference."""


@dataclass(frozen=True)
class Evaluation:
    """All clips of all systems."""

    pairs: tuple[PairScores, ...]
    left_out: tuple[LeftOut, ...] = ()
    judges_sha256: Mapping[str, str] | None = None

    @cached_property
    def systems(self) -> tuple[str, ...]:
        """In the order in which they were given."""
        names = [scored.pair.system for scored in self.pairs] + [left.system for left in self.left_out]
        return tuple(dict.fromkeys(names))

    def of(self, system: str) -> tuple[PairScores, ...]:
        """The clips of one system."""
        return tuple(scored for scored in self.pairs if scored.pair.system == system)

    def mean(self, system: str | None = None) -> Scores:
        """Each number's mean over the clips where it was measured; FID over all frames. None is the first system."""
        chosen = self.of(self.systems[0] if system is None else system)
        made, true = ([vector for scored in chosen for vector in scored.features[side]] for side in (0, 1))
        return replace(scores.mean([scored.scores for scored in chosen]), fid=frechet_distance(made, true))

    def intervals(self, system: str) -> dict[str, tuple[float, float]]:
        """Where each mean lies, by the bootstrap over clips."""
        return scores.intervals([scored.scores for scored in self.of(system)])

    def difference(self, system: str, other: str) -> tuple[Scores, dict[str, tuple[float, float]]]:
        """Mean difference of two systems over the clips that both have, and where it lies (paired bootstrap)."""
        theirs = {scored.pair.name: scored.scores for scored in self.of(other)}
        both = [scored for scored in self.of(system) if scored.pair.name in theirs]
        apart = scores.differences([one.scores for one in both], [theirs[one.pair.name] for one in both])
        return scores.mean(apart), scores.intervals(apart)

    @cached_property
    def rows(self) -> dict[str, Scores]:
        """The mean of each row that sets the scale, over the references that have it."""
        by_reference = {(scored.pair.reference, scored.pair.driving): scored.rows for scored in self.pairs}
        names = [GROUND_TRUTH, FROZEN_MOUTH, SHIFTED_TRUTH, RENDERER_CEILING]
        found = {name: [rows[name] for rows in by_reference.values() if name in rows] for name in names}
        return {name: scores.mean(rows) for name, rows in found.items() if rows}

    @cached_property
    def blind_to_sync(self) -> tuple[str, ...]:
        """Numbers that do not fall when the truth comes late."""
        if SHIFTED_TRUTH not in self.rows:
            return ()
        return scores.blind_to_sync(self.rows[GROUND_TRUTH], self.rows[SHIFTED_TRUTH])

    @cached_property
    def missing(self) -> dict[str, str]:
        """Why a number was measured for no clip at all, by its name."""
        measured = {name for scored in self.pairs for name in NAMES if np.isfinite(getattr(scored.scores, name))}
        reasons = {name: reason for scored in self.pairs for name, reason in scored.missing.items()}
        return {name: reason for name, reason in reasons.items() if name not in measured}


def evaluate(
    pairs: Iterable[Pair],
    *,
    anchor: Path | None = None,
    left_out: Sequence[LeftOut] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Every output against its reference. A pair that cannot be judged is left out, with its reason.

    Args:
        pairs: what to compare with what.
        anchor: ANCHOR of the person in the references: each reference gets a renderer ceiling made with it.
        left_out: clips of which it is known already that they cannot be judged.
        progress: called with pairs done and pairs in all.

    Raises:
        TalkingHeadError: no pair at all could be judged: the first one's error.
    """
    given = list(pairs)
    judges = load_judges()
    found: dict[int, PairScores] = {}
    failed: list[tuple[LeftOut, TalkingHeadError]] = []
    groups: dict[tuple[Path | None, ...], list[int]] = {}
    for number, pair in enumerate(given):
        groups.setdefault((pair.reference, pair.driving, pair.phones, pair.transcript), []).append(number)
    for numbers in groups.values():
        # What is known of a truth serves every system that is judged by it, and is forgotten then.
        truth: Truth | None = None
        for number in numbers:
            pair = given[number]
            try:
                truth = truth or read_truth(pair, judges, anchor)
                found[number] = evaluate_pair(pair, judges, truth)
            except TalkingHeadError as error:
                failed.append((LeftOut(pair.output, pair.system, str(error), error.exit_code), error))
            if progress:
                progress(len(found) + len(failed), len(given))
    if failed and not found:
        raise failed[0][1]
    ordered = tuple(found[number] for number in sorted(found))
    return Evaluation(ordered, (*left_out, *(left for left, _ in failed)), judges.sha256)


@dataclass(frozen=True)
class Truth:
    """What an output is judged by, measured once for all systems. Without a reference there is only the sound."""

    driving: Driving
    reference: Clip | None = None
    face: LocalFace | None = None
    pictures: PictureJudge | None = None
    features: Sequence[FloatArray] = ()
    rows: Mapping[str, Scores] | None = None


def read_truth(pair: Pair, judges: Judges, anchor: Path | None = None) -> Truth:
    """Read a pair's reference and sound, and measure the rows that set the scale.

    Raises:
        MissingFileError, MediaError, NoVideoError, TableError: a file cannot be read.
        NoFaceError: no frame of the reference shows a face.
    """
    phones = None if pair.phones is None else read_phone_times(pair.phones)
    driving = read_driving(pair.driving or pair.reference or pair.output, phones)
    if phones is None and pair.transcript is not None:
        driving = aligned(driving, pair.transcript)
    if pair.reference is None:
        return Truth(driving)
    reference = read_clip(pair.reference)
    if not reference.track.valid.any():
        raise NoFaceError(f"{pair.reference} shows no face, so there is nothing to compare with")
    face = LocalFace(reference.track)
    pictures = PictureJudge.of(reference, face, judges)
    late_numbers, features = late_picture_numbers(pictures, SHIFT_FRAMES)
    heard = embeddings(reference, driving, judges)
    late_sync = sync_numbers(heard, round(SHIFT_FRAMES * syncnet.FRAME_RATE_HZ / reference.frame_rate))
    track = reference.track
    rows = {
        GROUND_TRUTH: _row(track, reference, face, driving, {**pictures.perfect, **sync_numbers(heard)}),
        FROZEN_MOUTH: _row(metrics.freeze_mouth(track, face.landmarks), reference, face, driving, {}),
        SHIFTED_TRUTH: _row(late(track, SHIFT_FRAMES), reference, face, driving, {**late_numbers, **late_sync}),
    }
    truth = Truth(driving, reference, face, pictures, features, rows)
    if anchor is not None:
        with tempfile.TemporaryDirectory(prefix="talkinghead-") as folder:
            made = render_truth(anchor, reference, driving.audio, Path(folder))
            rows[RENDERER_CEILING] = evaluate_pair(Pair(made, pair.reference), judges, truth).scores
    return truth


def _row(track: Track, reference: Clip, face: LocalFace, driving: Driving, more: Mapping[str, float]) -> Scores:
    numbers, _ = landmark_numbers(track, reference.track, face)
    return Scores(**numbers, **mouth_and_audio(track, driving), **more)


def render_truth(anchor: Path, reference: Clip, audio: Audio | None, folder: Path) -> Path:
    """The reference once more, its mouth drawn by an anchor of that person from the coefficients measured in it.

    Raises:
        TalkingHeadError: as `pipeline.generate` does.
    """
    # Imported here: nothing else in an evaluation needs the generator.
    from talkinghead.generation.pipeline import generate

    made, speech = folder / "ceiling.mp4", folder / "speech.wav"
    period_s = 1 / float(reference.frame_rate)
    duration_s = float(reference.track.times_s[-1]) + period_s
    heard = np.zeros(round(duration_s * syncnet.RATE_HZ), np.float32)
    if audio is not None:
        heard[: len(audio.samples)] = audio.samples[: len(heard)]
    write_audio(speech, [Audio(heard, syncnet.RATE_HZ)])
    generate(anchor, speech, made, clip=reference.path, expression=reference.path)
    return made


def evaluate_pair(pair: Pair, judges: Judges | None = None, truth: Truth | None = None) -> PairScores:
    """One output against its reference, frame by frame of the reference, at the reference's times and size.

    An output in which no face is found is judged all the same: its landmark scores are NaN.

    Args:
        pair: what to compare with what.
        judges: networks of others; None takes those that are here.
        truth: of this pair's reference, driving sound and phones; None reads it.

    Raises:
        MissingFileError, MediaError, NoVideoError, TableError: a file cannot be read.
        NoFaceError: no frame of the reference shows a face.
    """
    judges = judges or load_judges()
    truth = truth or read_truth(pair, judges)
    output = read_clip(pair.output)
    numbers = mouth_and_audio(output.track, truth.driving)
    numbers |= sync_numbers(embeddings(output, truth.driving, judges))
    missing = {**truth.driving.missing, **judges.missing}
    if truth.reference is None or truth.face is None or truth.pictures is None:
        seen = {"frames_scored": float(output.track.valid.sum()), "frames_total": float(len(output.track))}
        without = {metric.field: "needs a reference" for metric in scores.METRICS if metric.source in ("pair", "set")}
        notes = tuple(_counted(~output.track.valid, "of the output show no face"))
        return PairScores(pair, Scores(**numbers, **seen), {}, notes, {**missing, **without}, None, _hashes(pair))
    by_landmarks, curves = landmark_numbers(output.track, truth.reference.track, truth.face)
    by_pixels = picture_numbers(output, truth.pictures)
    rows = dict(truth.rows or {})
    if pair.ceiling is not None:
        rows[RENDERER_CEILING] = evaluate_pair(Pair(pair.ceiling, pair.reference), judges, truth).scores
    if pair.twin is None:
        missing["leak"] = "needs a twin: the same output from a clip that differs in the original mouth alone"
    else:
        numbers["leak"] = leak_of(output, read_clip(pair.twin), truth.pictures)
    return PairScores(
        pair,
        Scores(**numbers, **by_landmarks, **by_pixels.numbers),
        rows,
        tuple(_notes(output, truth.reference)),
        {**missing, **truth.pictures.missing},
        _curves(output, truth, curves, by_pixels.psnr_mouth_db),
        _hashes(pair),
        (by_pixels.features, truth.features),
    )


def _curves(output: Clip, truth: Truth, landmarks: LandmarkCurves, psnr_mouth_db: Values) -> Curves:
    assert truth.reference is not None and truth.pictures is not None
    track = truth.reference.track
    return Curves(
        times_s=track.times_s,
        true_opening=metrics.opening(track),
        true_mouth_px=mouth_shape_px(track),
        landmarks=landmarks,
        psnr_mouth_db=psnr_mouth_db,
        silent=truth.driving.silent(track.times_s),
        envelope=_envelope(truth.driving.audio),
        partners=metrics.nearest_frames(output.track.times_s, track.times_s),
        crop=truth.pictures.crop,
    )


def _envelope(audio: Audio | None) -> Values:
    if audio is None:
        return np.zeros(0)
    piece = round(ENVELOPE_S * audio.rate_hz)
    whole = audio.samples[: len(audio.samples) // piece * piece].reshape(-1, piece).astype(np.float64)
    level = np.sqrt(np.square(whole).mean(1))
    return np.asarray(level / max(float(level.max(initial=0)), 1e-9))


def _hashes(pair: Pair) -> dict[str, str]:
    named = {
        "output": pair.output,
        "reference": pair.reference,
        "driving": pair.driving,
        "phones": pair.phones,
        "transcript": pair.transcript,
        "ceiling": pair.ceiling,
        "twin": pair.twin,
    }
    return {name: sha256_of(path) for name, path in named.items() if path is not None}


def _notes(output: Clip, reference: Clip) -> Iterator[str]:
    made, true = output.track, reference.track
    if output.frame_rate != reference.frame_rate:
        yield (
            f"{_fps(output.frame_rate)} frames a second against {_fps(reference.frame_rate)}: "
            "compared at the reference's times"
        )
    if (made.width, made.height) != (true.width, true.height):
        yield f"{made.width}x{made.height} px against {true.width}x{true.height}: the output was scaled"
    partners = metrics.nearest_frames(made.times_s, true.times_s)
    yield from _counted(np.asarray(partners < 0), "of the reference come when the output has none")
    surplus = metrics.nearest_frames(true.times_s, made.times_s) < 0
    yield from _counted(np.asarray(surplus), "of the output come when the reference has none")
    yield from _counted(~true.valid, "of the reference show no face")
    yield from _counted(~made.valid, "of the output show no face")


def _fps(rate: Fraction) -> str:
    return f"{float(rate):.3f}"


def _counted(chosen: BoolArray, what: str) -> Iterator[str]:
    if chosen.any():
        yield f"{int(chosen.sum())} of {len(chosen)} frames {what}"

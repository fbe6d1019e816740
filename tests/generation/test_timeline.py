"""Which frames of a clip an output shows: within the clip range, once through, and on."""

from __future__ import annotations

import dataclasses
import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_face import DrawnClip, drawn_clip

from talkinghead.anchor import Anchor, load_anchor
from talkinghead.errors import CheckpointError, OptionError
from talkinghead.generation.face_updater import FaceUpdater
from talkinghead.generation.frames import updated_frames
from talkinghead.generation.timeline import plan
from talkinghead.structures import ClipRange, Loop

pytestmark = pytest.mark.usefixtures("own_caches")

FRAMES = 100
LOOP = Loop(leave=70, enter=20, frames=7)


def looping(anchor: Anchor, clip_range: ClipRange | None = None, loop: Loop = LOOP) -> Anchor:
    return dataclasses.replace(anchor, loops=(loop,), clip_range=clip_range)


def test_speech_shorter_than_the_clip_shows_it_from_its_start(anchor: Anchor) -> None:
    for loops in ((), (LOOP,)):
        timeline = plan(dataclasses.replace(anchor, loops=loops), None, 4.0)
        np.testing.assert_array_equal(timeline.frames, np.arange(FRAMES))
        assert timeline.crossing is None and len(timeline.reconstruction) == FRAMES


def test_longer_speech_goes_round_the_anchors_loop(anchor: Anchor) -> None:
    timeline = plan(looping(anchor), None, 9.0)
    assert timeline.crossing is not None and timeline.crossing.loop == LOOP
    assert len(timeline) == len(timeline.times_s) == 225
    assert len(timeline.reconstruction) == len(timeline.reject_reasons) == FRAMES + LOOP.frames
    assert (np.diff(timeline.reconstruction.times_s) > 0).all()
    np.testing.assert_array_equal(timeline.frames[:77], [*range(70), *range(100, 107)])
    np.testing.assert_array_equal(timeline.frames[77:80], [27, 28, 29])
    assert (np.diff(timeline.frames) != 0).all()


def test_without_a_loop_it_turns(anchor: Anchor) -> None:
    timeline = plan(dataclasses.replace(anchor, loops=()), None, 9.0)
    assert timeline.crossing is None
    assert (np.abs(np.diff(timeline.frames)) == 1).all() and (np.diff(timeline.frames) == -1).any()


def test_the_anchors_range_is_kept_and_another_overrides_it(anchor: Anchor) -> None:
    ranged = looping(anchor, ClipRange(0.4, 3.6))
    assert ranged.trained.valid.sum() == 80 and anchor.trained.valid.sum() == FRAMES
    within = plan(ranged, None, 9.0)
    assert within.span == (10, 89) and within.frames[0] == 10
    assert within.crossing is not None and within.crossing.loop == LOOP
    # The anchor's loop is of its own range: in another one it may not be there, and another is sought.
    other = plan(ranged, None, 9.0, clip_range=ClipRange(1, 2.6))
    shown = other.frames[other.frames < FRAMES]
    assert other.span == (25, 64) and shown.min() == 25 and shown.max() <= 64
    if other.crossing is not None:
        assert other.crossing.loop.enter >= 25 and other.crossing.loop.leave + other.crossing.loop.frames <= 65


def test_a_range_of_another_clip(anchor: Anchor, tmp_path: Path) -> None:
    source = drawn_clip(tmp_path / "other.mp4", 2.0, spoken=1, with_audio=False)
    ranged = dataclasses.replace(anchor, clip_range=ClipRange(0, 3))  # of its own clip, and of no other
    assert plan(ranged, source.path, 1.0).span == (0, 49)
    timeline = plan(ranged, source.path, 3.0, clip_range=ClipRange(0.4, 1.6))
    assert timeline.span == (10, 39)
    assert set(timeline.frames.tolist()) <= set(range(10, 40))
    with pytest.raises(OptionError, match="clip_range 1-4s goes beyond the end of .*other.mp4, which lasts 2.00 s"):
        plan(ranged, source.path, 1.0, clip_range=ClipRange(1, 4))


def test_a_range_of_a_clip_of_variable_rate(anchor: Anchor, tmp_path: Path) -> None:
    steps = np.random.default_rng(3).choice([0.02, 0.04, 0.1], 40)
    times_s = np.concatenate([[0], np.cumsum(steps)[:-1]])
    source = drawn_clip(tmp_path / "source.mp4", 3, 20, spoken=1, with_audio=False, times_s=times_s)
    timeline = plan(anchor, source.path, 4.0, clip_range=ClipRange(0.3, 1.5))
    times_s = timeline.reconstruction.times_s  # with those of frames that are repeated in gaps
    shown = times_s[timeline.frames]
    assert shown.min() >= 0.3 - 1e-3 and shown.max() < 1.5 and timeline.crossing is None
    np.testing.assert_array_equal(timeline.frames[0], np.searchsorted(times_s, 0.3 - 1e-3))
    assert timeline.times_s[0] == 0 and timeline.times_s[-1] < 4.0


def test_blended_frames_get_a_new_lower_face_as_others_do(anchor: Anchor, clip: DrawnClip) -> None:
    """The output over a crossing: every frame is updated, none is repeated, and it has the size of the clip."""
    timeline = plan(looping(anchor), None, 9.0)
    part = slice(66, 82)
    timeline = dataclasses.replace(timeline, frames=timeline.frames[part], times_s=timeline.times_s[part])
    updater = FaceUpdater(anchor, timeline.reconstruction, torch.device("cpu"))
    driven = anchor.reconstruction.expression[: len(timeline)]
    sources = [frame.image for frame in timeline.read()]
    made = list(updated_frames(updater, timeline, driven))
    assert len(made) == len(sources) == 16
    assert all(frame.reject_reason is None and frame.blend_weight == 1 for frame in made)
    for frame, source in zip(made, sources, strict=True):
        changed = (frame.image != source).any(-1)
        assert 0.02 < changed.mean() < 0.5
    for before, after in zip(sources[:-1], sources[1:], strict=True):
        assert np.abs(before.astype(int) - after).mean() > 0.05
    assert timeline.frame_rate == Fraction(25)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"range": "3"}, "clip range in anchor.json cannot be used"),
        ({"range": "50-60s"}, "shows no face in the clip range"),
        ({"loops": [{"leave": 99, "enter": 20, "frames": 7}]}, "has no frames for the loop"),
        ({"loops": [{"leave": 20, "enter": 70, "frames": 7}]}, "has no frames for the loop"),
        ({"loops": [{"leave": 70}]}, "loops in anchor.json cannot be read"),
        ({"loops": 3}, "loops in anchor.json cannot be read"),
    ],
)
def test_a_damaged_range_or_loop_is_refused(
    changes: dict[str, object], message: str, anchor_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(anchor_folder, tmp_path / "person")
    path = folder / "anchor.json"
    description = json.loads(path.read_text("utf-8"))
    description["clip"] |= changes
    path.write_text(json.dumps(description), "utf-8")
    with pytest.raises(CheckpointError, match=message):
        load_anchor(folder)


def test_an_older_anchor_knows_no_range_and_no_loops(anchor_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(anchor_folder, tmp_path / "person")
    path = folder / "anchor.json"
    description = json.loads(path.read_text("utf-8"))
    for name in ("range", "loops"):
        del description["clip"][name]
    path.write_text(json.dumps(description), "utf-8")
    loaded = load_anchor(folder)
    assert loaded.clip_range is None and loaded.loops is None
    assert len(plan(loaded, None, 5.0)) == 125  # its loops are sought now

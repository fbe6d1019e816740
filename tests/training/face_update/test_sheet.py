"""training.png: a caption above each column, and speech-driven frames only where there are any."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from talkinghead.anchor import Anchor
from talkinghead.face.region_removal import crop_size_px
from talkinghead.media.images import BACKGROUND, GAP_PX
from talkinghead.structures import ByteArray
from talkinghead.training.face_update.own_speech import NO_SPEECH, OwnSpeech
from talkinghead.training.face_update.samples import Samples, gather_samples
from talkinghead.training.face_update.sheet import COLUMNS, SHOWN_SAMPLES, HeldOutSheet, shown_samples

pytestmark = pytest.mark.usefixtures("own_caches")

CPU = torch.device("cpu")
SHOWN = np.array([3, 20, 41])


@pytest.fixture(scope="module")
def samples(anchor: Anchor) -> Samples:
    size_px = crop_size_px(anchor.region, anchor.reconstruction)
    return gather_samples(anchor.clip, anchor.model, anchor.region, anchor.reconstruction, size_px, 1000)


def written(path: Path, samples: Samples, anchor: Anchor, speech: OwnSpeech) -> tuple[ByteArray, list[list[ByteArray]]]:
    """The captions' part of a sheet, and its images by row and column."""
    HeldOutSheet(path, samples, SHOWN, speech).write(anchor.network, CPU, "A headline")
    sheet = np.asarray(cv2.imread(str(path)))[..., ::-1]
    height, width = anchor.network.config.size_px
    top = sheet.shape[0] - len(SHOWN) * (height + GAP_PX)
    rows = [
        [sheet[y : y + height, x : x + width] for x in range(GAP_PX, sheet.shape[1] - width, width + GAP_PX)]
        for y in range(top, sheet.shape[0] - height, height + GAP_PX)
    ]
    return sheet[: top - GAP_PX], rows


def test_a_column_is_driven_by_speech(tmp_path: Path, samples: Samples, anchor: Anchor) -> None:
    """Speech that asks for the frames' own expression gives the third column, other speech another mouth."""
    own = samples.coefficients.expression.numpy()
    _, rows = written(tmp_path / "own.png", samples, anchor, OwnSpeech(own[SHOWN]))
    assert [len(row) for row in rows] == [len(COLUMNS) + 1] * len(SHOWN)
    for row, sample in zip(rows, SHOWN, strict=True):
        np.testing.assert_array_equal(row[0], samples.crops[sample])
        np.testing.assert_array_equal(row[2], row[3])
    _, others = written(tmp_path / "other.png", samples, anchor, OwnSpeech(np.roll(own, 7, axis=0)[SHOWN]))
    outside = samples.feathers[SHOWN] == 0
    for row, other, around in zip(rows, others, outside, strict=True):
        np.testing.assert_array_equal(other[2], row[2])
        np.testing.assert_array_equal(other[3][around], row[0][around])
        assert (other[3] != row[3]).any()


def test_without_speech_there_is_no_such_column_and_the_sheet_says_why(
    tmp_path: Path, samples: Samples, anchor: Anchor
) -> None:
    captions, rows = written(tmp_path / "without.png", samples, anchor, OwnSpeech(None, NO_SPEECH))
    assert [len(row) for row in rows] == [len(COLUMNS)] * len(SHOWN)
    other, _ = written(tmp_path / "other.png", samples, anchor, OwnSpeech(None, "of something else"))
    assert captions.shape != other.shape or (captions != other).any()


def test_every_column_has_a_caption(tmp_path: Path, samples: Samples, anchor: Anchor) -> None:
    captions, rows = written(
        tmp_path / "sheet.png", samples, anchor, OwnSpeech(np.zeros((3, anchor.model.expressions), np.float32))
    )
    width = rows[0][0].shape[1] + GAP_PX
    titles = captions[len(captions) // 2 :]  # below the headline
    for column in range(len(rows[0])):
        assert (titles[:, GAP_PX + column * width : (column + 1) * width] > BACKGROUND + 100).any()


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (5, 5), (6, 6), (60, SHOWN_SAMPLES)])
def test_shown_samples_are_spread_over_those_held_out(count: int, expected: int) -> None:
    held_out = np.arange(100, 100 + count)
    shown = shown_samples(held_out)
    assert len(shown) == expected and shown[0] == 100 and shown[-1] == 99 + count
    assert (np.diff(shown) > 0).all()

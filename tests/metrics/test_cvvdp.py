"""ColorVideoVDP, where it is installed, and what is said where it is not."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import numpy as np
import pytest

from talkinghead.errors import ModelUnavailableError
from talkinghead.evaluation.mouth_video import MOST_FRAMES, MouthVideo
from talkinghead.metrics import cvvdp
from talkinghead.metrics.networks import MetricNetworks

IS_INSTALLED = importlib.util.find_spec(cvvdp.PACKAGE) is not None


def test_without_it_the_reason_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelUnavailableError, match=r"pip install 'talkinghead\[cvvdp\]'"):
        cvvdp.ColorVideoVdp()


def test_what_it_needs_itself_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(_: str) -> None:
        sys.path.append("/somewhere")
        raise ModuleNotFoundError(name="torchvision")

    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    monkeypatch.setattr(importlib, "import_module", lacking)
    with pytest.raises(ModelUnavailableError, match="lacks torchvision"):
        cvvdp.ColorVideoVdp()
    assert "/somewhere" not in sys.path


@pytest.mark.skipif(not IS_INSTALLED, reason="needs talkinghead[cvvdp]")
@pytest.mark.parametrize(("side", "frames"), [(16, 1), (40, 5)])
def test_equal_videos_are_ten_and_noise_lowers_it(side: int, frames: int) -> None:
    random = np.random.default_rng(0)
    reference = np.full((frames, side, side, 3), 120, np.uint8)
    levels = [
        np.clip(reference + random.normal(0, sigma, reference.shape), 0, 255).astype(np.uint8) for sigma in (9, 60)
    ]
    metric = cvvdp.ColorVideoVdp()
    equal, less, more = (metric.jod(output, reference, 25.0) for output in (reference, *levels))
    assert equal == 10 and 10 > less > more


def test_the_middle_of_a_clip_is_looked_at() -> None:
    networks = MetricNetworks(cvvdp=object())  # type: ignore[arg-type]
    assert MouthVideo.middle(networks, 25.0, 400).frames == range(150, 150 + MOST_FRAMES)
    assert MouthVideo.middle(networks, 25.0, 7).frames == range(7)
    assert not MouthVideo.middle(MetricNetworks(), 25.0, 400).frames

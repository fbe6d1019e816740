"""A live anchor before another background: what each session shows, and what a client may ask for."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_performer import DrawnPerformer

from talkinghead.errors import OptionError
from talkinghead.live.before_background import BeforeBackground
from talkinghead.live.session import LiveSession
from talkinghead.matting.backgrounds import open_background
from talkinghead.matting.clip_matte import ClipMatte
from talkinghead.server.config import ServerConfig, opaque_background

GREEN = (0, 177, 64)


def left_half(width: int, height: int, frames: int) -> ClipMatte:
    """A matte that keeps the left half of every frame."""
    alpha = np.zeros((height, width), np.uint8)
    alpha[:, : width // 2] = 255
    packed = np.asarray(cv2.imencode(".png", alpha)[1]).ravel()
    return ClipMatte(np.tile(packed, frames), (len(packed) * np.arange(1, frames + 1)).astype(np.int64), width, height)


def test_a_session_shows_the_anchor_before_the_background() -> None:
    performer = DrawnPerformer()
    size = performer.width, performer.height
    dressed = BeforeBackground(performer, left_half(*size, frames=400), open_background(GREEN, *size))
    session, plain = LiveSession(dressed), LiveSession(DrawnPerformer())
    try:
        for _ in range(6):
            tick, expected = session.next_tick(20), plain.next_tick(20)
            assert tick is not None and expected is not None
            half = size[0] // 2
            assert (tick.image[:, half:] == GREEN).all()
            assert (tick.image[:, :half] == expected.image[:, :half]).all()
    finally:
        session.close()
        plain.close()


def test_live_video_has_no_alpha() -> None:
    with pytest.raises(OptionError, match="cannot be transparent: name a color"):
        ServerConfig(background="transparent")
    assert opaque_background("#00b140") == GREEN
    assert ServerConfig(background="studio.png").named_background == Path("studio.png")

"""Whether another clip shows the anchor's person: asked of some of its frames before any is generated."""

from __future__ import annotations

import numpy as np

from talkinghead.errors import OtherPersonError
from talkinghead.face.region_removal import crop_frame
from talkinghead.generation.face_updater import FaceUpdater
from talkinghead.generation.timeline import Timeline
from talkinghead.media.video_reader import VideoReader

LOOKED_S = 10.0
"""Time from the clip's first frame that is shown from which frames are taken, seconds."""
LOOKS = 12
"""Most frames that are looked at."""
FEWEST_LOOKS = 3
"""Fewer usable frames prove nothing."""


def check_person(timeline: Timeline, updater: FaceUpdater) -> None:
    """Refuse a clip in which no frame looks like the anchor.

    Each frame that does not is passed through as covered. A whole video of them would have its old mouth and no word
    of why.

    Args:
        timeline: of the clip.
        updater: for the same clip.

    Raises:
        OtherPersonError: no frame that was looked at resembles the anchor's own.
    """
    if updater.appearance is None:
        return
    first, last = timeline.span
    times_s = timeline.reconstruction.times_s
    seen = (times_s >= times_s[first]) & (times_s <= min(times_s[first] + LOOKED_S, times_s[last]))
    can_be_used = np.array([reason is None for reason in timeline.reject_reasons])
    usable = np.flatnonzero(seen & timeline.reconstruction.valid & can_be_used)
    chosen = set(usable[np.unique(np.linspace(0, len(usable) - 1, LOOKS).astype(int))].tolist()) if len(usable) else ()
    if len(chosen) < FEWEST_LOOKS:
        return
    with VideoReader(timeline.clip, timeline.tracks) as reader:
        for number, frame in enumerate(reader):
            if number in chosen:
                crop = crop_frame(frame.image, updater.crops.to_frame[number], updater.crops.size_px)
                if not updater.appearance.is_covered(crop):
                    return
            if number >= max(chosen):
                break
    raise OtherPersonError(
        f"{timeline.clip} shows another person than the anchor, or in another light, or with a covered mouth: none of "
        f"{len(chosen)} frames resembles the anchor's clip. Train an anchor on it."
    )

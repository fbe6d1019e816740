"""What a finished training has come to, in sentences, from what anchor.json records of it."""

from __future__ import annotations

from typing import Any

FEW_STEPS = 250
"""Below so many steps the mouth is blurred (docs/renderer.md)."""
SHORT_CLIP_S = 30.0
"""A clip that shows the face for less than this is short."""
NARROW_OPENING = 0.03
"""A clip whose mouth opens less, over the width of the face, does not show its inside. In the clips of people talking
that were measured it is 0.05 and more: 0.069 in data/presenter/presenter.mp4."""
VISIBLE_LAG_MS = 60
"""Lag between a clip's audio and its mouth from which viewers notice it."""


def verdict(description: dict[str, Any]) -> str:
    """How good the network is, measured how, after how long: a clause, such as "good: 32.4 dB at the mouth ..."."""
    training = description["training"]
    psnr_db, steps = training["held_out_mouth_psnr_db"], training["steps"]
    measured = "its images are not finite" if psnr_db is None else f"{psnr_db:.1f} dB at the mouth"
    plural, length = "s" if steps != 1 else "", duration(training["seconds"])
    said = f"{training['quality']}: {measured} on frames that training did not use, after {steps} step{plural}"
    if training["stood_still"]:
        return f"{said} in {length}, when it no longer improved"
    return f"{said} in {length}"


def limits(description: dict[str, Any]) -> list[str]:
    """What keeps the result from being better, a clause each; empty where nothing is known to."""
    training, clip, lag_ms = description["training"], description["clip"], description["audio"]["lag_ms"]
    found = []
    if needs_more_training(description):
        is_short = training["steps"] < FEW_STEPS
        found.append(f"below about {FEW_STEPS} steps the mouth is blurred" if is_short else "it was still improving")
    shown_s = clip["seconds_with_face"]
    if shown_s < SHORT_CLIP_S:
        found.append(f"the clip shows the face for {shown_s:.0f} s: half a minute works, two minutes are better")
    if clip["opening"] < NARROW_OPENING:
        found.append("the mouth hardly opens in the clip, so its inside is guessed")
    if lag_ms is None:
        found.append("the clip has no speech that its mouth follows, or too little to fit speech to the person")
    elif abs(lag_ms) > VISIBLE_LAG_MS:
        where = "behind" if lag_ms > 0 else "ahead of"
        found.append(f"the clip's audio is {abs(lag_ms)} ms {where} its mouth, which generating from speech corrects")
    return found


def needs_more_training(description: dict[str, Any]) -> bool:
    """Whether more training is the first thing to do: it is rough, or not yet good after few steps."""
    training = description["training"]
    if training["stood_still"] or training["quality"] == "good":
        return False
    return bool(training["quality"] == "rough" or training["steps"] < FEW_STEPS)


def duration(seconds: float) -> str:
    """A length of time in words: "40 s", "9 min"."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"

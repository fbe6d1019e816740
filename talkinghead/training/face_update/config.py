"""The options of `train`, and the settings of its loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypedDict

from talkinghead.options.fields import check_options, device_option, option
from talkinghead.structures import ClipRange, FaceChoice, Tracks

DEFAULT_MINUTES = 15.0
"""Length of a training for which neither minutes nor steps are given."""


@dataclass(frozen=True)
class LoopConfig:
    """Settings of the training loop of the face update network.

    Raises:
        OptionError: a value is of the wrong type or out of its range.
    """

    generic_start: bool = option(
        True,
        # How skin, lips and teeth are drawn is much the same in everybody.
        help="Start from the built-in anchor's network, whose face is nobody's, instead of random weights.",
    )
    batch: int = option(
        4,
        # In the same time, twice as many steps by half as many samples learn more: every frame is much like the others.
        help="Samples in a step.",
        low=1,
    )
    learning_rate: float = option(2e-3, help="Learning rate after the warm-up.", low=0, high=1)
    final_learning_rate: float = option(5e-5, help="Learning rate at the end of its cosine schedule.", low=0, high=1)
    texture_rate: float = option(
        5.0,
        # It begins as another person's, and moves by no more than the sum of all learning rates: of a short training
        # that is too little for the detail of skin and teeth.
        help="Learning rate of the texture of the person, as a multiple of the others'.",
        low=0,
        high=100,
    )
    warmup_steps: int = option(30, help="Steps in which the learning rate rises from 0.", low=1)
    ema_decay: float = option(
        0.998, help="Largest decay of the moving average of the weights, in a step.", low=0, high=1
    )
    expression_jitter: float = option(
        0.15,
        help="Largest random shift of a sample's expression coefficients (patent: claim 8), as a share of the anchor's "
        "own standard deviation.",
        low=0,
        high=1,
    )
    pose_jitter_px: float = option(0.5, help="Largest random shift of a sample's mesh in the crop.", low=0, unit="px")
    color_jitter: float = option(
        0.03,
        help="Largest random gain, of each color channel, on a sample and its target together.",
        low=0,
        high=1,
    )
    laplacian_weight: float = option(1.0, help="Weight of the Laplacian pyramid loss.", low=0)
    adversarial_weight: float = option(0.05, help="Weight of the adversarial loss; 0 trains no discriminator.", low=0)
    feature_weight: float = option(
        10.0, help="Weight of feature matching in the discriminator's layers, within the adversarial loss.", low=0
    )
    adversarial_from: float = option(
        0.4,
        # Before, every generated mouth is plainly blurred, and the discriminator would only learn that.
        help="Share of the training after which the adversarial loss is added.",
        low=0,
        high=1,
    )
    perceptual_weight: float = option(
        0.3,
        # Pixel by pixel a blur is nearly right; to a network that was trained on what people see, it is not.
        help="Weight of the perceptual loss (shift-tolerant LPIPS) on the mouth; 0 leaves it out.",
        low=0,
    )
    perceptual_from: float = option(
        0.5, help="Share of the training after which the perceptual loss is added.", low=0, high=1
    )
    discriminator_learning_rate: float = option(4e-4, help="Learning rate of the discriminator.", low=0, high=1)
    mouth_weight: float = option(
        4.0, help="Weight of the mouth's pixels in the losses, against 1 for the rest of the region.", low=0
    )
    held_out_share: float = option(0.02, help="Share of the frames that are not trained on.", low=0, high=0.5)
    largest_frames: int = option(3000, help="Frames to train on; longer clips are thinned evenly.", low=1)
    save_every_s: float = option(60.0, help="Time between two saves of the training's state.", low=0, unit="s")
    evaluate_first_s: float = option(15.0, help="Time before the first evaluation on held-out frames.", low=0, unit="s")
    evaluate_every_s: float = option(60.0, help="Longest time between two evaluations.", low=0, unit="s")
    seed: int = option(0, help="Seed of initial weights and of what is drawn in each step.", low=0)

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def final_phase_from(self) -> float:
        """Share of the training after which it is in its final phase: that in which losses are added.

        Where they act from the start, as in continued trainings, it begins where it does by default.
        """
        begins = [share for share in (self.adversarial_from, self.perceptual_from) if share > 0]
        return min(begins, default=LoopConfig.adversarial_from)


@dataclass(frozen=True)
class TrainingLength:
    """When a training ends: by whichever comes first."""

    minutes: float | None = None
    steps: int | None = None
    early_stop: bool = False
    """Whether it is brought to its end where it no longer improves."""


@dataclass(frozen=True)
class TrainingConfig:
    """How long an ANCHOR is trained, on which face, and where.

    The command `talkinghead train` has an option for every field but `loop`.

    Raises:
        OptionError: a value is of the wrong type or out of its range.
    """

    minutes: float | None = option(
        None,
        help="Most time for the training loop, which ends earlier where nothing improves; 15 where --steps is not "
        "given either.",
        low=0.01,
        unit="minutes",
    )
    steps: int | None = option(
        None, help="Length of the training loop in steps; with --minutes, whichever ends first.", low=1
    )
    early_stop: bool = option(
        True, help="End before --minutes are over where held-out frames no longer improve; --steps alone are all taken."
    )
    resume: bool = option(False, help="Continue an interrupted training of the same clip and output.")
    face: FaceChoice = option(
        "largest",
        help="Face to train on where a clip shows several: largest, left, right, or its number from the left, from 0.",
    )
    clip_range: ClipRange | None = option(
        None,
        help="Stretch of CLIP to use, in seconds, such as 3-17s: nothing else is learned from or shown; kept in the "
        "ANCHOR.",
    )
    audio_track: int | None = option(
        None, help="Audio track of CLIP, by its number from 1 on, instead of the default or loudest one.", low=1
    )
    video_track: int | None = option(
        None, help="Video track of CLIP, by its number from 1 on, instead of the default or largest one.", low=1
    )
    matte: bool = option(
        False,
        help="Also cut the person out of every frame of CLIP and keep that in the ANCHOR, for `generate --background`, "
        "which otherwise does so when it first needs it.",
    )
    consent: str | None = option(
        None, help="Who agreed to be animated, when and where; kept in the ANCHOR's anchor.json."
    )
    voice: str | None = option(
        None, help="Voice that reads texts for this anchor where none is named; kept in the ANCHOR's anchor.json."
    )
    device: str = device_option()
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Settings of the loop."""

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def tracks(self) -> Tracks:
        """Which of the clip's tracks."""
        return Tracks(self.audio_track, self.video_track)

    @property
    def length(self) -> TrainingLength:
        """Length of the loop. Whoever gives steps alone gets them all."""
        minutes = DEFAULT_MINUTES if self.minutes is None and self.steps is None else self.minutes
        return TrainingLength(minutes, self.steps, self.early_stop and minutes is not None)


class TrainingOptions(TypedDict, total=False):
    """The fields of `TrainingConfig` as keyword arguments, for type checkers; a test holds the two together."""

    minutes: float | None
    steps: int | None
    early_stop: bool
    resume: bool
    face: FaceChoice
    clip_range: ClipRange | None
    audio_track: int | None
    video_track: int | None
    matte: bool
    consent: str | None
    voice: str | None
    device: str
    loop: LoopConfig

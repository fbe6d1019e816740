"""Looks of the two rendered people: everything in which one differs from the other."""

from __future__ import annotations

from dataclasses import dataclass

from hair import Brows, Hairstyle
from skin import Colour, Complexion
from wardrobe import Cloth, Outfit


@dataclass(frozen=True)
class Light:
    """A square area light that faces the presenter's face."""

    position: tuple[float, float, float]
    """Center, cm, in the head model's axes."""
    power: float
    """Watts."""
    size: float
    """Side length, cm."""
    color: Colour = (1.0, 1.0, 1.0)
    """Linear RGB."""


@dataclass(frozen=True)
class Look:
    """Everything that defines one person: identity, skin, hair, eyes, clothes, room and lights."""

    shape: tuple[float, ...]
    """Weights of the head model's first identity components, in standard deviations."""
    complexion: Complexion
    relief: float
    """Depth of pores and lines in the skin, 0 to 1."""
    hairstyle: Hairstyle
    brows: Brows
    lashes: float
    """Length of the longest, cm."""
    iris: Colour
    """Linear RGB."""
    teeth: Colour
    """Linear RGB."""
    outfit: Outfit
    room: str
    """One of `rooms.ROOMS`."""
    room_light: float
    """Factor of the room's brightness."""
    ambient: Colour
    """Light from everywhere, linear RGB."""
    lights: tuple[Light, ...]
    exposure: float = 0.0
    """Stops."""
    eye_white: float = 1.0
    """Brightness of the white of the eye, 0 to 1; below 1 the upper lid shades it too."""

    def identity(self) -> dict[int, float]:
        """Weights of the head model's identity components by their number."""
        return dict(enumerate(self.shape))


LOOKS = {
    "maya": Look(
        shape=(
            1.37,
            1.4,
            -2.07,
            -0.78,
            -0.03,
            0.78,
            0.52,
            0.69,
            -0.11,
            0.43,
            0.24,
            -1.12,
            -0.85,
            0.2,
            -0.57,
            0.93,
            1.19,
            1.45,
            -0.14,
            0.53,
            -0.69,
            -0.64,
            0.36,
            0.07,
            -1.1,
            -1.29,
            0.12,
            -0.47,
            0.89,
            0.67,
            0.49,
            0.32,
            0.58,
            -0.1,
            0.49,
            -0.13,
            -0.2,
            -0.53,
            0.49,
            -0.01,
            -0.73,
            1.54,
            -0.38,
            -0.08,
            0.67,
            1.29,
            -0.03,
            0.7,
            0.07,
            -0.87,
            0.52,
            0.74,
            -0.34,
            -0.02,
            -0.98,
            -0.99,
            -0.21,
            0.43,
            -0.36,
            0.2,
        ),
        complexion=Complexion(
            skin=(0.40, 0.215, 0.135),
            flush=(0.42, 0.155, 0.105),
            sallow=(0.39, 0.225, 0.135),
            lips=(0.36, 0.105, 0.095),
            lips_cover=0.72,
            stubble=(0.3, 0.2, 0.15),
            stubble_cover=0.0,
            freckles=0.18,
            hair=(0.035, 0.020, 0.014),
            brow_cover=0.24,
            age=0.14,
            uneven=0.65,
            grain=0.6,
            gloss=0.25,
        ),
        relief=0.25,
        hairstyle=Hairstyle(
            long=True,
            count=33_500,
            length_top=0,
            length_sides=10.0,
            lift=1.2,
            part=2.3,
            clump=0.60,
            frizz=0.03,
            stray=0.02,
            wave=0.9,
            melanin=0.93,
            redness=0.42,
        ),
        brows=Brows(count=900, thickness=0.40, length=0.46, melanin=0.9, arch=0.04),
        lashes=0.62,
        iris=(0.060, 0.030, 0.014),
        teeth=(0.57, 0.53, 0.45),
        outfit=Outfit(
            "blazer",
            {
                "jacket": Cloth((0.022, 0.026, 0.034), "woven", 0.8, 0.10),
                "lapel": Cloth((0.022, 0.026, 0.034), "woven", 0.8, 0.10),
                "top": Cloth((0.40, 0.375, 0.335), "smooth", 0.65, 0.10),
            },
            width=0.86,
            seed=5,
        ),
        room="office",
        room_light=0.85,
        exposure=0.4,
        ambient=(0.12, 0.125, 0.135),
        lights=(
            Light((-44.0, 30.0, 60.0), 78_000, 48, (1.0, 0.97, 0.93)),
            Light((52.0, 4.0, 52.0), 14_000, 60, (1.0, 0.96, 0.92)),
            Light((-40.0, 22.0, -34.0), 16_000, 34, (0.93, 0.97, 1.0)),
            Light((36.0, 34.0, -36.0), 9_000, 26, (1.0, 0.93, 0.84)),
            Light((0.0, -34.0, 58.0), 7_000, 50, (1.0, 0.96, 0.92)),
        ),
    ),
    "henrik": Look(
        shape=(
            -0.8,
            0.62,
            1.45,
            0.09,
            0.36,
            -0.97,
            0.22,
            0.12,
            0.62,
            -1.4,
            0.29,
            0.03,
            0.63,
            -0.46,
            0.05,
            0.14,
            0.5,
            -0.22,
            0.09,
            0.89,
            -0.64,
            -1.01,
            0.01,
            -0.36,
            -1.41,
            -0.63,
            -0.19,
            -0.76,
            -1.1,
            -0.3,
            0.54,
            -0.11,
            -0.76,
            0.27,
            0.51,
            -0.41,
            0.61,
            0.81,
            -0.13,
            -0.63,
            0.22,
            0.17,
            1.01,
            -0.97,
            -0.66,
            -0.6,
            -1.11,
            -0.02,
            0.5,
            -0.52,
            0.84,
            0.65,
            0.61,
            0.32,
            0.61,
            -0.72,
            0.34,
            0.48,
            -1.31,
            0.25,
        ),
        complexion=Complexion(
            skin=(0.50, 0.243, 0.150),
            flush=(0.49, 0.165, 0.108),
            sallow=(0.52, 0.272, 0.170),
            lips=(0.42, 0.132, 0.118),
            lips_cover=0.76,
            stubble=(0.25, 0.195, 0.178),
            stubble_cover=0.36,
            freckles=0.06,
            hair=(0.060, 0.042, 0.030),
            brow_cover=0.12,
            age=1.0,
            uneven=0.9,
            grain=0.33,
            gloss=0.35,
            matt=0.06,
            folds=1.0,
            lip_rim=0.13,
        ),
        relief=0.2,
        hairstyle=Hairstyle(
            long=False,
            count=46_000,
            length_top=5.6,
            length_sides=1.3,
            lift=0.34,
            part=3.4,
            clump=0.62,
            frizz=0.09,
            recession=3.8,
            melanin=0.73,
            redness=0.25,
            sideburns=2.2,
            ragged=0.7,
            fine=0.10,
        ),
        brows=Brows(count=1050, thickness=0.56, length=0.60, melanin=0.72, tousle=0.50),
        lashes=0.50,
        iris=(0.020, 0.023, 0.021),
        teeth=(0.57, 0.475, 0.36),
        outfit=Outfit(
            "suit",
            {
                "jacket": Cloth((0.011, 0.015, 0.027), "woven", 0.85, 0.06),
                "lapel": Cloth((0.012, 0.016, 0.028), "woven", 0.85, 0.06),
                "shirt": Cloth((0.62, 0.65, 0.70), "smooth", 0.7, 0.05),
                "tie": Cloth((0.15, 0.011, 0.019), "striped", 0.5, 0.15),
            },
            seed=9,
        ),
        room="newsroom",
        room_light=0.9,
        exposure=0.42,
        eye_white=0.74,
        ambient=(0.055, 0.065, 0.085),
        lights=(
            Light((42.0, 32.0, 62.0), 70_000, 44, (1.0, 0.955, 0.90)),
            Light((-55.0, 4.0, 54.0), 12_000, 60, (0.92, 0.96, 1.0)),
            Light((-34.0, 34.0, -38.0), 14_000, 26, (0.90, 0.95, 1.0)),
            Light((42.0, 26.0, -36.0), 10_000, 26, (1.0, 0.90, 0.78)),
            Light((0.0, -34.0, 58.0), 3_000, 50, (1.0, 0.96, 0.92)),
        ),
    ),
}
"""By first name."""
LOOKS["presenter"], LOOKS["second"] = LOOKS["maya"], LOOKS["henrik"]

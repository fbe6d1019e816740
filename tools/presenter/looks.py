"""Looks of the two rendered people: everything in which one differs from the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hair import Hairstyle
from skin import Colour, Complexion
from wardrobe import Outfit


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
    """Everything that defines one person: identity, skin, hair, eyes, clothes, backdrop and lights."""

    identity_seed: int
    """Seed of the identity's random weights."""
    identity_scale: float
    """Standard deviation of the identity's weights."""
    complexion: Complexion
    hairstyle: Hairstyle
    hair_melanin: float
    """Darkness of the hair, 0 to 1."""
    hair_redness: float
    """Redness of the hair, 0 to 1."""
    iris: Colour
    """Linear RGB."""
    outfit: Outfit
    backdrop: tuple[Colour, Colour, Colour]
    """Dark, light and accent color of the backdrop, linear RGB."""
    lights: tuple[Light, ...]

    def identity(self) -> dict[int, float]:
        """Weights of the head model's first 40 identity components."""
        weights = np.random.default_rng(self.identity_seed).normal(size=40) * self.identity_scale
        return {component: float(weight) for component, weight in enumerate(weights)}


THREE_POINT = (
    Light((-42.0, 34.0, 62.0), 76_000, 34, (1.0, 0.955, 0.90)),
    Light((55.0, 8.0, 52.0), 15_000, 50, (0.90, 0.95, 1.0)),
    Light((34.0, 36.0, -38.0), 8_000, 26, (0.95, 0.97, 1.0)),
    Light((-40.0, 30.0, -36.0), 6_000, 26, (1.0, 0.94, 0.88)),
)
"""Key light, fill light and two rim lights."""

LOOKS = {
    "presenter": Look(
        identity_seed=6,
        identity_scale=0.8,
        complexion=Complexion(
            skin=(0.235, 0.118, 0.068),
            flush=(0.25, 0.09, 0.055),
            sallow=(0.23, 0.125, 0.07),
            lips=(0.26, 0.058, 0.06),
            lips_cover=0.62,
            stubble=(0.2, 0.1, 0.06),
            stubble_cover=0.0,
            freckles=0.0,
            hair=(0.012, 0.008, 0.006),
            brow_cover=0.18,
        ),
        hairstyle=Hairstyle(
            count=60_000, length_top=2.6, length_sides=1.6, lift=0.22, part=None, clump=0.35, frizz=0.07
        ),
        hair_melanin=0.97,
        hair_redness=0.3,
        iris=(0.035, 0.018, 0.009),
        outfit=Outfit(
            "blouse", {"jacket": (0.055, 0.045, 0.05), "lapel": (0.06, 0.05, 0.055), "shirt": (0.40, 0.33, 0.25)}
        ),
        backdrop=((0.045, 0.028, 0.02), (0.30, 0.20, 0.12), (0.10, 0.30, 0.32)),
        lights=(
            Light((46.0, 30.0, 60.0), 74_000, 38, (1.0, 0.95, 0.89)),
            Light((-55.0, 6.0, 52.0), 26_000, 55, (0.92, 0.96, 1.0)),
            Light((-34.0, 36.0, -38.0), 7_000, 26, (0.95, 0.97, 1.0)),
            Light((40.0, 30.0, -36.0), 5_000, 26, (1.0, 0.94, 0.88)),
        ),
    ),
    "second": Look(
        identity_seed=10,
        identity_scale=0.8,
        complexion=Complexion(
            skin=(0.56, 0.335, 0.235),
            flush=(0.55, 0.22, 0.16),
            sallow=(0.57, 0.37, 0.25),
            lips=(0.47, 0.17, 0.145),
            lips_cover=0.75,
            stubble=(0.30, 0.22, 0.19),
            stubble_cover=0.20,
            freckles=0.25,
            hair=(0.045, 0.028, 0.018),
            brow_cover=0.16,
        ),
        hairstyle=Hairstyle(
            count=52_000, length_top=3.4, length_sides=0.75, lift=0.30, part=3.1, clump=0.75, frizz=0.012
        ),
        hair_melanin=0.86,
        hair_redness=0.35,
        iris=(0.05, 0.07, 0.075),
        outfit=Outfit(
            "suit",
            {
                "jacket": (0.016, 0.022, 0.042),
                "lapel": (0.018, 0.025, 0.047),
                "shirt": (0.62, 0.68, 0.76),
                "tie": (0.22, 0.018, 0.03),
            },
        ),
        backdrop=((0.012, 0.028, 0.055), (0.10, 0.22, 0.36), (0.55, 0.34, 0.16)),
        lights=THREE_POINT,
    ),
}

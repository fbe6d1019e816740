"""What numba has compiled for the first frame, and where it keeps that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from talkinghead.face import region_planes, region_removal
from talkinghead.network import composition, rasterize


@dataclass(frozen=True)
class Compilation:
    """What numba has compiled in this process, and where it keeps that."""

    compiled: int
    """Kernels that were not found in the folder."""
    folder: Path
    """With compiled kernels for later processes; each package has one of its own."""


def compilation() -> Compilation:
    """What has been compiled so far."""
    found = [kernel.stats for module in (rasterize, composition, region_planes, region_removal)
             for kernel in module.KERNELS]  # fmt: skip
    return Compilation(sum(sum(stats.cache_misses.values()) for stats in found), Path(str(found[0].cache_path)))

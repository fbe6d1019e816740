"""High dynamic range and wide gamut: frames as BT.709 shows them, on a display of SDR.

HLG and PQ become light on a display of 1000 cd/m2 (ITU-R BT.2100-3, tables 4 and 5), with HLG's system gamma of 1.2
applied to each channel, as FFmpeg's zscale does it; on luminance, as the standard has it, colors would be paler.
The HDR reference white of 203 cd/m2 (ITU-R BT.2408-8) becomes the white of SDR. The primaries are converted in linear
light; what is outside of BT.709 is clipped. Highlights are rolled off from `KNEE` to 1, by the largest of the three
channels, which keeps the hue. The result is encoded for BT.1886's display, with an exponent of 2.4. Below the knee,
where faces are, all this is exact and no matter of taste.

SDR in other primaries is converted in the same way, without the roll-off.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorTrc
from numpy.typing import NDArray

from talkinghead.structures import ByteArray, FloatArray

PEAK_CD_M2 = 1000.0
"""Luminance that becomes the brightest white, cd/m2; what is brighter in PQ is clipped."""
REFERENCE_WHITE_CD_M2 = 203.0
"""Luminance of HDR's reference white, cd/m2."""
HLG_SYSTEM_GAMMA = 1.2
"""Of a display of 1000 cd/m2."""
KNEE = 0.75
"""Linear light, of the white of SDR, from which on highlights are rolled off."""
DISPLAY_EXPONENT = 2.4
"""Of BT.1886's display."""
_WHITE_D65 = (0.3127, 0.3290)
_WHITE_DCI = (0.314, 0.351)
_BT709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_BT2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
"""CIE 1931 chromaticities (x, y) of red, green and blue."""
_WIDE = {
    int(ColorPrimaries.BT2020): ("BT.2020", _BT2020, _WHITE_D65),
    int(ColorPrimaries.SMPTE432): ("Display P3", _P3, _WHITE_D65),
    int(ColorPrimaries.SMPTE431): ("DCI P3", _P3, _WHITE_DCI),
}
_TRANSFERS = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}


class ToneMapper:
    """Converts frames of one video to BT.709."""

    def __init__(self, transfer: str | None, primaries: int) -> None:
        """Args: "HLG", "PQ", or None for SDR; H.273's number of the primaries, of which unknown ones are BT.709's in
        SDR and BT.2020's in HDR."""
        self._transfer = transfer
        known = _WIDE.get(primaries)
        if known is None and transfer is not None and primaries == ColorPrimaries.UNSPECIFIED:
            known = _WIDE[int(ColorPrimaries.BT2020)]
        self.name = " ".join(part for part in (transfer, known and known[0]) if part)
        """What is converted, such as "HLG BT.2020"."""
        chromaticities, white = (_BT709, _WHITE_D65) if known is None else known[1:]
        to_xyz = rgb_to_xyz(chromaticities, white)
        scale = 1.0 if transfer is None else PEAK_CD_M2 / REFERENCE_WHITE_CD_M2
        self._to_bt709 = (scale * np.linalg.inv(rgb_to_xyz(_BT709, white)) @ to_xyz).astype(np.float32)

    @classmethod
    def of(cls, frame: VideoFrame) -> ToneMapper | None:
        """What a video needs whose frames are tagged like this one; None where they are BT.709 or close to it."""
        transfer = _TRANSFERS.get(int(frame.color_trc))
        if transfer is None and int(frame.color_primaries) not in _WIDE:
            return None
        return cls(transfer, int(frame.color_primaries))

    def __call__(self, rgb: NDArray[np.uint16]) -> ByteArray:
        """Convert an image.

        Args:
            rgb: (H, W, 3) uint16, full range, in the video's own transfer function and primaries.

        Returns:
            (H, W, 3) uint8, BT.709.
        """
        light = np.take(_linear_table(self._transfer), rgb)
        shown = np.asarray(cv2.transform(light, self._to_bt709), np.float32)
        np.maximum(shown, 0, out=shown)
        if self._transfer is not None:
            brightest: FloatArray = np.maximum(np.maximum(shown[..., 0], shown[..., 1]), shown[..., 2])
            bright = brightest > KNEE
            if bright.any():
                shown[bright] *= (rolled_off(brightest[bright]) / brightest[bright])[:, None]
        # The table is of the root of light, since its steps have to be fine where it is dark.
        roots = cv2.sqrt(shown)
        return np.take(_encoding_table(), (65535 * np.minimum(roots, 1, out=roots) + 0.5).astype(np.uint16))


def rolled_off(light: FloatArray) -> FloatArray:
    """Linear light, 1 at SDR's white, with what is above `KNEE` compressed: the peak becomes 1, the slope has no jump.

    The curve is Reinhard's extended one ("Photographic Tone Reproduction for Digital Images", 2002, equation 4).
    """
    above = np.maximum(light - KNEE, 0) / np.float32(1 - KNEE)
    peak = (PEAK_CD_M2 / REFERENCE_WHITE_CD_M2 - KNEE) / (1 - KNEE)
    curve = above * (1 + above / np.float32(peak**2)) / (1 + above)
    return np.asarray(np.minimum(light, KNEE) + (1 - KNEE) * curve, np.float32)


@cache
def _linear_table(transfer: str | None) -> FloatArray:
    """(65536,) linear light of the display for each code value, 1 at the peak."""
    signal = np.arange(65536) / 65535
    if transfer == "HLG":
        a = 0.17883277
        b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12) ** HLG_SYSTEM_GAMMA
    elif transfer == "PQ":
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        root = signal ** (1 / m2)
        light = (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * 10_000 / PEAK_CD_M2
    else:
        light = signal**DISPLAY_EXPONENT
    return light.astype(np.float32)


@cache
def _encoding_table() -> ByteArray:
    """(65536,) code value of each root of linear light."""
    light = (np.arange(65536) / 65535) ** 2
    return np.asarray(np.rint(255 * light ** (1 / DISPLAY_EXPONENT)), np.uint8)


def rgb_to_xyz(chromaticities: tuple[tuple[float, float], ...], white: tuple[float, float]) -> NDArray[np.float64]:
    """(3, 3) matrix from linear RGB to CIE 1931 XYZ with Y = 1 at white, see SMPTE RP 177."""
    x, y = np.array(chromaticities).T
    columns = np.stack([x / y, np.ones(3), (1 - x - y) / y])
    white_xyz = np.array([white[0] / white[1], 1, (1 - white[0] - white[1]) / white[1]])
    return np.asarray(columns * np.linalg.solve(columns, white_xyz))

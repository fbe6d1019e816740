"""How far the presenter's matte is from the true one.

    python benchmarks/matting.py FOLDER [--clip data/presenter/presenter.mp4]

FOLDER has true mattes NNNNN.png, made by `tools/presenter/matte.py`; those of the tests are in tests/matting/presenter.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from talkinghead.matting.clip_matte import cached_matte

BAND_PX = 4


def beyond_band(truth: np.ndarray) -> np.ndarray:
    """Where a pixel is further than `BAND_PX` from the outline."""
    edge = ((truth > 0) & (truth < 255)).astype(np.uint8)
    outline = cv2.morphologyEx((truth > 127).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * BAND_PX + 1, 2 * BAND_PX + 1))
    return np.asarray(cv2.dilate(np.maximum(edge, outline), disc) == 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clip", type=Path, default=Path("data/presenter/presenter.mp4"))
    options = parser.parse_args()
    matte = cached_matte(options.clip)
    truth = {
        int(path.stem): np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.float64)
        for path in sorted(options.folder.glob("[0-9]*.png"))
    }
    found = {number: matte.frame(number).astype(float) for number in truth}
    away = {number: beyond_band(image) for number, image in truth.items()}
    wrong = {number: np.abs(found[number] - image) for number, image in truth.items()}
    print(f"{len(truth)} frames, of 255:")
    print(f"beyond {BAND_PX} px of the outline  {np.mean([wrong[n][away[n]].mean() for n in truth]):.4f}")
    print(f"within                   {np.mean([wrong[n][~away[n]].mean() for n in truth]):.2f}")
    pairs = [(n, n + 1) for n in truth if n + 1 in truth]
    if pairs:
        changes = [np.abs((found[b] - found[a]) - (truth[b] - truth[a])).mean() for a, b in pairs]
        print(f"change from frame to frame, less the true one  {np.mean(changes):.3f} ({len(pairs)} pairs)")


if __name__ == "__main__":
    main()

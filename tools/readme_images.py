"""Make the README's images, docs/presenter.webp and docs/presenter.png, from what `make demo` wrote.

python tools/readme_images.py
"""

from __future__ import annotations

from pathlib import Path

import cv2

from talkinghead.media.video_reader import VideoReader

ROOT = Path(__file__).resolve().parents[1]
WIDTH_PX = 400
QUALITY = 84
SHEET_SCALE = 0.6


def animate(video: Path, output: Path) -> None:
    """Convert a short video into an animated WebP of `WIDTH_PX`, without its audio."""
    animation = cv2.Animation()
    with VideoReader(video) as reader:
        size = (WIDTH_PX, round(reader.info.height * WIDTH_PX / reader.info.width))
        animation.frames = [
            cv2.cvtColor(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
            for frame in reader
        ]
        animation.durations = [round(1000 / reader.info.frame_rate)] * len(animation.frames)
    if not cv2.imwriteanimation(str(output), animation, [cv2.IMWRITE_WEBP_QUALITY, QUALITY]):
        raise SystemExit(f"{output} cannot be written")


def main() -> None:
    animate(ROOT / "out" / "demo.mp4", ROOT / "docs" / "presenter.webp")
    sheet = cv2.imread(str(ROOT / "out" / "demo.png"))
    smaller = cv2.resize(sheet, None, fx=SHEET_SCALE, fy=SHEET_SCALE, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(ROOT / "docs" / "presenter.png"), smaller, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()

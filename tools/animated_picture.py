"""Turn the beginning of a video into an animated WebP for the README.

python tools/animated_picture.py out/demo.mp4 docs/presenter.webp
"""

from __future__ import annotations

from pathlib import Path

import click
import cv2

from talkinghead.media import VideoReader


@click.command(help=__doc__)
@click.argument("video", type=click.Path(exists=True, path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--seconds", default=6.0, show_default=True)
@click.option("--width", default=320, show_default=True, help="In pixels.")
@click.option("--every", default=2, show_default=True, help="Take every n-th frame.")
@click.option("--quality", default=70, show_default=True)
def main(video: Path, output: Path, seconds: float, width: int, every: int, quality: int) -> None:
    animation = cv2.Animation()
    with VideoReader(video) as reader:
        size = (width, round(reader.info.height * width / reader.info.width))
        taken = [
            cv2.cvtColor(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
            for index, frame in enumerate(reader)
            if index % every == 0 and frame.time_s < seconds
        ]
        pause_ms = round(1000 * every / float(reader.info.frame_rate))
    animation.frames, animation.durations = taken, [pause_ms] * len(taken)
    if not cv2.imwriteanimation(str(output), animation, [cv2.IMWRITE_WEBP_QUALITY, quality]):
        raise click.ClickException(f"{output} cannot be written")
    print(f"{output}: {len(taken)} frames, {output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()

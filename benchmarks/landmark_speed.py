"""CPU milliseconds a frame of the landmark tracker and of the detector alone, on one thread.

python benchmarks/landmark_speed.py [CLIP ...]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import cv2

from talkinghead.face.landmarks import FaceLandmarker
from talkinghead.face.tracking import FaceTracker
from talkinghead.media.video_reader import VideoReader
from talkinghead.structures import Frame
from talkinghead.weights import registry

FRAMES = 100
DEFAULT_CLIP = Path(__file__).parents[2] / "shared" / "data" / "clips" / "newsroom.mp4"


def median_ms(work: Callable[[Frame], object], frames: list[Frame]) -> float:
    """Median processor time over the frames, in milliseconds: other work on the machine hardly changes it."""
    spent_s = []
    for frame in frames:
        start_s = time.process_time()
        work(frame)
        spent_s.append(time.process_time() - start_s)
    return 1000 * statistics.median(spent_s)


def main() -> None:
    clips = [Path(name) for name in sys.argv[1:]] or [DEFAULT_CLIP]
    cv2.setNumThreads(1)
    landmarker = FaceLandmarker.load(registry.locate("face_landmarker"))
    for clip in clips:
        if not clip.exists():
            print(f"{clip.name}: not here; name a clip")
            continue
        with VideoReader(clip) as reader:
            frames = list(islice(reader, FRAMES))
            size = f"{reader.info.width}x{reader.info.height}"
        tracked_ms = median_ms(FaceTracker(landmarker).update, frames)
        detected_ms = median_ms(lambda frame: landmarker.detect(frame.image), frames)
        print(f"{clip.name} {size}: tracking {tracked_ms:.1f} ms a frame, detector alone {detected_ms:.1f} ms")


if __name__ == "__main__":
    main()

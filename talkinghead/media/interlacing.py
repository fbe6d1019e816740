"""Interlaced video: telling it from progressive video by its pictures, and deinterlacing it.

An interlaced frame holds two fields, the even rows of one moment and the odd rows of another, half a frame apart. Where
the file says so, its flags are followed; but many files do not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame

from talkinghead.structures import ByteArray

SMALLEST_PX = 16
"""Frames with a smaller side are taken as progressive."""
COLUMNS = 240
"""Columns, spread over the frame, that are looked at: combs are between rows."""
MOVED = 12
"""Levels of 255 by which a pixel changes over two frames where something moves."""
MOVING_SHARE = 0.002
"""Share of pixels that have to move for a frame to be judged."""
CLEAR_RATIO = 1.3
"""Ratio of errors from which one explanation of a frame is clearly better than another."""
FEWEST_COMBED = 3
"""Fewer combed frames are no evidence of interlacing."""
COMBED_SHARE = 0.25
"""Least share of combed frames among those that could be judged, in an interlaced video."""
ONE_SIDED = 5
"""In an interlaced video, combed frames of one field order outnumber those of the other by this factor; seeming ones in
progressive video, such as of flicker, have either."""
TELECINE_CYCLE = 5
"""Frames in which 3:2 telecine repeats itself; two neighbors of them are combed."""


class Scan(StrEnum):
    """How the rows of a frame were recorded."""

    TOP_FIRST = "top field first"
    BOTTOM_FIRST = "bottom field first"
    PROGRESSIVE = "progressive"


@dataclass(frozen=True)
class Interlacing:
    """What the pictures of a video show."""

    order: Scan | None = None
    """Field order; None for progressive video, and where nothing moves."""
    is_telecine: bool = False
    """Whether it is film at 24 frames per second, spread over 30 by 3:2 telecine: three whole frames, two combed."""


def luma(frame: VideoFrame) -> ByteArray:
    """(H, w) uint8, brightness of about `COLUMNS` columns of a decoded frame; rows are as they are stored."""
    step = max(1, frame.width // COLUMNS)
    component = frame.format.components[0]
    if frame.format.is_planar and component.is_luma and component.bits in (8, 10, 12):
        words = np.frombuffer(bytes(frame.planes[0]), np.uint8 if component.bits == 8 else "<u2")
        rows = words.reshape(frame.height, -1)[:, : frame.width : step]
        return np.ascontiguousarray(rows >> (component.bits - 8), np.uint8)
    return np.ascontiguousarray(frame.reformat(format="gray").to_ndarray()[:, ::step], np.uint8)


def scan_of(before: ByteArray, image: ByteArray, after: ByteArray) -> Scan | None:
    """How a frame was recorded, judged where something moves; None where it cannot be told.

    Rows between the rows of the other field are predicted from these. In progressive video the frame's own rows are the
    best fit, and those of both neighbors fit equally badly. In interlaced video, half the rows fit better if they are
    taken from the frame before, the other half from the one after, and which half tells the order. Fine stripes fit
    badly wherever they are taken from, and so decide nothing.

    Args:
        before, image, after: (H, W) uint8, luma of three frames in a row.
    """
    previous, current, following = (part.astype(np.int16) for part in (before, image, after))
    moving = np.abs(following - previous)[1:-1] > MOVED
    if moving.mean() < MOVING_SHARE:
        return None
    around = current[:-2] + current[2:]
    errors = [np.abs(2 * rows[1:-1] - around) * moving for rows in (previous, current, following)]
    # Row 0 is of the top field, so that the first row here, row 1, is of the bottom field.
    (bottom_early, top_early), (bottom_own, top_own), (bottom_late, top_late) = (
        (int(error[0::2].sum(dtype=np.int64)), int(error[1::2].sum(dtype=np.int64))) for error in errors
    )
    top_first, bottom_first, woven = bottom_early + top_late, top_early + bottom_late, bottom_own + top_own
    if woven * CLEAR_RATIO < min(top_first, bottom_first):
        return Scan.PROGRESSIVE
    if bottom_first > CLEAR_RATIO * top_first:
        return Scan.TOP_FIRST
    if top_first > CLEAR_RATIO * bottom_first:
        return Scan.BOTTOM_FIRST
    return None


def interlacing_of(runs: Iterable[Sequence[Scan | None]]) -> Interlacing:
    """What several runs of neighboring frames show together."""
    runs = [list(run) for run in runs]
    counts = {scan: sum(run.count(scan) for run in runs) for scan in Scan}
    order = max(Scan.TOP_FIRST, Scan.BOTTOM_FIRST, key=lambda scan: counts[scan])
    other = Scan.BOTTOM_FIRST if order is Scan.TOP_FIRST else Scan.TOP_FIRST
    combed, judged = counts[order], sum(counts.values())
    if combed < FEWEST_COMBED or combed < COMBED_SHARE * judged or combed < ONE_SIDED * counts[other]:
        return Interlacing()
    return Interlacing(order, is_telecine=_is_telecine(runs, order))


def _is_telecine(runs: Sequence[Sequence[Scan | None]], order: Scan) -> bool:
    """Whether combed and whole frames alternate in the cycle of 3:2 telecine wherever a run can be judged."""
    judged = [run for run in runs if sum(scan is not None for scan in run) >= 2 * TELECINE_CYCLE]
    return bool(judged) and all(
        any(_fits_cycle(run, order, phase) for phase in range(TELECINE_CYCLE)) for run in judged
    )


def _fits_cycle(run: Sequence[Scan | None], order: Scan, phase: int) -> bool:
    """Whether nine in ten of the frames that can be judged are as a telecine of that phase would have them."""
    known = [
        (scan is order) == ((number - phase) % TELECINE_CYCLE < 2)
        for number, scan in enumerate(run)
        if scan is not None
    ]
    return sum(known) >= 0.9 * len(known) and any(scan is order for scan in run)


class Deinterlacer:
    """Makes one whole frame of each interlaced one, by FFmpeg's bwdif, from fields of it and its two neighbors.

    bwdif (Dirac's and Weston's 3-field deinterlacing filter) keeps what stands still and interpolates rows that move.
    """

    def __init__(self, order: Scan | None, *, all_frames: bool) -> None:
        """Args:
        order: of the fields; None follows the flags of each frame.
        all_frames: whether frames are deinterlaced that are not flagged as interlaced.
        """
        parity = {Scan.TOP_FIRST: "tff", Scan.BOTTOM_FIRST: "bff"}.get(order or Scan.PROGRESSIVE, "auto")
        self._options = f"mode=send_frame:parity={parity}:deint={'all' if all_frames else 'interlaced'}"
        self._all_frames = all_frames

    def frames(self, source: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
        """The same number of frames, with the same stamps, one frame behind the source.

        Frames before the first that is to be deinterlaced pass through as they are.
        """
        graph: _Graph | None = None
        for frame in source:
            if graph is not None and not graph.takes(frame):
                yield from graph.push(None)
                graph = None
            if graph is None:
                if min(frame.width, frame.height) < SMALLEST_PX or not (self._all_frames or frame.interlaced_frame):
                    yield frame
                    continue
                graph = _Graph(frame, self._options)
            yield from graph.push(frame)
        if graph is not None:
            yield from graph.push(None)


class _Graph:
    """FFmpeg's filter, for frames of one size and pixel format; frames come out with the stamps that they had."""

    _TICK = Fraction(1, 1000)

    def __init__(self, like: VideoFrame, options: str) -> None:
        """Args: a frame of the size and format; the options of bwdif."""
        self._form = (like.width, like.height, like.format.name)
        self._stamps: deque[tuple[int | None, Fraction | None, int]] = deque()
        self._count = 0
        self._graph = Graph()
        buffer = self._graph.add_buffer(width=like.width, height=like.height, format=like.format, time_base=self._TICK)
        self._graph.link_nodes(buffer, self._graph.add("bwdif", options), self._graph.add("buffersink")).configure()

    def takes(self, frame: VideoFrame) -> bool:
        """Whether a frame is of this graph's size and format."""
        return self._form == (frame.width, frame.height, frame.format.name)

    def push(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        """Put in a frame, or None for the end; yields the frames that are ready."""
        if frame is not None:
            self._stamps.append((frame.pts, frame.time_base, frame.duration))
            # Stamps of files may be missing or go back; the filter gets a count.
            frame.pts, frame.time_base = self._count, self._TICK
            self._count += 1
        self._graph.vpush(frame)
        while True:
            try:
                made = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            pts, time_base, made.duration = self._stamps.popleft()
            made.pts = pts
            if time_base is not None:
                made.time_base = time_base
            yield made

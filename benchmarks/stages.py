"""What a frame costs, stage by stage: milliseconds, peak memory, multiply-adds.

    python benchmarks/stages.py [ANCHOR] [--frames N]

The frames are the anchor's own clip from its start, in batches as `talkinghead generate` makes them. Each stage runs
alone, one after the other, on what the one before it gave, with torch's usual threads; `generate` overlaps decoding,
rendering and encoding. A batch before the clock starts is not counted. *Limit* is decoding and encoding the same frames
in two threads with nothing done to them. *Wav2Lip-sized* is the arithmetic of the generator of Prajwal et al. 2020 (96
px, layer sizes of github.com/Rudrabha/Wav2Lip, models/wav2lip.py: 36.3 million weights), on random numbers:
convolutions of the same multiply-adds, without anything that lies between them.

Memory is the largest resident memory during the stage; what earlier stages need again is in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from harness import anchor_parser, is_here, print_report
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from talkinghead import load_anchor
from talkinghead.anchor import Anchor
from talkinghead.device import choose_device, mixed_precision
from talkinghead.face.landmarks import FaceLandmarker
from talkinghead.face.region_planes import crop_picture, pasted_picture
from talkinghead.face.region_removal import Crops, region_masks, remove_region
from talkinghead.face.tracking import FaceTracker
from talkinghead.generation.face_updater import FaceUpdater
from talkinghead.generation.frames import BATCH
from talkinghead.generation.stream import prefetch
from talkinghead.generation.timeline import Timeline, plan
from talkinghead.media.audio_reader import read_audio
from talkinghead.media.video_writer import EncoderSettings, VideoWriter
from talkinghead.network.coefficients import crop_coefficients
from talkinghead.network.rasterize import rasterize
from talkinghead.speech.model import SpeechModel
from talkinghead.structures import Audio, FloatArray, Frame, Picture
from talkinghead.weights import registry

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

# Channels in, channels out, kernel, side of the image that multiply-adds are counted on, how many of them.
# fmt: off
WAV2LIP = (
    (6, 16, 7, (96, 96), 1), (16, 32, 3, (48, 48), 1), (32, 32, 3, (48, 48), 2), (32, 64, 3, (24, 24), 1),
    (64, 64, 3, (24, 24), 3), (64, 128, 3, (12, 12), 1), (128, 128, 3, (12, 12), 2), (128, 256, 3, (6, 6), 1),
    (256, 256, 3, (6, 6), 2), (256, 512, 3, (3, 3), 1), (512, 512, 3, (3, 3), 1), (512, 512, 3, (1, 1), 1),
    (512, 512, 1, (1, 1), 1),
    (1, 32, 3, (80, 16), 1), (32, 32, 3, (80, 16), 2), (32, 64, 3, (27, 16), 1), (64, 64, 3, (27, 16), 2),
    (64, 128, 3, (9, 6), 1), (128, 128, 3, (9, 6), 2), (128, 256, 3, (3, 3), 1), (256, 256, 3, (3, 3), 1),
    (256, 512, 3, (1, 1), 1), (512, 512, 1, (1, 1), 1),
    # A transposed convolution multiplies once for each pixel that goes in.
    (512, 512, 1, (1, 1), 1), (1024, 512, 3, (1, 1), 1), (512, 512, 3, (3, 3), 1), (1024, 512, 3, (3, 3), 1),
    (512, 512, 3, (6, 6), 2), (768, 384, 3, (6, 6), 1), (384, 384, 3, (12, 12), 2), (512, 256, 3, (12, 12), 1),
    (256, 256, 3, (24, 24), 2), (320, 128, 3, (24, 24), 1), (128, 128, 3, (48, 48), 2), (160, 64, 3, (48, 48), 1),
    (64, 64, 3, (96, 96), 2), (80, 32, 3, (96, 96), 1), (32, 3, 1, (96, 96), 1),
)
# fmt: on


def main() -> None:
    parser = anchor_parser(__doc__)
    parser.add_argument("--frames", type=int, default=8 * BATCH)
    options = parser.parse_args()
    if not is_here(options.anchor, "an ANCHOR folder (benchmarks/quality.py makes one)"):
        return
    anchor = load_anchor(options.anchor)
    table = Table()
    with TemporaryDirectory() as folder:
        measure(anchor, options.frames, table, Path(folder) / "output.mp4")
    data = f"{options.anchor.name}, {options.frames} frames, crop of {anchor.network.config.size_px} px, "
    data += f"batches of {BATCH}, {torch.get_num_threads()} threads"
    print_report(data, ["", "ms a frame", "peak MB", "10^9 multiply-adds a frame"], table.rows)


@dataclass
class Table:
    """The rows so far."""

    rows: list[list[str]] = field(default_factory=list)

    def run(
        self, name: str, work: Callable[[Any], Any], batches: Iterable[Any], frames: int | None = None
    ) -> list[Any]:
        """Time `work` on each batch but the first; the results of all.

        Args:
            name: of the row.
            work: what is measured.
            batches: its inputs.
            frames: how many frames a batch is; None for its length.
        """
        made: list[Any] = []
        spent_s, timed, multiply_adds = 0.0, 0, 0.0
        reset_peak()
        for number, batch in enumerate(batches):
            if number == 0:  # not timed, so it can be counted
                with FlopCounterMode(display=False) as counter:
                    made.append(work(batch))
                multiply_adds = counter.get_total_flops() / 2 / (frames or len(batch))
                continue
            started = time.perf_counter()
            made.append(work(batch))
            spent_s += time.perf_counter() - started
            timed += frames or len(batch)
        self.add(name, spent_s * 1000 / max(timed, 1), multiply_adds)
        return made

    def add(self, name: str, ms: float, multiply_adds: float = 0.0) -> None:
        arithmetic = f"{multiply_adds / 1e9:.3f}" if multiply_adds else ""
        self.rows.append([name, f"{ms:.2f}", f"{peak_mb():.0f}", arithmetic])


def measure(anchor: Anchor, count: int, table: Table, output: Path) -> None:
    device = choose_device()
    timeline = plan(anchor, None, count * float(1 / anchor_rate(anchor)))
    frames = timeline.frames
    updater = FaceUpdater(anchor, timeline.reconstruction, device)
    parts = [np.arange(start, min(start + BATCH, len(frames))) for start in range(0, len(frames), BATCH)]

    source = decoded(timeline)
    pictures = table.run("decode", lambda part: [planar(next(source).picture) for _ in part], parts)
    tracker = FaceTracker(FaceLandmarker.load(registry.locate("face_landmarker")))
    table.run("track", lambda batch: [tracker.update(Frame(one, 0.0)) for one in batch], pictures)
    predict(anchor, timeline, table)

    places = updater.crops
    crops = table.run("crop", lambda b: cut(b, places, frames), list(zip(parts, pictures, strict=True)), BATCH)
    masks = table.run("region masks", lambda part: region_of(anchor, timeline, places, part), parts)
    filled = table.run("region removal", lambda b: as_input(b[0], b[1][0]), list(zip(crops, masks, strict=True)), BATCH)
    updated = render(timeline, updater, table, parts, masks, filled)

    pasted = table.run(
        "paste",
        lambda b: [
            planar(pasted_picture(picture, new, feather, places.to_frame[frames[i]]))
            for i, picture, new, feather in zip(b[0], b[1], b[2], b[3][1], strict=True)
        ],
        list(zip(parts, pictures, updated, masks, strict=True)),
        BATCH,
    )
    with writer_of(output, timeline) as writer:
        times_s = iter(timeline.times_s.tolist())

        def encode(batch: list[Picture]) -> list[None]:
            for picture in batch:
                writer.write(Frame(picture, next(times_s)))
            return [None] * len(batch)

        table.run("encode", encode, pasted)
    limit(timeline, table, output.with_stem("limit"))
    wav2lip(table, len(parts))


def render(
    timeline: Timeline,
    updater: FaceUpdater,
    table: Table,
    parts: Sequence[Any],
    masks: Sequence[Any],
    filled: Sequence[Tensor],
) -> list[FloatArray]:
    """The network layer by layer, and then at once as `FaceUpdater` runs it."""
    network, device = updater.network, updater.device
    generator, compositor = network.generator, network.compositor
    own = timeline.reconstruction.expression

    def inference(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def run(batch: Any) -> Any:
            with torch.inference_mode(), mixed_precision(device):
                return work(batch)

        return run

    def coefficients(part: Any) -> Any:
        chosen = timeline.frames[part]
        return crop_coefficients(timeline.reconstruction, updater.crops, chosen, own[chosen]).to(device)

    driven = table.run("coefficients", coefficients, parts)
    meshes = table.run("model", inference(generator.modeller), driven, BATCH)
    renderer = generator.renderer
    table.run("rasterize", lambda v: rasterize(v, renderer.triangles, renderer.uv, *renderer.size_px), meshes, BATCH)
    textures = table.run("texture map", inference(lambda c: generator.texture_map(c.expression)), driven, BATCH)
    planes = [[torch.from_numpy(plane)[:, None].float().to(device) for plane in mask] for mask in masks]
    inputs = [(a, b, c.to(device), d[0]) for a, b, c, d in zip(textures, meshes, filled, planes, strict=True)]
    drawn = table.run("rasterize and sample", inference(lambda b: renderer(*b)), inputs, BATCH)
    if (interior := generator.interior) is not None:
        seen = list(zip(drawn, driven, meshes, strict=True))
        drawn = table.run("mouth interior", inference(lambda b: interior(*b)), seen, BATCH)
    local = table.run("decode network", inference(lambda x: generator.decoder(x).float()), drawn, BATCH)
    inputs = [(a, b.to(device), *c) for a, b, c in zip(local, filled, planes, strict=True)]
    table.run("composite", inference(lambda b: compositor(*b)), inputs, BATCH)
    whole = [(c, b.to(device), *d) for c, b, d in zip(driven, filled, planes, strict=True)]
    made = table.run("face update network, all at once", inference(lambda b: network(*b)[1]), whole, BATCH)
    return [image.permute(0, 2, 3, 1).cpu().numpy() for image in made]


def predict(anchor: Anchor, timeline: Timeline, table: Table) -> None:
    """Speech of the same length as the frames: its features, then what is predicted from them."""
    speech_model = SpeechModel.load(device=choose_device())
    length_s = len(timeline) / float(timeline.frame_rate)
    audio = read_audio(anchor.clip, longest_s=length_s)
    samples = np.resize(audio.samples, round(length_s * audio.rate_hz))  # repeated where the clip is shorter
    audio = Audio(samples, audio.rate_hz)
    frames = len(timeline)
    layers = speech_model.predictor.config.layers
    table.run("speech encode", lambda audio: list(speech_model.encoder.pieces(audio, layers)), [audio] * 2, frames)
    table.run(
        "speech encode and predict",
        lambda audio: list(speech_model.predict_parts(audio, timeline.times_s)),
        [audio] * 2,
        frames,
    )


def limit(timeline: Timeline, table: Table, output: Path) -> None:
    reset_peak()
    started = time.perf_counter()
    with writer_of(output, timeline) as writer:
        frames = prefetch(decoded(timeline), 2 * BATCH)
        for frame, time_s in zip(frames, timeline.times_s.tolist(), strict=True):
            writer.write(Frame(frame.shown, time_s))
    table.add("limit: decode and encode alone", (time.perf_counter() - started) * 1000 / len(timeline))


def wav2lip(table: Table, batches: int) -> None:
    """Wav2Lip's convolutions in the number format and layout of the project's own network."""
    layers = [
        (torch.randn(out, into, kernel, kernel), torch.randn(BATCH, into, *side))
        for into, out, kernel, side, repeats in WAV2LIP
        for _ in range(repeats)
    ]
    layers = [(w.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)) for w, x in layers]

    def run(_: Any) -> None:
        with torch.inference_mode(), mixed_precision(torch.device("cpu")):
            for weight, image in layers:
                functional.conv2d(image, weight, padding=weight.shape[-1] // 2)

    table.run("Wav2Lip-sized convolutions", run, [None] * batches, BATCH)


def anchor_rate(anchor: Anchor) -> float:
    return float(1 / np.median(np.diff(anchor.reconstruction.times_s)))


def planar(picture: Picture) -> Picture:
    """A picture whose planes have been made, where it has any, and else its RGB."""
    _ = picture.planes or picture.image
    return picture


def writer_of(output: Path, timeline: Timeline) -> VideoWriter:
    """As `generate` writes the frames of a clip."""
    size, rate = (timeline.width, timeline.height), timeline.frame_rate
    return VideoWriter(output, *size, frame_rate=rate, encoder=EncoderSettings(coding=timeline.coding))


def decoded(timeline: Timeline) -> Any:
    return timeline.read()


def cut(batch: Any, places: Crops, frames: Any) -> Any:
    return np.stack(
        [crop_picture(one, places.to_frame[frames[i]], places.size_px) for i, one in zip(*batch, strict=True)]
    )


def region_of(anchor: Anchor, timeline: Timeline, places: Crops, part: Any) -> Any:
    chosen = timeline.frames[part]
    own = Crops(places.to_frame[chosen], places.size_px)
    return region_masks(anchor.region, timeline.reconstruction.select(chosen), own)


def as_input(crops: Any, holes: Any) -> Tensor:
    filled = remove_region(crops, holes)
    return torch.from_numpy(filled).permute(0, 3, 1, 2)


def reset_peak() -> None:
    RESET.write_text("5")


def peak_mb() -> float:
    """Largest resident memory since `reset_peak`, 10^6 bytes."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()

"""Nodes of ComfyUI that let an anchor of talkinghead speak.

Copy this file, or a link to it, into ComfyUI's folder `custom_nodes`, and install talkinghead into ComfyUI's Python.
Nothing is installed or downloaded by the nodes, and talkinghead is imported when one of them runs first.

The interface is that of ComfyUI's V3 nodes (`comfy_api.latest`). A VIDEO is labelled as AI-generated in its metadata,
which ComfyUI's "Save Video" keeps; an IMAGE batch carries no label.
"""

from __future__ import annotations

import os
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import comfy.utils
import folder_paths
import torch
from comfy_api.latest import ComfyExtension, InputImpl, io

CATEGORY = "talkinghead"
MOST_FRAMES = 1500
"""Frames of an IMAGE batch unless the node says otherwise: a minute at 25 fps, 4.7 GB at 512 x 512."""
AS_THE_CLIP = "as the clip"
"""Choice of the aspect that crops nothing."""


class TalkingHeadVideo(io.ComfyNode):
    """From an ANCHOR and audio or a text to a VIDEO, which has the speech in it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHeadVideo",
            display_name="Talking head (video)",
            category=CATEGORY,
            description="Lets an anchor of talkinghead say audio or a text. The video has the speech in it and is "
            "labelled as AI-generated in its metadata. Animate only people who have agreed to it.",
            inputs=[
                *_speech_inputs(),
                io.Combo.Input("quality", options=["draft", "standard", "high"], default="standard"),
                *_picture_inputs("A color such as #00b140 or white, or a picture or video file. For a transparent "
                                 "one take the node for frames."),
            ],
            outputs=[io.Video.Output()],
        )  # fmt: skip

    @classmethod
    def execute(cls, anchor: str, quality: str, audio: Any = None, **options: Any) -> io.NodeOutput:
        if options.get("background", "").strip().lower() == "transparent":
            raise ValueError("A VIDEO has no alpha; for a transparent background take 'Talking head (frames)'.")
        folder = Path(folder_paths.get_temp_directory())
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"talkinghead_{uuid.uuid4().hex}.mp4"
        progress = _Progress()
        with _speech(audio, options) as (talkinghead, speech):
            loaded = _loaded(anchor, _state_of(anchor))
            talkinghead.generate(loaded, speech, path, progress=progress, quality=quality, **_options(options))
        return io.NodeOutput(InputImpl.VideoFromFile(str(path)))

    @classmethod
    def fingerprint_inputs(cls, anchor: Any = None, background: Any = None, **others: Any) -> Any:
        return _state_of(anchor), _state_of(background)


class TalkingHeadFrames(io.ComfyNode):
    """From an ANCHOR and audio or a text to an IMAGE batch, and the AUDIO in the time of these frames."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHeadFrames",
            display_name="Talking head (frames)",
            category=CATEGORY,
            description="Lets an anchor of talkinghead say audio or a text. The frames are as they were generated, "
            "never encoded; they carry no label: whoever passes them on has to say that they are AI-generated.",
            inputs=[
                *_speech_inputs(),
                io.Int.Input(
                    "most_frames", default=MOST_FRAMES, min=1, max=1_000_000,
                    tooltip="Longer outputs are refused: a batch lies in memory whole, 3 MB for a frame of 512 x 512.",
                ),
                *_picture_inputs("transparent (then see MASK), a color such as #00b140 or white, or a picture or "
                                 "video file."),
            ],
            outputs=[
                io.Image.Output(display_name="IMAGE"),
                io.Audio.Output(display_name="AUDIO", tooltip="The speech, in the time of the frames."),
                io.Float.Output(display_name="FPS"),
                io.Mask.Output(display_name="MASK", tooltip="1 where the background is transparent, as in Load Image."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, anchor: str, most_frames: int, audio: Any = None, **options: Any) -> io.NodeOutput:
        with _speech(audio, options) as (talkinghead, speech):
            loaded = _loaded(anchor, _state_of(anchor))
            with talkinghead.generate(loaded, speech, progress=_Progress(), **_options(options)) as stream:
                if len(stream) > most_frames:
                    raise ValueError(
                        f"The output would have {len(stream)} frames, more than most_frames ({most_frames}); raise "
                        "that where the memory suffices, cut the speech, or take 'Talking head (video)'."
                    )
                heard = _audio_of(stream)
                images, mask = _batch(stream)
        return io.NodeOutput(images, heard, float(stream.frame_rate), mask)

    @classmethod
    def fingerprint_inputs(cls, anchor: Any = None, background: Any = None, **others: Any) -> Any:
        return _state_of(anchor), _state_of(background)


class TalkingHeadExtension(ComfyExtension):
    """What ComfyUI asks for the nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [TalkingHeadVideo, TalkingHeadFrames]


async def comfy_entrypoint() -> TalkingHeadExtension:
    return TalkingHeadExtension()


def _speech_inputs() -> list[io.Input]:
    """Who speaks, and what."""
    return [
        io.String.Input("anchor", default="henrik", tooltip="ANCHOR folder, or a built-in one: henrik, presenter."),
        io.Audio.Input("audio", optional=True, tooltip="What the anchor says. Leave it out where there is a text."),
        io.String.Input("text", default="", multiline=True, tooltip="What the anchor says, where there is no audio."),
        io.String.Input("voice", default="", tooltip="Of the text; `talkinghead voices` lists them. Empty: the usual."),
        io.Float.Input("intensity", default=1.0, min=0.0, max=3.0, step=0.05, tooltip="Of the mouth's movement."),
        io.Float.Input("lead_in", default=0.3, min=0.0, max=60.0, step=0.1, tooltip="Seconds at rest before speech."),
        io.Float.Input("lead_out", default=0.3, min=0.0, max=60.0, step=0.1, tooltip="Seconds at rest after speech."),
    ]


def _picture_inputs(about_background: str) -> list[io.Input]:
    """What becomes of the picture; all have defaults."""
    return [
        io.Combo.Input("aspect", options=[AS_THE_CLIP, "9:16", "1:1", "16:9"], default=AS_THE_CLIP),
        io.String.Input("size", default="", tooltip="Width, WIDTHxHEIGHT, or shorter side such as 720p. Empty: as is."),
        io.String.Input("background", default="", tooltip=f"{about_background} Empty: the clip's own."),
        io.String.Input("visible_label", default="", tooltip="Text drawn into every frame, such as AI-generated."),
        io.Combo.Input("device", options=["auto", "cpu", "cuda"], default="auto"),
    ]


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """The inputs of a node as options of `talkinghead.generate`; those left empty are left out."""
    options = {name: value for name, value in given.items() if name not in ("text", "voice")}
    if options.get("aspect") == AS_THE_CLIP:
        del options["aspect"]
    return {name: value for name, value in options.items() if value != ""}


@contextmanager
def _speech(audio: Any, options: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """talkinghead, and the speech in the form that it takes: a script, or the path of a file that is gone afterwards.

    ComfyUI runs nodes in torch's inference mode, which ends here: the ANCHOR is kept for other runs, and
    tensors made in that mode cannot be used everywhere afterwards.
    """
    text, voice = options.get("text", "").strip(), options.get("voice", "").strip()
    if (audio is None) == (not text):
        raise ValueError("Give either audio or a text, not " + ("both." if text else "neither."))
    talkinghead = _talkinghead()
    with torch.inference_mode(False), tempfile.TemporaryDirectory(prefix="talkinghead_") as folder:
        if audio is None:
            from talkinghead.text_to_speech import DEFAULT_VOICE, Script

            yield talkinghead, Script(text, voice or DEFAULT_VOICE)
        else:
            yield talkinghead, _written(audio, Path(folder) / "speech.wav")


def _talkinghead() -> Any:
    """The package, imported when it is needed first, so that ComfyUI starts as fast and without it."""
    try:
        import talkinghead
    except ImportError as error:
        raise RuntimeError(f"talkinghead is not installed for {sys.executable}; install it there.") from error
    return talkinghead


def _written(audio: Any, path: Path) -> Path:
    """Write an AUDIO, waveform (B, C, N) in [-1, 1], to a file that keeps its samples as they are."""
    import soundfile

    waveform, rate_hz = audio["waveform"], int(audio["sample_rate"])
    if waveform.ndim != 3 or waveform.shape[0] != 1:
        raise ValueError(f"AUDIO is a batch of {waveform.shape[0]}; an anchor says one at a time. Split the batch.")
    soundfile.write(path, waveform[0].detach().cpu().float().numpy().T, rate_hz, subtype="FLOAT")
    return path


def _audio_of(stream: Any) -> dict[str, Any]:
    """AUDIO of a stream, (1, C, N): from the first frame to the end of the last, with silence around the speech."""
    import soundfile

    samples, rate_hz = soundfile.read(stream.recording, dtype="float32", always_2d=True)
    begin = round(stream.recording_start_s * rate_hz)
    waveform = torch.zeros(samples.shape[1], round(len(stream) / stream.frame_rate * rate_hz))
    spoken = torch.from_numpy(samples.T.copy())[:, max(0, -begin) :]
    part = waveform[:, max(0, begin) :]
    length = min(part.shape[1], spoken.shape[1])
    part[:, :length] = spoken[:, :length]
    return {"waveform": waveform[None], "sample_rate": rate_hz}


def _batch(stream: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """IMAGE batch (T, H, W, 3) and its MASK (T, H, W), 1 where nothing is to be seen; both float32 in [0, 1]."""
    shape = (len(stream), stream.height, stream.width)
    images = torch.empty(*shape, 3)
    mask = torch.empty(shape) if stream.has_alpha else torch.zeros(1).expand(shape)
    for number, frame in enumerate(stream):
        images[number] = torch.from_numpy(frame.image) / 255
        if stream.has_alpha:
            mask[number] = 1 - torch.from_numpy(frame.alpha) / 255
    return images, mask


class _Progress:
    """Shows the frames that are done. ComfyUI's bar also raises where the user stops the run."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __call__(self, done: int, count: int) -> None:
        if self._bar is None:
            self._bar = comfy.utils.ProgressBar(count)
        self._bar.update_absolute(done, count)


def _state_of(named: Any) -> tuple[tuple[str, int, int], ...]:
    """Names, times and sizes of the files of a path, so that a node runs anew when one has changed; empty for none."""
    path = Path(named) if isinstance(named, str) and named.strip() else None
    if path is None or not os.path.exists(path):
        return ()
    files = sorted(file for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())
    return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)


@lru_cache(maxsize=1)
def _loaded(anchor: str, state: tuple[tuple[str, int, int], ...]) -> Any:
    """An ANCHOR, kept until another is asked for or its files have changed."""
    return _talkinghead().load_anchor(Path(anchor))

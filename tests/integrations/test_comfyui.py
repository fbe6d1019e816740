"""The nodes for ComfyUI, called as ComfyUI calls them, against a stub of its signatures."""

import asyncio
import importlib.util
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from talkinghead.media.audio_reader import read_audio
from talkinghead.media.containers import read_tags
from talkinghead.media.video_reader import VideoReader, read_video_info
from talkinghead.provenance.metadata import COMMENT, TAGS
from talkinghead.structures import Frame

STUB = Path(__file__).parent / "comfyui_stub"
NODES = Path(__file__).parents[2] / "integrations" / "comfyui" / "talkinghead_nodes.py"
RATE_HZ = 22_050


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_caches: None) -> Iterator[ModuleType]:
    """The file of the nodes, loaded as ComfyUI loads a file of its folder custom_nodes."""
    monkeypatch.syspath_prepend(str(STUB))
    before = set(sys.modules)
    spec = importlib.util.spec_from_file_location("custom_nodes.talkinghead_nodes", NODES)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["folder_paths"].temporary = str(tmp_path / "temp")  # type: ignore[attr-defined]
    yield module
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("comfy", "comfy_api", "folder_paths"):
            del sys.modules[name]


@pytest.fixture
def audio(speech: Path) -> dict[str, Any]:
    """AUDIO of two channels, one much louder, whose samples are no 16-bit ones."""
    samples = torch.from_numpy(read_audio(speech).samples)
    return {"waveform": torch.stack([samples, samples / 3])[None], "sample_rate": int(read_audio(speech).rate_hz)}


def run(node: Any, **inputs: Any) -> tuple[Any, ...]:
    """What ComfyUI does with a node: each input that is not optional has a value, in torch's inference mode."""
    schema = node.define_schema()
    given = {wanted.id: wanted.default for wanted in schema.inputs if not wanted.optional} | inputs
    assert set(inputs) <= {wanted.id for wanted in schema.inputs}
    with torch.inference_mode():
        answer = node.execute(**given)
    assert len(answer.args) == len(schema.outputs)
    return tuple(answer.args)


def test_schemas_hold_what_comfyui_asks_of_them(nodes: ModuleType) -> None:
    found = asyncio.run(asyncio.run(nodes.comfy_entrypoint()).get_node_list())
    assert [node.define_schema().node_id for node in found] == ["TalkingHeadVideo", "TalkingHeadFrames"]
    for node in found:
        inputs = node.define_schema().inputs
        names = [wanted.id for wanted in inputs]
        assert len(set(names)) == len(names)
        for wanted in inputs:
            assert wanted.optional or wanted.default is not None, wanted.id
            options = getattr(wanted, "options", None)
            assert options is None or wanted.default in options
        taken = inspect.signature(node.execute).parameters.values()
        required = {p.name for p in taken if p.default is p.empty and p.kind is not p.VAR_KEYWORD}
        assert required <= set(names)


def test_every_input_is_an_option_of_generate(nodes: ModuleType) -> None:
    from talkinghead.generation.config import GenerationConfig

    for node in (nodes.TalkingHeadVideo, nodes.TalkingHeadFrames):
        defaults = {wanted.id: wanted.default for wanted in node.define_schema().inputs}
        for name in ("anchor", "audio", "most_frames"):
            defaults.pop(name, None)
        assert GenerationConfig(**nodes._options(defaults)) == GenerationConfig(lead_in=0.3, lead_out=0.3)


def test_frames_and_their_audio(
    nodes: ModuleType, anchor_folder: Path, expression_file: Path, audio: dict[str, Any]
) -> None:
    images, heard, fps, mask = run(nodes.TalkingHeadFrames, anchor=str(anchor_folder), audio=audio, lead_in=0.5)
    spoken = audio["waveform"].shape[-1] / audio["sample_rate"]
    assert fps == 25 and abs(len(images) / fps - (0.5 + spoken + 0.3)) < 0.05
    assert images.dtype == torch.float32 and images.shape[-1] == 3 and images.min() >= 0 and images.max() <= 1
    assert not images.is_inference()
    assert mask.shape == images.shape[:3] and not mask.any()
    # The samples are the given ones, to the bit, half a second later.
    begin, length = round(0.5 * audio["sample_rate"]), audio["waveform"].shape[-1]
    assert heard["sample_rate"] == audio["sample_rate"]
    assert torch.equal(heard["waveform"][..., begin : begin + length], audio["waveform"])
    assert not heard["waveform"][..., :begin].any()
    assert heard["waveform"].shape[-1] == round(len(images) / fps * audio["sample_rate"])


def test_a_video_is_labelled_and_has_the_speech(
    nodes: ModuleType, anchor_folder: Path, audio: dict[str, Any], tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    sys.modules["comfy.utils"].HOOK = lambda done, count: told.append((done, count))  # type: ignore[attr-defined]
    (video,) = run(nodes.TalkingHeadVideo, anchor=str(anchor_folder), audio=audio, size="128", quality="draft")
    path = Path(video.get_stream_source())
    assert path.parent == tmp_path / "temp" and path.suffix == ".mp4"
    info = read_video_info(path)
    assert info.width == 128
    with VideoReader(path) as reader:
        count = sum(1 for _ in reader)
    assert told == [(number, count) for number in range(1, count + 1)]
    assert read_tags(path)[TAGS[0]] == COMMENT
    assert read_audio(path).samples.std() > 0.01


def test_a_text_is_spoken(nodes: ModuleType, anchor_folder: Path) -> None:
    images, heard, fps, _ = run(nodes.TalkingHeadFrames, anchor=str(anchor_folder), text=" Hi. ", lead_in=0, lead_out=0)
    assert heard["waveform"].shape[:2] == (1, 1) and heard["waveform"].std() > 0.01
    assert heard["waveform"].shape[-1] == round(len(images) / fps * heard["sample_rate"])


def test_a_transparent_background_is_the_mask(nodes: ModuleType) -> None:
    alpha = np.array([[0, 51], [255, 102]], np.uint8)
    frames = [Frame(np.full((2, 2, 3), 204, np.uint8), number / 25, alpha) for number in range(3)]

    class Stream(list[Frame]):
        height, width, has_alpha = 2, 2, True

    images, mask = nodes._batch(Stream(frames))
    assert images.shape == (3, 2, 2, 3) and torch.equal(images, torch.full((3, 2, 2, 3), 0.8))
    torch.testing.assert_close(mask, torch.tensor([[1, 0.8], [0, 0.6]]).expand(3, 2, 2))


def test_what_cannot_be_done_is_refused(nodes: ModuleType, anchor_folder: Path, audio: dict[str, Any]) -> None:
    anchor = str(anchor_folder)
    with pytest.raises(ValueError, match="either audio or a text, not neither"):
        run(nodes.TalkingHeadVideo, anchor=anchor)
    with pytest.raises(ValueError, match="not both"):
        run(nodes.TalkingHeadVideo, anchor=anchor, audio=audio, text="Hello.")
    with pytest.raises(ValueError, match=r"frames, more than most_frames \(3\)"):
        run(nodes.TalkingHeadFrames, anchor=anchor, audio=audio, most_frames=3)
    with pytest.raises(ValueError, match="no alpha"):
        run(nodes.TalkingHeadVideo, anchor=anchor, audio=audio, background="transparent")
    two = {"waveform": audio["waveform"].repeat(2, 1, 1), "sample_rate": audio["sample_rate"]}
    with pytest.raises(ValueError, match="batch of 2"):
        run(nodes.TalkingHeadVideo, anchor=anchor, audio=two)


def test_a_stopped_run_leaves_no_video(
    nodes: ModuleType, anchor_folder: Path, audio: dict[str, Any], tmp_path: Path
) -> None:
    class StoppedError(Exception):
        pass

    def hook(done: int, count: int) -> None:
        if done == 3:
            raise StoppedError

    sys.modules["comfy.utils"].HOOK = hook  # type: ignore[attr-defined]
    with pytest.raises(StoppedError):
        run(nodes.TalkingHeadVideo, anchor=str(anchor_folder), audio=audio)
    assert list((tmp_path / "temp").iterdir()) == []


def test_a_changed_anchor_runs_anew(nodes: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "me.anchor").mkdir()
    (tmp_path / "me.anchor" / "network").write_text("one")
    first = nodes.TalkingHeadVideo.fingerprint_inputs(anchor=str(tmp_path / "me.anchor"), text="Hello.")
    assert first == nodes.TalkingHeadVideo.fingerprint_inputs(anchor=str(tmp_path / "me.anchor"), text="Hello.")
    (tmp_path / "me.anchor" / "network").write_text("another")
    assert first != nodes.TalkingHeadVideo.fingerprint_inputs(anchor=str(tmp_path / "me.anchor"), text="Hello.")
    assert nodes.TalkingHeadVideo.fingerprint_inputs(anchor=None) == ((), ())  # the input is linked


def test_without_talkinghead_comfyui_still_starts(tmp_path: Path) -> None:
    """The file is read without the package; only a node that runs asks for it, and says what to do."""
    code = (
        "import sys, runpy; sys.modules['talkinghead'] = None; sys.path.insert(0, sys.argv[1]);"
        "nodes = runpy.run_path(sys.argv[2]);"
        "nodes['TalkingHeadVideo'].define_schema();"
        "import folder_paths; folder_paths.temporary = sys.argv[3];"
        "nodes['TalkingHeadVideo'].execute(anchor='presenter', text='Hello.', quality='draft')"
    )
    done = subprocess.run([sys.executable, "-c", code, STUB, NODES, tmp_path], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].startswith("RuntimeError: talkinghead is not installed for ")

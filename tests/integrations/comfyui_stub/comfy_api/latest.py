"""Signatures of `comfy_api.latest`, ComfyUI's V3 interface of nodes, as of its revision of October 2026.

Names, parameters and defaults are ComfyUI's, bodies are not: an argument that it does not know is an error here too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class Input:
    io_type = ""

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        extra_dict: dict[str, Any] | None = None,
        raw_link: bool | None = None,
        advanced: bool | None = None,
    ) -> None:
        self.id, self.optional = id, optional
        self.default: Any = None


class Output:
    io_type = ""

    def __init__(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
    ) -> None:
        self.id = id


class StringInput(Input):
    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        multiline: bool = False,
        placeholder: str | None = None,
        default: str | None = None,
        dynamic_prompts: bool | None = None,
        socketless: bool | None = None,
        force_input: bool | None = None,
    ) -> None:
        super().__init__(id, display_name, optional, tooltip, lazy)
        self.default = default


class NumberInput(Input):
    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        default: float | None = None,
        min: float | None = None,
        max: float | None = None,
        step: float | None = None,
    ) -> None:
        super().__init__(id, display_name, optional, tooltip, lazy)
        self.default, self.min, self.max = default, min, max


class ComboInput(Input):
    def __init__(
        self,
        id: str,
        options: list[str] | None = None,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        default: str | None = None,
    ) -> None:
        super().__init__(id, display_name, optional, tooltip, lazy)
        self.options, self.default = options or [], default


def _type(name: str, base: type[Input] = Input) -> Any:
    return SimpleNamespace(
        io_type=name,
        Input=type(f"{name}Input", (base,), {"io_type": name}),
        Output=type(f"{name}Output", (Output,), {"io_type": name}),
    )


@dataclass
class Schema:
    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Input] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    hidden: list[Any] = field(default_factory=list)
    description: str = ""
    search_aliases: list[str] = field(default_factory=list)
    is_input_list: bool = False
    is_output_node: bool = False
    is_experimental: bool = False
    not_idempotent: bool = False


class NodeOutput:
    def __init__(
        self, *args: Any, ui: Any = None, expand: dict[str, Any] | None = None, block_execution: str | None = None
    ) -> None:
        self.args = args


class ComfyNode(ABC):
    @classmethod
    @abstractmethod
    def define_schema(cls) -> Schema: ...

    @classmethod
    @abstractmethod
    def execute(cls, **kwargs: Any) -> NodeOutput: ...


class ComfyExtension(ABC):
    @abstractmethod
    async def get_node_list(self) -> list[type[ComfyNode]]: ...


class VideoFromFile:
    def __init__(self, file: str, *, start_time: float = 0, duration: float = 0) -> None:
        self.file = file

    def get_stream_source(self) -> str:
        return self.file


io = SimpleNamespace(
    Input=Input,
    Schema=Schema,
    NodeOutput=NodeOutput,
    ComfyNode=ComfyNode,
    String=_type("STRING", StringInput),
    Int=_type("INT", NumberInput),
    Float=_type("FLOAT", NumberInput),
    Combo=_type("COMBO", ComboInput),
    Image=_type("IMAGE"),
    Mask=_type("MASK"),
    Audio=_type("AUDIO"),
    Video=_type("VIDEO"),
)
InputImpl = SimpleNamespace(VideoFromFile=VideoFromFile)

"""What pyproject.toml cannot say: the package's page on an index, and the weights in a wheel."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

_IMAGE = re.compile(r"^!\[[^\]]*\]\((?!https?:)[^)]*\)\n\n?", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]*\)")


def long_description(readme: str) -> str:
    """The README as it reads outside of the repository: without its images and the targets of its links."""
    return _LINK.sub(r"\1", _IMAGE.sub("", readme)).replace("`pip install .`", "`pip install talkinghead`")


class Readme(MetadataHookInterface):
    """The long description."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set it."""
        text = long_description((Path(self.root) / "README.md").read_text(encoding="utf-8"))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


class Weights(BuildHookInterface[Any]):
    """The default checkpoints, which are in the package of a wheel; an editable installation reads them in place."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add them."""
        if self.target_name == "wheel" and version == "standard":
            build_data["force_include"]["checkpoints"] = "talkinghead/checkpoints"

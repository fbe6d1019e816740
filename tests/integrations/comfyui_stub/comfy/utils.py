"""ComfyUI's progress bar, whose hook raises where the user stops a run."""

from collections.abc import Callable
from typing import Any

HOOK: Callable[..., None] | None = None


class ProgressBar:
    def __init__(self, total: int, node_id: str | None = None) -> None:
        self.total = total

    def update_absolute(self, value: int, total: int | None = None, preview: Any = None) -> None:
        self.total = self.total if total is None else total
        if HOOK is not None:
            HOOK(value, self.total)

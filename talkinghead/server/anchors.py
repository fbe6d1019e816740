"""Anchors of the server: the built-in ones and those in its folder, the ones in use in memory."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from talkinghead.anchor import MATTE_FILE, anchor_voice, load_anchor, read_description
from talkinghead.errors import CheckpointError, MissingFileError
from talkinghead.live.resident import Capacity, ResidentAnchor
from talkinghead.weights.bundled import built_in_anchors

NAME = re.compile(r"[\w][\w .-]{0,63}", re.UNICODE)
"""Of an anchor: no path, no dot at its beginning."""
SUFFIX = ".anchor"
MOST_RESIDENT = 4
"""Anchors in memory at once; the one that was used longest ago makes room."""


class Anchors:
    """Found by name; loaded when a session needs them. Its methods may be called from any thread."""

    def __init__(self, folder: Path, device: str, idle_sessions: int | None = None) -> None:
        """Args: the folder with ANCHOR folders, which may be missing; where to compute; see `Capacity`."""
        self.folder, self._device = folder, device
        self._lock = threading.Lock()
        self._capacity = Capacity(idle_sessions)
        self._resident: OrderedDict[tuple[str, float], ResidentAnchor] = OrderedDict()

    def names(self) -> list[str]:
        """Names of all anchors, the built-in ones first."""
        found = sorted(self.folder.glob(f"*{SUFFIX}/anchor.json"))
        own = [path.parent.name.removesuffix(SUFFIX) for path in found]
        built_in = list(built_in_anchors())
        return [*built_in, *(name for name in own if name not in built_in)]

    def path(self, name: str) -> Path:
        """The ANCHOR folder of that name, or the bare name of a built-in one.

        Raises:
            MissingFileError: there is none.
        """
        if name in built_in_anchors():
            return Path(name)
        folder = self.folder / f"{name}{SUFFIX}"
        if NAME.fullmatch(name) is None or not (folder / "anchor.json").is_file():
            raise MissingFileError(f"There is no anchor {name[:80]!r}.")
        return folder

    def describe(self) -> list[dict[str, Any]]:
        """Name, consent, voice, whether it is built in and cut out of its clip, of every anchor that can be read."""
        described = []
        for name in self.names():
            path = self.path(name)
            if path == Path(name):
                own = {"built_in": True, "consent": None, "has_matte": False, "voice": anchor_voice(path)}
                described.append({"name": name, **own})
                continue
            try:
                description = read_description(path)
                has_matte = (path / MATTE_FILE).is_file()
            except (CheckpointError, MissingFileError):
                continue
            own = {"built_in": False, "has_matte": has_matte}
            described.append({"name": name, **own, "consent": description["consent"], "voice": description["voice"]})
        return described

    def resident(self, name: str) -> ResidentAnchor:
        """An anchor in memory, loaded now if it is not there yet: seconds.

        Raises:
            MissingFileError, CheckpointError, ModelUnavailableError: it cannot be loaded.
        """
        path = self.path(name)
        description = path / "anchor.json"
        key = (name, description.stat().st_mtime if description.is_file() else 0.0)
        with self._lock:  # two sessions do not load one anchor twice
            found = self._resident.pop(key, None) or ResidentAnchor(load_anchor(path), self._device, self._capacity)
            self._resident[key] = found
            while len(self._resident) > MOST_RESIDENT:
                self._resident.popitem(last=False)[1].close()
            found.make_idle_ahead()
            return found

    def close(self) -> None:
        """Stop what the anchors in memory do by themselves."""
        with self._lock:
            for resident in self._resident.values():
                resident.close()

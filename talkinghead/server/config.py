"""The options of `serve`."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkinghead.errors import OptionError
from talkinghead.generation.output_options import TRANSPARENT, Color, parse_background
from talkinghead.options.fields import check_options, device_option, option

LEAST_TOKEN_CHARACTERS = 16
"""Shorter tokens can be guessed."""
WORKERS = 100
"""Servers that a proxy can tell apart by the last digits of session numbers."""
RTMP = re.compile(r"rtmps?://[^\s/]+/\S+", re.ASCII)
ICE_KEYS = {"urls", "username", "credential"}


@dataclass(frozen=True)
class ServerConfig:
    """How the server is reached, and what it allows.

    Raises:
        OptionError: a field is out of its range; or others than this machine could connect without a token.
    """

    host: str = option("127.0.0.1", help="Address to listen at. Any other than this machine's own needs a token.")
    port: int = option(8473, help="Port to listen at.", low=0, high=65535)
    folder: Path = option(
        Path("studio"),
        help="Folder for what is uploaded and made; its ANCHOR folders can be chosen.",
    )
    token_file: Path | None = option(
        None,
        help=f"File whose first line, {LEAST_TOKEN_CHARACTERS} characters or more, clients must present: as a Bearer "
        "token, or once on the page that asks for it.",
    )
    allow_host: str | None = option(
        None, help="Name under which a proxy in front of the server is reached, such as studio.example.org."
    )
    ice_server: str | None = option(
        None,
        help='STUN or TURN server as JSON, such as {"urls": "turn:turn.example.org", "username": "u", '
        '"credential": "c"}; without one, live video works within one network.',
    )
    push_file: Path | None = option(
        None,
        help="File whose first line is the rtmp:// or rtmps:// address, with its key, that a live session may be "
        "pushed to; clients say when, and never where.",
    )
    most_upload_mb: int = option(2048, help="Largest file that may be uploaded.", low=1, high=1_000_000, unit="MB")
    most_speech_s: int = option(
        3600, help="Longest speech that may be rendered or played.", low=1, high=86_400, unit="seconds"
    )
    background: str | None = option(
        None,
        help="What is behind live anchors instead of their clips' own backgrounds: a color such as #00b140 or white, "
        "or a picture or video file; a client may ask for another color.",
        metavar="COLOR|FILE",
    )
    idle_sessions: int | None = option(
        None,
        help="Live sessions that may be open at once. As many may speak at once as the machine keeps up with; without "
        "the option, no more are let in than could all speak.",
        low=1,
        high=1000,
    )
    worker: int | None = option(
        None,
        help="The last two digits of this server's session numbers, by which a proxy in front of several servers finds "
        "the one that has a session.",
        low=0,
        high=WORKERS - 1,
    )
    device: str = device_option()

    def __post_init__(self) -> None:
        check_options(self)
        if self.token_file is None and not is_loopback(self.host):
            raise OptionError(
                f"Everybody who reaches {self.host} could use the server; give --token-file, or --host 127.0.0.1."
            )
        self.ice_servers()
        _ = self.named_background

    @property
    def named_background(self) -> Color | Path | None:
        """What is behind live anchors; None leaves their clips' own.

        Raises:
            OptionError: it cannot be read, or is transparent.
        """
        return None if self.background is None else opaque_background(self.background)

    def token(self) -> str | None:
        """What clients must present; None where only this machine can connect and none is asked for.

        Raises:
            OptionError: the file cannot be read, or its first line is too short.
        """
        if self.token_file is None:
            return None
        token = _first_line(self.token_file, "token")
        if len(token) < LEAST_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable():
            raise OptionError(
                f"The first line of {self.token_file} is no token: {LEAST_TOKEN_CHARACTERS} or more ASCII characters."
            )
        return token

    def push_address(self) -> str | None:
        """RTMP address to push to; None where there is none.

        Raises:
            OptionError: the file cannot be read, or its first line is no such address. No message shows the address.
        """
        if self.push_file is None:
            return None
        address = _first_line(self.push_file, "address")
        if RTMP.fullmatch(address) is None:
            raise OptionError(f"The first line of {self.push_file} is no address like rtmp://live.example.org/app/KEY.")
        return address

    def ice_servers(self) -> list[dict[str, Any]]:
        """STUN and TURN servers for WebRTC, as a browser takes them; none unless the user names one.

        Raises:
            OptionError: it is not such a server.
        """
        if self.ice_server is None:
            return []
        try:
            server = json.loads(self.ice_server)
            if not isinstance(server["urls"], str) or not set(server) <= ICE_KEYS:
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise OptionError('--ice-server takes JSON like {"urls": "turn:turn.example.org"}.') from error
        return [server]

    def hosts(self) -> frozenset[str]:
        """Names under which the server may be addressed; others are a sign of DNS rebinding."""
        own = {"localhost", "127.0.0.1", "::1", self.host.strip("[]").lower()}
        return frozenset(own | ({self.allow_host.lower()} if self.allow_host else set()))


def _first_line(path: Path, what: str) -> str:
    """The first line of a file that holds a secret.

    Raises:
        OptionError: it cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline(4096).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(
            f"The {what} file {path} cannot be read; write {'a random line' if what == 'token' else 'it'} into it."
        ) from error


def opaque_background(text: str) -> Color | Path:
    """What a text names, see `parse_background`.

    Raises:
        OptionError: as there; or it is transparent.
    """
    named = parse_background(text)
    if named == TRANSPARENT or isinstance(named, str):
        raise OptionError(
            "Live video has no alpha channel, so that its background cannot be transparent: name a color that the "
            "receiver keys out, such as #00ff00."
        )
    return named


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, reached by nobody else."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False

"""A real `talkinghead serve` for benchmarks and end-to-end tests: a process of its own, which is measured from outside.

Memory and processor time are read from /proc: Linux only.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_S = 120.0
"""Longest that a server may take to answer, seconds."""


@dataclass(frozen=True)
class Answer:
    """Of the server to one request."""

    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def request(address: str, body: object = None, method: str | None = None, data: bytes | None = None) -> Answer:
    """Ask a server; a body is sent as JSON, data as they are. A refusal is an answer too."""
    sent = data if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(address, sent, {"content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=120) as answer:
            return Answer(answer.status, answer.read())
    except urllib.error.HTTPError as refusal:
        return Answer(refusal.code, refusal.read())


class Server:
    """`talkinghead serve`, started now."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        """Args: of `--folder`; further options; the port, a free one where it is None."""
        self.port = port or free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "talkinghead", "serve", "--folder", str(folder), "--port", str(self.port)]
        self._process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
        self.pid = self._process.pid
        end_s = time.monotonic() + START_S
        while time.monotonic() < end_s and self._process.poll() is None:
            try:
                if self.ask("/health").status == 200:
                    return
            except OSError:
                time.sleep(0.05)
        self.close()
        raise RuntimeError("The server did not start; what it wrote is above.")

    def ask(self, path: str, body: object = None, method: str | None = None, data: bytes | None = None) -> Answer:
        """Ask for a path; see `request`."""
        return request(self.address + path, body, method, data)

    def open_session(self, anchor: str = "presenter", *, wait: bool = True) -> str:
        """Number of a new session; the anchor is loaded first, which takes seconds."""
        end_s = time.monotonic() + START_S
        while True:
            answer = self.ask("/api/sessions", {"anchor": anchor})
            if answer.status == 201:
                return str(answer.json()["session"])
            if not wait or time.monotonic() > end_s:
                raise RuntimeError(f"No session: {answer.status} {answer.body[:200]!r}")
            time.sleep(0.2)

    def warm(self, anchor: str = "presenter") -> None:
        """Load the anchor, and leave the place of its session free."""
        self.ask(f"/api/sessions/{self.open_session(anchor)}", method="DELETE")

    @property
    def memory_mb(self) -> float:
        """Resident memory, MB."""
        fields = Path(f"/proc/{self.pid}/status").read_text().split("VmRSS:")[1].split()
        return int(fields[0]) / 1024

    @property
    def processor_s(self) -> float:
        """Processor time so far, seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))

    @property
    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def kill(self) -> None:
        """End it as the system does when memory is short: without a word."""
        os.kill(self.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """End it as Ctrl-C does; may be called twice."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

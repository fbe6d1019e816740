"""A small proxy before several `talkinghead serve --worker N`: the rule by which any proxy can spread sessions.

- A new session goes to the workers in turn; to the next one where a worker is full (429).
- What belongs to a session goes to the worker whose number the session's number ends with.
- All else goes to the first: its folder has the uploads, jobs and recordings.

Pictures and audio of WebRTC do not pass here: workers and browsers send them to each other.

    python benchmarks/sticky_proxy.py [--most 20]    # two workers, as many sessions as they take
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import tempfile
import threading
from collections import Counter
from pathlib import Path

import click
from harness import machine
from serving import Server, free_port, request

SESSION = re.compile(rb"/api/sessions/(\d+)")
LARGEST_BODY = 1 << 20


class StickyProxy:
    """Listens at `port` of this machine, in a thread of its own, until it is closed."""

    def __init__(self, ports: list[int]) -> None:
        """Args: of the workers, by their numbers."""
        self._ports, self.port = ports, free_port()
        self._turn = itertools.cycle(range(len(ports)))
        self._loop = asyncio.new_event_loop()
        self._ready, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        async with await asyncio.start_server(self._accept, "127.0.0.1", self.port):
            self._ready.set()
            await self._over.wait()
        open_ = asyncio.all_tasks() - {asyncio.current_task()}
        for task in open_:
            task.cancel()
        await asyncio.gather(*open_, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1]
            if head.startswith(b"POST") and path == b"/api/sessions":
                await self._open(
                    one_request(head), await reader.readexactly(min(body_length(head), LARGEST_BODY)), writer
                )
            else:
                found = SESSION.match(path)
                worker = int(found[1]) % 100 if found else 0
                await self._pass(self._ports[worker % len(self._ports)], one_request(head), reader, writer)
        writer.close()

    async def _open(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        answer = b""
        for _ in self._ports:
            theirs, to_them = await asyncio.open_connection("127.0.0.1", self._ports[next(self._turn)])
            to_them.write(head + body)
            answer = await theirs.read()
            to_them.close()
            if b" 429 " not in answer.split(b"\r\n", 1)[0]:
                break
        writer.write(answer)
        await writer.drain()

    async def _pass(self, port: int, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, to_them = await asyncio.open_connection("127.0.0.1", port)
        to_them.write(head)
        sending = asyncio.create_task(copied(reader, to_them))
        try:
            await copied(theirs, writer)
        finally:
            sending.cancel()
            to_them.close()


async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on all that comes."""
    with contextlib.suppress(OSError):
        while block := await reader.read(1 << 16):
            writer.write(block)
            await writer.drain()


def body_length(head: bytes) -> int:
    found = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    return int(found[1]) if found else 0


def one_request(head: bytes) -> bytes:
    """The head of a request after which the connection ends, but for one that becomes a WebSocket."""
    if re.search(rb"\r\nupgrade:", head, re.IGNORECASE):
        return head
    kept = re.sub(rb"\r\nconnection:[^\r]*", b"", head, flags=re.IGNORECASE)
    return kept[:-2] + b"connection: close\r\n\r\n"


@click.command()
@click.option("--most", default=20, help="Sessions that are asked for.")
def main(most: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="talkinghead-workers-"))
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(Server(folder / f"{number}", "--worker", f"{number}")) for number in range(2)]
        for worker in workers:
            worker.warm()
        proxy = StickyProxy([worker.port for worker in workers])
        stack.callback(proxy.close)
        address = f"http://127.0.0.1:{proxy.port}"
        answers = [request(f"{address}/api/sessions", {}) for _ in range(most)]
        opened = [str(answer.json()["session"]) for answer in answers if answer.status == 201]
        said = [request(f"{address}/api/sessions/{number}/say", {"text": "Good evening."}).status for number in opened]
        closed = [request(f"{address}/api/sessions/{number}", method="DELETE").status for number in opened]
    click.echo(machine())
    click.echo(f"{most} sessions asked for: {dict(Counter(answer.status for answer in answers))}")
    click.echo(f"by worker: {dict(Counter(number[-2:] for number in opened))}; spoke: {said}; ended: {closed}")


if __name__ == "__main__":
    main()

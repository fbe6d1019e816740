"""Let an anchor be the face of a voice agent on OpenAI's Realtime API.

    talkinghead serve &
    export OPENAI_API_KEY=...
    arecord -q -t raw -f S16_LE -r 24000 -c 1 | python integrations/openai_realtime.py --anchor henrik

What the microphone hears goes to the model (standard input: PCM of 24 kHz, 16 bit, little-endian, mono). What the model
says goes to the talkinghead server, whose pictures and audio come by WebRTC or, as the address that is printed, by HLS
(about six seconds later: for looking, not for talking). Where somebody speaks in between, the anchor falls silent at
once, and the model is told how much of its answer was heard, so that it does not believe the rest was.

Needs `websockets`, which `talkinghead[serve]` brings. Nothing but the events of three types passes between both sides.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import sys
import threading
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

MODEL_ADDRESS = "wss://api.openai.com/v1/realtime?model=gpt-realtime"
SERVER_ADDRESS = "http://127.0.0.1:8473"
RATE_HZ = 24_000
"""The one sampling rate of PCM that the Realtime API takes and gives."""
BLOCK_BYTES = RATE_HZ // 10 * 2
"""Audio is sent to the model in blocks of 0.1 s."""
FOR_THE_ANCHOR = ("response.output_audio.delta", "response.output_audio.done", "input_audio_buffer.speech_started")
"""Events of the model that the anchor needs: what it says, the end of that, and that somebody else speaks."""
FOR_THE_MODEL = ("conversation.item.truncate",)
"""Events of the anchor that the model needs: how much of its answer was heard."""


def session_update(instructions: str) -> dict[str, Any]:
    """What the model is told first: to speak, in which format, and to find out by itself when it is spoken to."""
    pcm = {"type": "audio/pcm", "rate": RATE_HZ}
    return {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": instructions,
            "audio": {
                "input": {"format": pcm, "turn_detection": {"type": "server_vad"}},
                "output": {"format": pcm},
            },
        },
    }


def listen(microphone: BinaryIO) -> asyncio.Queue[bytes]:
    """Blocks of the microphone's audio as they are heard, an empty one at its end.

    The thread that waits for them ends with the program: nothing wakes it where the microphone gives nothing.
    """
    blocks: asyncio.Queue[bytes] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        with suppress(RuntimeError):  # the conversation is over
            while block := microphone.read(BLOCK_BYTES):
                loop.call_soon_threadsafe(blocks.put_nowait, block)
            loop.call_soon_threadsafe(blocks.put_nowait, b"")

    threading.Thread(target=read, daemon=True).start()
    return blocks


async def microphone_to_model(blocks: asyncio.Queue[bytes], model: ClientConnection) -> None:
    """Send audio to the model until it ends; a last odd byte is no sample."""
    while block := await blocks.get():
        audio = base64.b64encode(block[: len(block) // 2 * 2]).decode()
        await model.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))


async def model_to_anchor(model: ClientConnection, anchor: ClientConnection) -> None:
    """Hand on what the anchor needs; say on standard error what went wrong at the model."""
    async for message in model:
        event = json.loads(message)
        if event["type"] in FOR_THE_ANCHOR:
            await anchor.send(json.dumps(event))
        elif event["type"] == "error":
            print(f"The model: {event['error'].get('message')}", file=sys.stderr)


async def anchor_to_model(anchor: ClientConnection, model: ClientConnection) -> None:
    """Hand back what the model needs."""
    async for message in anchor:
        event = json.loads(message)
        if event["type"] in FOR_THE_MODEL:
            await model.send(json.dumps(event))
        elif event["type"] == "error":
            print(f"The anchor: {event['error'].get('message')}", file=sys.stderr)


def open_session(server: str, anchor: str, headers: Mapping[str, str]) -> str:
    """Start a live session of the talkinghead server; its number."""
    body = json.dumps({"anchor": anchor}).encode()
    asked = urllib.request.Request(
        f"{server}/api/sessions", body, {"Content-Type": "application/json", **headers}, method="POST"
    )
    with urllib.request.urlopen(asked) as answer:
        return str(json.load(answer)["session"])


async def converse(options: argparse.Namespace, api_key: str, microphone: BinaryIO) -> None:
    """Run until the model or the server goes away. The end of the microphone ends nothing: an answer may be due."""
    token = options.token_file.read_text().splitlines()[0] if options.token_file else ""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    number = await asyncio.to_thread(open_session, options.server, options.anchor, headers)
    print(f"{options.server}/api/sessions/{number}/hls/live.m3u8", flush=True)
    socket = f"ws{options.server.removeprefix('http')}/api/sessions/{number}/realtime"
    async with (
        connect(options.model, additional_headers={"Authorization": f"Bearer {api_key}"}, max_size=None) as model,
        connect(socket, additional_headers=headers) as anchor,
    ):
        await model.send(json.dumps(session_update(options.instructions)))
        speaking = asyncio.create_task(microphone_to_model(listen(microphone), model))
        both = [
            asyncio.create_task(model_to_anchor(model, anchor)),
            asyncio.create_task(anchor_to_model(anchor, model)),
        ]
        _, going = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in (*going, speaking):
            task.cancel()
        for task in (*both, speaking):
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await task


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="A talkinghead anchor as the face of an OpenAI Realtime agent.")
    parser.add_argument("--anchor", default="henrik", help="name of an anchor that the server has")
    parser.add_argument("--server", default=SERVER_ADDRESS, help="address of `talkinghead serve`")
    parser.add_argument("--token-file", type=Path, help="the server's token file, where it has one")
    parser.add_argument("--model", default=MODEL_ADDRESS, help="address of the Realtime API, with the model")
    parser.add_argument("--instructions", default="Answer in one or two friendly sentences.", help="for the model")
    options = parser.parse_args(arguments)
    api_key = os.environ.get("OPENAI_API_KEY")
    if not api_key:
        parser.error("put the key of the Realtime API into the environment variable OPENAI_API_KEY")
    with suppress(KeyboardInterrupt):
        asyncio.run(converse(options, api_key, sys.stdin.buffer))


if __name__ == "__main__":
    main()

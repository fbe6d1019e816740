"""The live part of the studio's page in Chromium, and what it shows: the mouth's pixels and the audio, on one clock.

The page takes a small gray picture of the mouth of every frame that it presents (requestVideoFrameCallback), and the
level of the audio of the same stream (a WebAudio analyser) every few milliseconds; both have the time of the page,
milliseconds from its navigation on.
"""

from __future__ import annotations

import base64
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page, Response

from talkinghead.server.job_process import mouth_box

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--autoplay-policy=no-user-gesture-required")
PICTURE_PX = (48, 64)
"""Height and width of a small picture."""
SHIFT_PX = 2
"""By which a picture may be shifted to be compared, pixels."""
PROBE = """
([selector, [left, top, wide, high]]) => {
  const video = document.querySelector(selector);
  const canvas = new OffscreenCanvas(64, 48).getContext("2d", { willReadFrequently: true });
  const probe = window.probe = { frames: [], sounds: [] };
  const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
  function look(now, { mediaTime, presentedFrames }) {
    const at = performance.now();
    const { videoWidth: w, videoHeight: h } = video;
    canvas.drawImage(video, left * w, top * h, wide * w, high * h, 0, 0, 64, 48);
    const pixels = canvas.getImageData(0, 0, 64, 48).data;
    const gray = new Uint8Array(64 * 48);
    for (let i = 0; i < gray.length; i++)
      gray[i] = (77 * pixels[4 * i] + 150 * pixels[4 * i + 1] + 29 * pixels[4 * i + 2]) >> 8;
    probe.frames.push([at, mediaTime, presentedFrames, base64(gray)]);
    video.requestVideoFrameCallback(look);
  }
  video.requestVideoFrameCallback(look);
  const context = new AudioContext({ latencyHint: "interactive" });
  const analyser = new AnalyserNode(context, { fftSize: 256 });
  context.createMediaStreamSource(video.srcObject ?? video.captureStream()).connect(analyser);
  const samples = new Float32Array(256);
  setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    probe.sounds.push([performance.now(), Math.max(...samples.map(Math.abs))]);
  }, 4);
}
"""
TAKE = """() => {
  const { frames, sounds } = window.probe;
  probe.frames = []; probe.sounds = [];
  return { frames, sounds };
}"""

NOTE_PEERS = """
window.peers = [];
window.RTCPeerConnection = new Proxy(RTCPeerConnection, {
  construct(made, given) { peers.push(new made(...given)); return peers.at(-1); },
});
"""
BUFFERED = """async () => {
  const found = {};
  for (const one of (await peers.at(-1).getStats()).values())
    if (one.type === "inbound-rtp") found[one.kind] = [one.jitterBufferDelay, one.jitterBufferEmittedCount, one.jitter];
  return found;
}"""


def find_browser() -> str | None:
    """Of Chromium; None where there is none."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@dataclass(frozen=True)
class Seen:
    """What the page presented: T frames and S levels of audio."""

    frame_ms: NDArray[np.float64]
    """(T,) when each was presented."""
    media_s: NDArray[np.float64]
    """(T,) its time in the stream."""
    mouths: NDArray[np.uint8]
    """(T, 48, 64) gray."""
    sound_ms: NDArray[np.float64]
    """(S,) when each was measured."""
    levels: NDArray[np.float64]
    """(S,) largest sample of the 5 ms before, of 1."""


class MouthAtRest:
    """What the mouth looks like while nobody speaks, wherever the head is: pictures to compare others with."""

    def __init__(self, idle: NDArray[np.uint8]) -> None:
        """Args: (T, 48, 64) pictures of seconds in which nobody spoke. Every second one is kept; by the others it is
        measured how far a mouth at rest is from those, and three times their median spread beyond the most of it is
        the `limit`."""
        self._kept = idle[::2, SHIFT_PX:-SHIFT_PX, SHIFT_PX:-SHIFT_PX].astype(np.float32)
        others = self.departure(idle[1::2])
        self.limit = float(others.max() + 3 * np.median(np.abs(others - np.median(others))) + 0.3)

    def departure(self, mouths: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(T,) mean difference from the most alike of those pictures, shifted by up to `SHIFT_PX`, gray levels."""
        height, width = PICTURE_PX
        apart = np.full((len(mouths), len(self._kept)), np.inf)
        for down in range(2 * SHIFT_PX + 1):
            for right in range(2 * SHIFT_PX + 1):
                part = mouths[:, down : height - 2 * SHIFT_PX + down, right : width - 2 * SHIFT_PX + right]
                for place, one in enumerate(part.astype(np.float32)):
                    apart[place] = np.minimum(apart[place], np.abs(self._kept - one).mean((1, 2)))
        return apart.min(1) if len(mouths) else np.zeros(0)

    def moves(self, mouths: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """(T,) whether a mouth is not at rest."""
        return self.departure(mouths) > self.limit


def lips_box(anchor: Path) -> list[float]:
    """Where the lips of an ANCHOR are: left, top, width, height, as shares of the frame. They are in the middle half of
    what its network draws."""
    left, top, width, height = mouth_box(anchor)
    return [left + 0.22 * width, top + 0.17 * height, 0.56 * width, 0.5 * height]


def begin_to_watch(page: Page, video: str, lips: list[float]) -> None:
    """Take pictures of the lips and levels of the audio of a video element from now on.

    Args: the page; selector of the element; see `lips_box`.
    """
    page.evaluate(PROBE, [video, lips])


def taken(page: Page) -> Seen:
    """What came since this was asked for last."""
    got: dict[str, Any] = page.evaluate(TAKE)
    frames, sounds = got["frames"], np.array(got["sounds"], np.float64).reshape(-1, 2)
    mouths = [np.frombuffer(base64.b64decode(one[3]), np.uint8).reshape(PICTURE_PX) for one in frames]
    table = np.array([one[:2] for one in frames], np.float64).reshape(-1, 2)
    pictures = np.stack(mouths) if mouths else np.zeros((0, *PICTURE_PX), np.uint8)
    return Seen(table[:, 0], table[:, 1], pictures, sounds[:, 0], sounds[:, 1])


class LivePage:
    """The live part of a studio's page."""

    def __init__(self, page: Page, address: str, anchor: str | Path = "presenter") -> None:
        """Args: the browser's page; address of the server; the ANCHOR, whose mouth is looked at."""
        self.page, self._address = page, address
        self._lips = lips_box(Path(anchor))
        self.session = ""
        page.add_init_script(NOTE_PEERS)
        page.on("response", self._note)

    def _note(self, response: Response) -> None:
        if response.url.endswith("/api/sessions") and response.status == 201:
            self.session = str(response.json()["session"])

    def open(self) -> float:
        """Open the page and connect as soon as it can be; gives the milliseconds from the navigation to the first
        picture."""
        self.page.goto(f"{self._address}/#live")
        self.page.wait_for_selector("body[data-ready]", state="attached")
        return self._first_picture()

    def connect(self) -> float:
        """Connect; gives the milliseconds from the click to the first picture."""
        started_ms = float(self.page.evaluate("() => performance.now()"))
        return self._first_picture() - started_ms

    def _first_picture(self) -> float:
        return float(
            self.page.evaluate(
                """() => new Promise((resolve, reject) => {
                  document.querySelector("#live-video").requestVideoFrameCallback(() => resolve(performance.now()));
                  document.querySelector("#live-connect").click();
                  const said = () => document.querySelector("#notice").textContent;
                  setTimeout(() => reject(new Error(`No picture came. ${said()}`)), 15000);
                })"""
            )
        )

    def disconnect(self) -> None:
        self.page.click("#live-connect")
        self.page.wait_for_selector("#live-say[disabled]", state="attached")

    def watch(self) -> None:
        """Begin to take pictures of the mouth and levels of the audio."""
        begin_to_watch(self.page, "#live-video", self._lips)

    def take(self) -> Seen:
        """What came since this was asked for last."""
        return taken(self.page)

    def buffered(self) -> dict[str, list[float]]:
        """By `audio` and `video`: seconds that all samples or frames so far were held back, how many they are, and the
        jitter of their packets, seconds; by the browser itself."""
        return dict(self.page.evaluate(BUFFERED))

    def watch_for(self, seconds: float) -> Seen:
        """What comes in the next seconds."""
        self.take()
        time.sleep(seconds)
        return self.take()

    def say(self, text: str) -> float:
        """Send a text by the page's form; gives when, in milliseconds of the page."""
        return float(
            self.page.evaluate(
                """(text) => {
                  document.querySelector("#live-text").value = text;
                  const at = performance.now();
                  document.querySelector("#live-form").requestSubmit();
                  return at;
                }""",
                text,
            )
        )

    def interrupt(self) -> float:
        """Press the button; gives when, in milliseconds of the page."""
        return float(
            self.page.evaluate(
                """() => {
                  const at = performance.now();
                  document.querySelector("#live-interrupt").click();
                  return at;
                }"""
            )
        )

    def push(self, pcm: bytes, rate_hz: int, block_s: float, lead_s: float) -> float:
        """Send 16 bit PCM over the session's WebSocket in blocks, in real time; gives when the block with the sample at
        `lead_s` was sent, in milliseconds of the page, at once: it goes on until all is sent."""
        return float(
            self.page.evaluate(
                """async ([session, pcm, rate, block, lead]) => {
                  const bytes = Uint8Array.from(atob(pcm), (one) => one.charCodeAt(0));
                  const size = 2 * Math.round(block * rate);
                  const socket = new WebSocket(`ws://${location.host}/api/sessions/${session}/socket`);
                  await new Promise((resolve) => socket.addEventListener("open", resolve));
                  socket.send(JSON.stringify({ type: "audio", rate }));
                  const started = performance.now();
                  let place = 0;
                  return new Promise((resolve) => {
                    const timer = setInterval(() => {
                      while (1000 * block * place <= performance.now() - started) {
                        if (place * size >= bytes.length) {
                          socket.send(JSON.stringify({ type: "end" }));
                          clearInterval(timer);
                          setTimeout(() => socket.close(), 5000);
                          return;
                        }
                        if (place === Math.floor(lead / block)) resolve(performance.now());
                        socket.send(bytes.slice(place * size, ++place * size));
                      }
                    }, 4);
                  });
                }""",
                [self.session, base64.b64encode(pcm).decode(), rate_hz, block_s, lead_s],
            )
        )

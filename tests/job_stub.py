"""A process that does jobs as `talkinghead.server.job_process` does, at once."""

import json
import signal
import sys
import time
from pathlib import Path


def stop(*_: object) -> None:
    print(json.dumps({"event": "interrupted", "message": "Saved."}), flush=True)
    sys.exit(130)


def main() -> None:
    signal.signal(signal.SIGTERM, stop)
    spec = json.loads(sys.stdin.readline())
    print(json.dumps({"event": "progress", "share": 0.5, "step": 1}), flush=True)
    if spec["text"] == "crash":
        sys.stderr.write("out of luck\n")
        sys.exit(1)
    if spec["text"] == "fail":
        print(json.dumps({"event": "failed", "message": "It cannot be."}), flush=True)
        sys.exit(1)
    if spec["text"] == "noise":
        print("no JSON", flush=True)
    marker = Path(spec["output"]).with_suffix(".begun")
    if spec["text"] == "wait" and not marker.exists():
        marker.touch()
        time.sleep(60)
    Path(spec["output"]).write_bytes(b"a video")
    print(json.dumps({"event": "done", "result": {"output": spec["output"], "frames": 3}}), flush=True)


if __name__ == "__main__":
    main()

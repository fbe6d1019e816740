"""A process that checks clips as `talkinghead check --json` does, at once: by the name under which one was uploaded."""

import json
import sys
from pathlib import Path

STATES = {"still.mp4": "problem", "good.mp4": "ok"}


def main() -> int:
    clip = Path(sys.argv[1])
    name = (clip.parent / "name.txt").read_text("utf-8")
    if name == "broken.mp4":
        sys.stderr.write(f"Error: {clip} cannot be decoded.\n")
        return 65
    state = STATES.get(name, "remark")
    advice = "" if state == "ok" else "take a clip in which the person speaks"
    row = {"name": "mouth opens", "state": state, "value": "lips part by 0.1 cm", "advice": advice}
    sound = {"name": "audio", "state": "ok", "value": "31 s of speech in the first minute", "advice": ""}
    print(json.dumps({"clip": str(clip), "state": state, "findings": [sound, row], "measured": {}}))
    return 1 if state == "problem" else 0


if __name__ == "__main__":
    sys.exit(main())

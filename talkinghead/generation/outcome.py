"""What the report of a video says about how much of it is new: shared by `generate` and `batch`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOSTLY_PASSED_THROUGH = 4
"""Exit code where a video is written, but more than half of its frames have their old mouth."""


def is_mostly_passed_through(report: Mapping[str, Any]) -> bool:
    """Whether more than half of a video's frames were passed through unchanged; `report` is that of `write_video`."""
    return 2 * (report.get("frames_passed_through") or 0) > (report.get("frames") or 0)


def describe_passed_through(report: Mapping[str, Any]) -> str:
    """How many frames were passed through and why, as a sentence; empty where none was."""
    if not report.get("frames_passed_through"):
        return ""
    reasons = ", ".join(f"{reason}: {count}" for reason, count in (report.get("passed_through") or {}).items())
    what = "most of the video has its old mouth" if is_mostly_passed_through(report) else "they have their old mouth"
    what = f"{what} ({reasons})" if reasons else what
    return f"{report['frames_passed_through']} of {report['frames']} frames were passed through unchanged, {what}."

"""The registry of metrics, and what must agree with it: `Scores`, docs/evaluation.md, the tables."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from pathlib import Path

import pytest

from talkinghead.evaluation.needs import Need
from talkinghead.evaluation.pairs import Pair
from talkinghead.evaluation.registry import (
    BY_NAME,
    METRICS,
    NAMES,
    FromImages,
    FromMouthVideo,
    computed_from,
    not_measured,
)
from talkinghead.evaluation.results import Evaluation, PairScores
from talkinghead.evaluation.scores import Scores
from talkinghead.evaluation.tables import as_csv, as_json, not_measured_line, score_rows
from talkinghead.metrics.networks import CVVDP, IDENTITY, METRIC_NETWORKS, ST_LPIPS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text("utf-8")


def section(heading: str) -> str:
    """The text of docs/evaluation.md from a heading to the next one of its level."""
    _, _, after = DOCUMENT.partition(f"\n## {heading}\n")
    return after.partition("\n## ")[0]


def test_scores_has_a_field_for_each_metric_in_order() -> None:
    assert tuple(field.name for field in fields(Scores)) == NAMES
    assert len(set(NAMES)) == len(NAMES)


def test_the_table_of_the_document_is_the_registry() -> None:
    lines = [line.strip("| ").split(" | ") for line in section("The metrics").splitlines() if line.startswith("| `")]
    assert lines == [
        [
            f"`{metric.name}`",
            metric.unit or "none",
            metric.best or "-",
            ", ".join(metric.needs) or "-",
            "yes" if metric.blind_to_sync else "-" if metric.is_count else "no",
        ]
        for metric in METRICS
    ]


def test_every_metric_is_defined_in_the_document() -> None:
    headings = re.findall(r"^### (.*)$", DOCUMENT, re.MULTILINE)
    defined = {name for heading in headings for name in re.findall(r"`(\w+)`", heading)}
    assert defined == {metric.name for metric in METRICS if not metric.is_count}


def test_every_metric_is_in_tables_json_and_csv() -> None:
    whole = Scores(**dict.fromkeys(NAMES, 1.0))
    found = Evaluation((PairScores(Pair(Path("a.mp4")), whole, {}, (), {}, None, {}),))
    # FID is computed over the images of all clips, of which there are none.
    titles = [metric.title for metric in METRICS if metric.name != "fid"]
    assert [row[0].rstrip("†") for row in score_rows(found)] == titles
    assert not_measured_line(found) == "not measured: fid"
    assert set(NAMES) <= set(as_json(found)["pairs"][0])
    assert as_csv(found).splitlines()[0].split(",")[3:] == list(NAMES)


def test_identical_images_have_the_best_score() -> None:
    for metric, how in [*computed_from(FromImages), *computed_from(FromMouthVideo)]:
        assert metric.best == "high" or float(metric.best) == how.identical


def test_every_metric_network_is_needed_by_a_metric() -> None:
    needed = {need.value for metric in METRICS for need in metric.needs}
    assert {*METRIC_NETWORKS, IDENTITY, ST_LPIPS, CVVDP} <= needed
    assert needed == {need.value for need in Need}


def test_the_first_missing_need_is_the_reason() -> None:
    reasons = not_measured({Need.AUDIO: "no audio", Need.SYNCNET: "no network", Need.REFERENCE: "no reference"})
    assert (reasons["lse_d"], reasons["silence_motion"], reasons["lpips_full"]) == (
        "no network",
        "no audio",
        "no reference",
    )
    assert not {"closure_depth", "frames_total"} & reasons.keys()


@pytest.mark.parametrize(
    ("name", "value", "loss"), [("lmd_px", 2.0, 2.0), ("opening_r", 0.7, 0.3), ("lse_c", 5.0, -5.0)]
)
def test_loss_is_the_distance_from_the_best_value(name: str, value: float, loss: float) -> None:
    assert BY_NAME[name].loss(value) == pytest.approx(loss)
    assert math.isnan(BY_NAME["frames_total"].loss(value))


def test_the_headline_follows_from_the_study() -> None:
    """Each kind of damage moves a metric of the headline at every step, and each of those responds to some kind."""
    lines = [line for line in DOCUMENT.splitlines() if line.startswith("| ") and line.count("|") == 11]
    kinds, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line]
    bold = {row[0].strip("`"): [cell.startswith("**") for cell in row[1:]] for row in rows}
    shown = {metric.name for metric in METRICS if metric.heading}
    assert len(kinds) == 10 and len(bold) >= 20
    assert shown - bold.keys() == {"lse_d", "lse_c"}
    assert all(any(bold[name]) for name in shown & bold.keys())
    general = {name for name in bold if all(bold[name])}
    assert {"lmd_px", "psnr_mouth_db", "ssim_mouth"} <= general & shown
    without_general = [any(bold[name][kind] for name in (shown & bold.keys()) - general) for kind in range(9)]
    assert [kind for kind, seen in zip(kinds[1:], without_general, strict=True) if not seen] == [
        "frozen for, frames 2, 5, 25, all"
    ]
    assert not any(bold["ssim_full"]) and "ssim_full" not in shown

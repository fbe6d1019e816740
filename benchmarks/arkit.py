"""The map between ARKit's blendshapes and expressions, on a computed person that it was not fitted to.

    python benchmarks/arkit.py [--ict FILE]

The map is fitted to each of the two people of data/presenter and measured on the other, whose ARKit weights are known.
The shipped map, which is fitted to both, is measured beside them: it has seen the people, so its numbers are no proof.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from harness import print_report

from talkinghead.face.face_model import load_face_model
from talkinghead.generation.blendshapes.mapping import FILE, load_map
from talkinghead.generation.blendshapes.names import MOUTH_SHAPES
from talkinghead.training.arkit.accuracy import Accuracy, accuracy
from talkinghead.training.arkit.fit import fit_map
from talkinghead.training.arkit.ict_face import load_ict_face
from talkinghead.training.arkit.performer import load_performer
from talkinghead.weights.bundled import checkpoint_path

ROOT = Path(__file__).parents[1]
NAMES = ("presenter", "henrik")
DEFAULT_ICT = ROOT.parent / "shared" / "models" / "ict_facekit.npz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ict", type=Path, default=Path(os.environ.get("TALKINGHEAD_ICT", DEFAULT_ICT)))
    options = parser.parse_args()
    head = load_ict_face(options.ict)
    model = load_face_model(checkpoint_path("face_model.safetensors"))
    people = {name: load_performer(ROOT / "data" / "presenter" / f"{name}.mp4", model, head) for name in NAMES}
    shipped, _ = load_map(checkpoint_path(FILE))
    found = []
    for name in NAMES:
        others = [person for other, person in people.items() if other != name]
        found.append(accuracy(fit_map(others, head, model), people[name], model))
    found += [accuracy(shipped, people[name], model) for name in NAMES]
    headings = ["", "target", *(f"{name}, fitted to the other" for name in NAMES), *(f"{n}, shipped" for n in NAMES)]
    print_report("data/presenter", headings, _rows(found))
    print()
    used = [name for name in MOUTH_SHAPES if all(name in one.shapes_r for one in found)]
    print_report("data/presenter", ["r of", "", *headings[2:]], [_shape_row(name, found) for name in used])


def _rows(found: list[Accuracy]) -> list[list[str]]:
    """One row for each target, with its value for each accuracy."""
    return [
        ["export: median r over mouth shapes", ">= 0.70", *(f"{one.median_r:.2f}" for one in found)],
        ["export: r of jawOpen", ">= 0.90", *(f"{one.shapes_r['jawOpen']:.2f}" for one in found)],
        ["import: r of the lips' gap", ">= 0.95", *(f"{one.opening_r:.3f}" for one in found)],
        ["import: ratio of its deviations", "0.9-1.1", *(f"{one.opening_ratio:.2f}" for one in found)],
        ["import: lips off the true ones, mm", "<= 0.8", *(f"{one.lips_mm:.2f}" for one in found)],
        ["import: lips off the measured ones, mm", "", *(f"{one.lips_off_measured_mm:.2f}" for one in found)],
        ["weights there and back: lips, mm", "<= 0.7", *(f"{one.weights_there_and_back_mm:.2f}" for one in found)],
        ["measured there and back: lips, mm", "<= 0.7", *(f"{one.measured_there_and_back_mm:.2f}" for one in found)],
        ["measured lips off rest, mm", "", *(f"{one.measured_motion_mm:.2f}" for one in found)],
    ]


def _shape_row(name: str, found: list[Accuracy]) -> list[str]:
    return [name, "", *(f"{one.shapes_r[name]:.2f}" for one in found)]


if __name__ == "__main__":
    main()

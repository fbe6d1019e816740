"""Names of MediaPipe's face landmark numbers.

Left and right are the person's own, as in ARKit: the right corner of the mouth is on the left of an unmirrored image.
"""

from __future__ import annotations

MESH_VERTICES = 468
"""Vertices of MediaPipe's face mesh: the first 468 of the 478 landmarks, in the same order."""

UPPER_LIP, LOWER_LIP = 13, 14
"""Middle of the inner border of either lip."""
UPPER_LIP_OUTER, LOWER_LIP_OUTER = 0, 17
"""Middle of the outer border of either lip."""
RIGHT_CORNER, LEFT_CORNER = 61, 291
"""Corners of the mouth, on the outer border of the lips."""
RIGHT_CHEEK, LEFT_CHEEK = 234, 454
"""Sides of the face oval; the distance between them is the face width."""
RIGHT_EYE, LEFT_EYE = 33, 263
"""Outer corners of the eyes; the distance between them is the inter-ocular distance."""
RIGHT_EYE_INNER, LEFT_EYE_INNER = 133, 362
"""Inner corners of the eyes."""
NOSE_BASE, CHIN = 2, 152
"""Where the nose meets the upper lip; the tip of the chin."""

INNER_LIP_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
"""Inner border of the upper lip, from the right corner to the left one."""
INNER_LIP_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
"""Inner border of the lower lip, from the right corner to the left one; the corners are those of the upper lip."""

# fmt: off
MOUTH_LANDMARKS: tuple[int, ...] = (
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91,  # 48-59: outer lips, from the right corner, clockwise
    78, 81, 13, 311, 308, 402, 14, 178,                  # 60-67: inner lips, in the same order
)
"""MediaPipe's counterparts of the mouth in the 68-point convention (48-67), chosen at the same fraction of the distance
from corner to corner as the 68 points of the ICT face model."""
JAW_LANDMARKS: tuple[int, ...] = (172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397)
"""The jaw line from below the right ear to below the left one; 152 is the tip of the chin."""
RIGID_LANDMARKS: tuple[int, ...] = (
    10, 67, 297, 54, 284, 151, 9, 127, 356,              # forehead and temples
    33, 133, 362, 263, 168, 6, 197, 195,                 # corners of the eyes, bridge of the nose
)
"""Landmarks that speech does not move, by which metrics align the head."""
# fmt: on

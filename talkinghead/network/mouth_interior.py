"""The inside of the mouth: teeth that stay where they are while the lips move.

The mesh stretches a membrane between the inner lips, on which a texture moves with them. Behind it lie two sheets, bent
like rows of teeth, each with a static texture of its own: the upper one is rigid with the skull, the lower one with the
jaw. What of them is seen through the opening of the lips is added to the rendered texture of the membrane, so the
decoder gets no more channels, and what the expression changes is left to the membrane.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from talkinghead.device import full_precision
from talkinghead.face.face_model import PersonFace
from talkinghead.face.topology import INNER_LIP_LOWER, INNER_LIP_UPPER
from talkinghead.network.local_modeller import LocalCoefficients
from talkinghead.network.rasterize import Backend, rasterize

HALF_SIZE_CM = (3.4, 2.4)
"""Half width and half height of a sheet: more than any mouth shows."""
TEXELS = (64, 96)
"""Rows and columns of a sheet's texture."""
DEPTHS_CM = (-0.7, -0.8)
"""Depth of the middle of the upper and of the lower sheet against the lips at rest, before training."""
CURVATURE = 0.12
"""How a sheet falls back from its middle, per cm, before training: the depth at x is that of the middle - this x^2."""
CHIN = (148, 152, 377, 176, 400)
"""Landmarks that move with the jaw."""


class MouthInterior(nn.Module):
    """Two textured sheets behind the lips, seen through their opening."""

    middle: Tensor
    """(3,) cm, the middle of the inner lips at rest."""
    opening: Tensor
    """(F, 3) vertex numbers of the triangles between the inner lips."""
    lips: Tensor
    """(2, L) vertex numbers of the inner border of the upper lip and of the lower one, from corner to corner."""

    def __init__(self, face: PersonFace, channels: int, backend: Backend | None = None) -> None:
        """Build it with textures that are nearly empty.

        Args:
            face: the person's.
            channels: C of the rendered texture.
            backend: of the rasterizer; None chooses the fastest for the device.
        """
        super().__init__()
        model = face.model
        lips = np.array([[model.local_index[point] for point in lip] for lip in (INNER_LIP_UPPER, INNER_LIP_LOWER)])
        between = np.isin(model.triangles, lips).all(1)
        self.register_buffer("middle", torch.from_numpy(face.local_neutral[lips].mean((0, 1))), persistent=False)
        self.register_buffer("opening", torch.from_numpy(model.triangles[between]), persistent=False)
        self.register_buffer("lips", torch.from_numpy(lips), persistent=False)
        # Colors begin at 0, see `LocalImageGenerator`; the last channel is the logit of the sheet's opacity. The upper
        # sheet is opaque above and clear below, where the lower one shows.
        self.upper, self.lower = (nn.Parameter(torch.randn(channels + 1, *TEXELS) * 0.05) for _ in range(2))
        for sheet in (self.upper, self.lower):
            sheet.data[:3] = 0.0
        self.upper.data[-1] = torch.linspace(2, -2, TEXELS[0])[:, None]
        self.lower.data[-1] = 1.0
        # The jaw begins with the mean movement of the chin: (3, K) cm per standard deviation.
        chin = [model.local_index[point] for point in CHIN]
        self.jaw = nn.Parameter(torch.from_numpy(np.ascontiguousarray(model.reach_basis[:, chin].mean(1).T)))
        self.form = nn.Parameter(torch.tensor([[depth, CURVATURE] for depth in DEPTHS_CM]))
        self.backend = backend

    def forward(self, rendered: Tensor, coefficients: LocalCoefficients, vertices_px: Tensor) -> Tensor:
        """Add what is seen of the sheets to a rendered texture.

        Args:
            rendered: (B, C + 5, H, W), see `TextureRenderer`; its first C channels are changed in place.
            coefficients: of the B crops.
            vertices_px: (B, V, 3), see `LocalModeller`.

        Returns:
            `rendered`.
        """
        box = self._box(vertices_px, rendered.shape[-2], rendered.shape[-1])
        if box is None:
            return rendered
        top, bottom, left, right = box
        with full_precision(rendered.device):
            inside = self._visible(vertices_px, box) * self._teeth(coefficients, box)
            rendered[:, : inside.shape[1], top:bottom, left:right] += inside
        return rendered

    def _teeth(self, coefficients: LocalCoefficients, box: tuple[int, int, int, int]) -> Tensor:
        """What a box would show without lips: the upper sheet before the lower one, (B, C, h, w)."""
        still = torch.zeros_like(self.middle)
        upper = self._sample(self.upper, self.sheet_coordinates(0, still, coefficients, box))
        jaw = coefficients.expression @ self.jaw.T
        lower = self._sample(self.lower, self.sheet_coordinates(1, jaw, coefficients, box))
        front, back = torch.sigmoid(upper[:, -1:]), torch.sigmoid(lower[:, -1:])
        return front * upper[:, :-1] + (1 - front) * back * lower[:, :-1]

    def sheet_coordinates(
        self, layer: int, moved_cm: Tensor, coefficients: LocalCoefficients, box: tuple[int, int, int, int]
    ) -> Tensor:
        """Where the line of sight of each pixel of a box meets a sheet, (B, h, w, 2) in [-1, 1] within the sheet.

        Args:
            layer: 0 for the upper sheet, 1 for the lower one.
            moved_cm: (3,) or (B, 3) translation of the sheet in the head's axes.
            coefficients: of the B crops.
            box: top, bottom, left and right of the box, px.
        """
        top, bottom, left, right = box
        rotation, scale, translation = coefficients.rotation, coefficients.scale, coefficients.translation
        y = torch.arange(top, bottom, device=scale.device) + 0.5
        x = torch.arange(left, right, device=scale.device) + 0.5
        pixel = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=-1)  # (h, w, 2)
        # Undo the camera: from px of the crop (y down) to cm in the axes of the view (y up).
        view = (pixel - translation[:, None, None]) / scale[:, None, None, None] * pixel.new_tensor([1.0, -1.0])
        origin = (self.middle + moved_cm).expand(len(scale), 3)
        depth, curvature = self.form[layer]
        # A point of the head (x, y, z) is seen at A (x, y) + b z, which is solved for x and y at the sheet's depth z;
        # that depends on x in turn, so it is first taken at the sheet's middle.
        inverse = torch.linalg.inv(rotation[:, :2, :2])
        flat = torch.einsum("bij,bhwj->bhwi", inverse, view) - origin[:, None, None, :2]
        per_depth = torch.einsum("bij,bj->bi", inverse, rotation[:, :2, 2])[:, None, None]
        z = (origin[:, 2] + depth)[:, None, None, None]
        across = (flat - per_depth * z)[..., :1]
        met = flat - per_depth * (z - curvature * across**2)
        return met / met.new_tensor([HALF_SIZE_CM[0], -HALF_SIZE_CM[1]])

    def _sample(self, sheet: Tensor, where: Tensor) -> Tensor:
        textures = sheet.float().expand(len(where), -1, -1, -1)
        return functional.grid_sample(textures, where, align_corners=False, padding_mode="border")

    def _visible(self, vertices_px: Tensor, box: tuple[int, int, int, int]) -> Tensor:
        """How much of each pixel of a box lies between the lips, (B, 1, h, w) in [0, 1], with a soft edge."""
        top, bottom, left, right = box
        shifted = vertices_px - vertices_px.new_tensor([left, top, 0])
        # Where lips overlap nothing is seen; the triangles between them would be turned over, and drawn all the same.
        lips = shifted[:, self.lips]  # (B, 2, L, 3)
        overlap = lips[:, :1, :, 1:2] > lips[:, 1:, :, 1:2]
        shifted[:, self.lips] = torch.where(overlap, lips.mean(1, keepdim=True), lips)
        ones = torch.ones_like(vertices_px[0, :, :1])
        _, covered = rasterize(shifted, self.opening, ones, bottom - top, right - left, self.backend)
        return functional.avg_pool2d(covered, 3, stride=1, padding=1)

    @torch.no_grad()
    def _box(self, vertices_px: Tensor, height: int, width: int) -> tuple[int, int, int, int] | None:
        """Top, bottom, left and right of the pixels that hold the inner lips of all crops; None if there are none."""
        lips = vertices_px[:, self.lips, :2]
        low, high = lips.amin((0, 1, 2)).floor() - 2, lips.amax((0, 1, 2)).ceil() + 2
        edges = low.new_tensor([width, height])
        left, top = torch.minimum(low.clamp(min=0), edges).int().tolist()
        right, bottom = torch.minimum(high.clamp(min=0), edges).int().tolist()
        return (top, bottom, left, right) if bottom > top and right > left else None

"""Local modelling layer: reconstruction coefficients -> mesh of the local region."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from talkinghead.device import full_precision, to_device


@dataclass(frozen=True)
class LocalCoefficients:
    """Target local reconstruction coefficients of B crops, but for the identity, which is part of the modeller."""

    expression: Tensor
    """(B, K) float32, in standard deviations."""
    rotation: Tensor
    """(B, 3, 3) float32 rotation matrices from the model's axes to those of the crop, y up."""
    translation: Tensor
    """(B, 2) float32, crop pixels: projection of the model's origin."""
    scale: Tensor
    """(B,) float32, crop pixels per cm."""

    def to(self, device: torch.device) -> LocalCoefficients:
        """The same coefficients on another device."""
        parts = (self.expression, self.rotation, self.translation, self.scale)
        return LocalCoefficients(*(to_device(part, device) for part in parts))


class LocalModeller(nn.Module):
    """Linear face model and scaled orthographic camera, without trained weights."""

    neutral: Tensor
    """(V, 3) cm."""
    basis: Tensor
    """(K, V, 3) cm per standard deviation."""

    def __init__(self, neutral: Tensor, basis: Tensor) -> None:
        """Args: (V, 3) cm, the person's local region with expression 0; (K, V, 3) cm per standard deviation."""
        super().__init__()
        self.register_buffer("neutral", neutral, persistent=False)
        self.register_buffer("basis", basis, persistent=False)

    def forward(self, coefficients: LocalCoefficients) -> Tensor:
        """Mesh of each crop: (B, V, 3) float32; x, y in crop pixels, z in the same unit, smaller is nearer."""
        with full_precision(self.basis.device):
            shape = self.neutral + torch.einsum("bk,kvi->bvi", coefficients.expression, self.basis)  # (B, V, 3)
            rotated = torch.einsum("bij,bvj->bvi", coefficients.rotation, shape)
        # From the model's axes (y up, z towards the viewer) to the image's (y down, z away from the viewer).
        projected = rotated * shape.new_tensor([1.0, -1.0, -1.0]) * coefficients.scale[:, None, None]
        return torch.cat([projected[..., :2] + coefficients.translation[:, None], projected[..., 2:]], dim=-1)

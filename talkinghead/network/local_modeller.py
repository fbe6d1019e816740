"""Local modelling layer: reconstruction coefficients -> mesh of the local region."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from talkinghead.device import to_device


@dataclass(frozen=True)
class LocalCoefficients:
    """Target local reconstruction coefficients of B crops; the identity lives in the modeller."""

    expression: Tensor
    """(B, K) float32, in standard deviations."""
    rotation: Tensor
    """(B, 3, 3) float32, head to crop."""
    translation: Tensor
    """(B, 2) float32, crop pixels: where the model's origin is seen."""
    scale: Tensor
    """(B,) float32, crop pixels per cm."""

    def to(self, device: torch.device) -> LocalCoefficients:
        """The same coefficients on another device."""
        parts = (self.expression, self.rotation, self.translation, self.scale)
        return LocalCoefficients(*(to_device(part, device) for part in parts))


class LocalModeller(nn.Module):
    """Linear face model and scaled orthographic camera. It has nothing to learn."""

    neutral: Tensor
    basis: Tensor

    def __init__(self, neutral: Tensor, basis: Tensor) -> None:
        """Args: neutral (V, 3) cm, the person's local region at rest; basis (K, V, 3) cm per standard deviation."""
        super().__init__()
        self.register_buffer("neutral", neutral, persistent=False)
        self.register_buffer("basis", basis, persistent=False)

    def forward(self, coefficients: LocalCoefficients) -> Tensor:
        """-> (B, V, 3) float32: x, y in crop pixels, z in the same unit, smaller is nearer."""
        shape = self.neutral + torch.einsum("bk,kvi->bvi", coefficients.expression, self.basis)
        turned = torch.einsum("bij,bvj->bvi", coefficients.rotation, shape)
        seen = turned * shape.new_tensor([1.0, -1.0, -1.0]) * coefficients.scale[:, None, None]
        return torch.cat([seen[..., :2] + coefficients.translation[:, None], seen[..., 2:]], dim=-1)

"""An opponent for the face update network: it learns to tell filled mouths from filmed ones, patch by patch.

Losses that compare pixel by pixel are least where the picture is the mean of all that it could be, which is a blur
wherever speech does not settle the detail. The opponent knows no truth to average; it knows what teeth look like.
Only the window around the mouth is shown to it, which is where the detail is, and a quarter of the work.
Source: patches, Isola et al. 2017; hinge loss, Lim and Ye 2017; feature matching, Wang et al. 2018.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from talkinghead.structures import FloatArray

SIDE_PX = 16
"""Windows are multiples of this."""


class PatchDiscriminator(nn.Module):
    """Four convolutions: a picture -> how filmed each of its patches, 46 px wide, looks."""

    def __init__(self, widths: tuple[int, ...] = (32, 64, 96)) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in zip((3, *widths), widths, strict=False)
        )
        self.judge = spectral_norm(nn.Conv2d(widths[-1], 1, 4, padding=1))

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 3, h, w) in [0, 1] -> (B, 1, y, x), high where it looks filmed, and the layers' outputs."""
        x = (image * 2 - 1).contiguous(memory_format=torch.channels_last)
        seen = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), 0.2)
            seen.append(x)
        return self.judge(x), seen


class Adversary:
    """The discriminator, its optimiser, and the losses of both sides."""

    def __init__(self, device: torch.device, learning_rate: float) -> None:
        self.discriminator = PatchDiscriminator().to(device)
        self.optimizer = torch.optim.AdamW(
            self.discriminator.parameters(), lr=learning_rate, betas=(0.5, 0.99), weight_decay=0.0, fused=True
        )

    def generator_loss(self, filmed: Tensor, made: Tensor, feature_weight: float) -> Tensor:
        """What the maker of a picture (B, 3, h, w) pays: for patches that look made, and layers that answer otherwise
        than to the filmed one."""
        self.discriminator.requires_grad_(False)
        with torch.no_grad():
            _, wanted = self.discriminator(filmed)
        verdict, seen = self.discriminator(made)
        self.discriminator.requires_grad_(True)
        matched = sum(
            (functional.l1_loss(a.float(), b.float()) for a, b in zip(seen, wanted, strict=True)), made.new_zeros(())
        )
        return -verdict.float().mean() + feature_weight * matched

    def learn(self, filmed: Tensor, made: Tensor) -> None:
        """One step of the discriminator on pictures (B, 3, h, w) of both kinds."""
        verdicts, _ = self.discriminator(torch.cat([filmed, made.detach()]))
        of_filmed, of_made = verdicts.float().chunk(2)
        loss = functional.relu(1 - of_filmed).mean() + functional.relu(1 + of_made).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


def mouth_windows(image: Tensor, mouth_px: FloatArray) -> Tensor:
    """Cut the window around each mouth, half the crop's sides: (B, 3, H, W), (B, 4) ellipses -> (B, 3, h, w)."""
    height, width = (SIDE_PX * max(2, round(side / 2 / SIDE_PX)) for side in image.shape[-2:])
    top = np.clip(np.round(mouth_px[:, 1] - height / 2), 0, image.shape[-2] - height).astype(int)
    left = np.clip(np.round(mouth_px[:, 0] - width / 2), 0, image.shape[-1] - width).astype(int)
    return torch.stack([one[:, y : y + height, x : x + width] for one, y, x in zip(image, top, left, strict=True)])

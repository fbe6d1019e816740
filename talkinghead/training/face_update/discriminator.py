"""A patch discriminator for the face update network: it learns to tell generated mouths from real ones.

Losses that compare pixel by pixel are least where the image is the mean of all that it could be, which is a blur
wherever the coefficients do not settle the detail. An adversarial loss asks for an image that looks real instead of
for the mean one. The discriminator sees the window around the mouth only, which is where the detail is, and a quarter
of the pixels.
Source: patches, Isola et al. 2017; hinge loss, Lim and Ye 2017; feature matching, Wang et al. 2018.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from talkinghead.structures import FloatArray

WINDOW_STEP_PX = 16
"""Heights and widths of mouth windows are multiples of this."""


class PatchDiscriminator(nn.Module):
    """Four convolutions: an image -> one logit for each of its patches, which are 46 px wide."""

    def __init__(self, widths: tuple[int, ...] = (32, 64, 96)) -> None:
        """`widths`: channels behind each of the convolutions but the last."""
        super().__init__()
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in zip((3, *widths), widths, strict=False)
        )
        self.logits = spectral_norm(nn.Conv2d(widths[-1], 1, 4, padding=1))

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 3, h, w) in [0, 1] -> logits (B, 1, y, x), high where it looks real, and the layers' features."""
        x = (image * 2 - 1).contiguous(memory_format=torch.channels_last)
        features = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.logits(x), features


class DiscriminatorTrainer:
    """The discriminator, its optimizer, and the losses of both sides."""

    def __init__(self, device: torch.device, learning_rate: float) -> None:
        self.discriminator = PatchDiscriminator().to(device)
        self.optimizer = torch.optim.AdamW(
            self.discriminator.parameters(), lr=learning_rate, betas=(0.5, 0.99), weight_decay=0.0, fused=True
        )

    def generator_loss(self, real: Tensor, generated: Tensor, feature_weight: float) -> Tensor:
        """The adversarial loss of the network that generates, with feature matching: a scalar.

        Args:
            real, generated: (B, 3, h, w) in [0, 1], the same frames.
            feature_weight: weight of the L1 distance between the discriminator's features of the two.
        """
        # Gradients go through the discriminator to the generated image, not into the discriminator's weights.
        self.discriminator.requires_grad_(False)
        with torch.no_grad():
            _, real_features = self.discriminator(real)
        logits, features = self.discriminator(generated)
        self.discriminator.requires_grad_(True)
        matching = sum(
            (functional.l1_loss(a.float(), b.float()) for a, b in zip(features, real_features, strict=True)),
            generated.new_zeros(()),
        )
        return -logits.float().mean() + feature_weight * matching

    def train_step(self, real: Tensor, generated: Tensor) -> None:
        """One step of the discriminator on images of both kinds, (B, 3, h, w) in [0, 1]."""
        logits, _ = self.discriminator(torch.cat([real, generated.detach()]))
        real_logits, generated_logits = logits.float().chunk(2)
        loss = functional.relu(1 - real_logits).mean() + functional.relu(1 + generated_logits).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


def mouth_windows(image: Tensor, mouth_px: FloatArray) -> Tensor:
    """Cut the window around each mouth, half the crop's sides: (B, 3, H, W), (B, 4) ellipses -> (B, 3, h, w).

    Args:
        image: crops.
        mouth_px: center x, y and half axes of each mouth, in pixels; where a mouth lies near the crop's edge, its
            window is moved inside.
    """
    height, width = (WINDOW_STEP_PX * max(2, round(side / 2 / WINDOW_STEP_PX)) for side in image.shape[-2:])
    top = np.clip(np.round(mouth_px[:, 1] - height / 2), 0, image.shape[-2] - height).astype(int)
    left = np.clip(np.round(mouth_px[:, 0] - width / 2), 0, image.shape[-1] - width).astype(int)
    return torch.stack([one[:, y : y + height, x : x + width] for one, y, x in zip(image, top, left, strict=True)])

"""The device and the number format that networks run in."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from talkinghead.errors import TalkingHeadError


def choose_device(name: str = "auto") -> torch.device:
    """The torch device of a name: auto (CUDA where there is a GPU, else the CPU), cpu, cuda or cuda:N.

    Raises:
        TalkingHeadError: the device is unknown or not available.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise TalkingHeadError(f"There is no device {name!r}; use auto, cpu or cuda.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise TalkingHeadError("There is no CUDA device; use --device cpu.")
    if device.type not in ("cpu", "cuda"):
        raise TalkingHeadError(f"Device {name!r} is not supported; use auto, cpu or cuda.")
    return device


@functools.cache
def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 on the device (CPU: AVX-512 BF16 or AMX; GPU: Ampere or later)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and bool(torch.cpu._is_avx512_bf16_supported())


def mixed_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Context of autocast to bfloat16 where that is faster, else a context that changes nothing."""
    if has_fast_bfloat16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Context of arithmetic in the tensors' own precision, within `mixed_precision` too.

    For geometry: bfloat16 has eight bits, which on a crop of 200 px is a step of a pixel.
    """
    return torch.autocast(device.type, enabled=False)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on the device; a copy to a GPU goes through pinned memory and does not block."""
    if device.type == "cuda" and tensor.is_cpu:
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)

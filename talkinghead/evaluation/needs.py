"""What a metric can need beside the output."""

from __future__ import annotations

from enum import StrEnum

from talkinghead.metrics.networks import CVVDP as CVVDP_PROGRAM
from talkinghead.metrics.networks import FID as FID_NETWORK
from talkinghead.metrics.networks import IDENTITY as IDENTITY_NETWORK
from talkinghead.metrics.networks import LPIPS as LPIPS_NETWORK
from talkinghead.metrics.networks import ST_LPIPS as ST_LPIPS_NETWORK
from talkinghead.metrics.networks import SYNCNET as SYNCNET_NETWORK


class Need(StrEnum):
    """Something without which a metric cannot be measured; a metric network has its own name here."""

    REFERENCE = "reference"
    TWIN = "twin"
    SYNCNET = SYNCNET_NETWORK.name
    LPIPS = LPIPS_NETWORK.name
    FID = FID_NETWORK.name
    IDENTITY = IDENTITY_NETWORK
    ST_LPIPS = ST_LPIPS_NETWORK
    CVVDP = CVVDP_PROGRAM
    AUDIO = "audio"
    AUDIO_LAG = "audio lag"
    VOICE_ACTIVITY = "voice activity"
    PHONE_TIMES = "phone times"

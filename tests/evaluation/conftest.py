"""What the tests of evaluation share: faces without a landmark model, and no metric networks."""

from __future__ import annotations

import pytest
from synthetic_clips import synthetic_track

from talkinghead.evaluation import clip, evaluate
from talkinghead.metrics.networks import CVVDP, IDENTITY, METRIC_NETWORKS, ST_LPIPS, MetricNetworks

NO_NETWORKS = MetricNetworks(
    missing={
        **{name: network.how_to_get for name, network in METRIC_NETWORKS.items()},
        **dict.fromkeys((IDENTITY, ST_LPIPS, CVVDP), "not installed"),
    }
)


@pytest.fixture
def synthetic_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Synthetic clips get the landmarks they were drawn for, and no metric network is installed."""
    monkeypatch.setattr(clip, "track_file", synthetic_track)
    monkeypatch.setattr(evaluate, "load_metric_networks", lambda: NO_NETWORKS)

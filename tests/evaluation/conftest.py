"""What the tests of evaluation share: faces without a landmark model, and no metric network."""

from __future__ import annotations

import pytest
from made_clips import made_track

from talkinghead.evaluation import clip, evaluate
from talkinghead.metrics.networks import Judges

NO_JUDGES = Judges(missing={"lse_d": "needs syncnet_v2"})


@pytest.fixture
def made_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip, "track_file", made_track)
    monkeypatch.setattr(evaluate, "load_judges", lambda: NO_JUDGES)

"""A server whose anchor is drawn, so that it answers at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("aiortc", reason="needs talkinghead[serve]")

from drawn_performer import DrawnPerformer
from served import BASE, TOKEN, drawn_service
from starlette.testclient import TestClient

from talkinghead.server.app import make_app
from talkinghead.server.config import ServerConfig
from talkinghead.server.service import Service


@pytest.fixture
def performer() -> DrawnPerformer:
    return DrawnPerformer(most=3)


@pytest.fixture
def service(tmp_path: Path, performer: DrawnPerformer) -> Service:
    return drawn_service(ServerConfig(folder=tmp_path / "studio"), performer)


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with TestClient(make_app(service.config, service), base_url=BASE) as client:
        yield client


@pytest.fixture
def guarded(tmp_path: Path, performer: DrawnPerformer) -> Iterator[Callable[[], TestClient]]:
    """Makes clients of a server that asks for a token."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    config = ServerConfig(folder=tmp_path / "studio", token_file=tmp_path / "token", allow_host="studio.example.org")
    service = drawn_service(config, performer)
    app = make_app(config, service)
    yield lambda: TestClient(app, base_url=BASE)
    service.sessions.close_all()

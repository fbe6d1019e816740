"""The programming interface as a whole: it is described as it is, and no request breaks it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Route
from starlette.testclient import TestClient

from talkinghead.server.app import make_app
from talkinghead.server.openapi import OPERATIONS, document
from talkinghead.server.service import Service

UNDESCRIBED = {"/", "/login", "/docs", "/openapi.json", "/api/sessions/{number}/close"}
"""Pages, and what only the page asks for."""
FIELDS = (
    "anchor",
    "text",
    "voice",
    "options",
    "recording",
    "clip",
    "name",
    "consent",
    "minutes",
    "steps",
    "sdp",
    "codec",
)
FIELDS += ("type", "sessionid", "interrupt", "avatar", "title", "despite_problems", "speaking", "table", "recordings")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ASKED = [(one.method.upper(), one.path) for one in OPERATIONS]


def test_every_route_is_described(service: Service) -> None:
    routes = {
        (method, route.path)
        for route in make_app(service.config, service).routes
        if isinstance(route, Route) and route.path not in UNDESCRIBED
        for method in (route.methods or ())
        if method != "HEAD"
    }
    assert routes == set(ASKED)


def test_the_description_is_shown(client: TestClient) -> None:
    assert client.get("/openapi.json").json() == json.loads(json.dumps(document()))
    page = client.get("/docs").text
    assert all(one.path in page for one in OPERATIONS)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.sampled_from(ASKED),
    number=st.sampled_from(["1", "x", "..", "%2e%2e", "clips", "0" * 400, "٣", "-1"]),
    body=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=5) | VALUES,
)
def test_no_request_breaks_the_server(client: TestClient, asked: tuple[str, str], number: str, body: Any) -> None:
    method, path = asked
    for name in ("number", "kind", "key", "file"):
        path = path.replace(f"{{{name}}}", number)
    content = json.dumps(body, allow_nan=True).encode("utf-8", "surrogatepass")
    answer = client.request(method, path, content=content)
    assert answer.status_code < 500
    if answer.status_code >= 400 and answer.headers.get("content-type") == "application/json":
        assert answer.json()["error"]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"NaN", b'{"text": "\\ud800"}', b'{"a": 1e999}', b"null", b'"text"'])
def test_json_that_is_odd_breaks_nothing(content: bytes, client: TestClient) -> None:
    number = client.post("/api/sessions", json={}).json()["session"]
    for path in ("say", "offer"):
        assert 400 <= client.post(f"/api/sessions/{number}/{path}", content=content).status_code < 500
    for path in ("/api/videos", "/api/trainings", "/api/speech"):
        assert 400 <= client.post(path, content=content).status_code < 500
    assert client.post("/human", content=content).json()["code"] == -1

"""The page that asks a browser for the token, and keeps it in a cookie that scripts cannot read."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from talkinghead.server.security import COOKIE, LOGIN_PATH, is_same

LARGEST_FORM_BYTES = 4096
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>talkinghead</title><link rel="stylesheet" href="/static/style.css">
<main><h1>talkinghead</h1>
<form method="post"><label>Token <input name="token" type="password" autofocus autocomplete="current-password"></label>
<button>Open the studio</button></form><p role="alert">{message}</p></main></html>
"""


def routes(token: str | None) -> list[BaseRoute]:
    """The routes of the page; without a token there is nothing to ask for."""

    async def show(request: Request) -> Response:
        return RedirectResponse("/", 303) if token is None else HTMLResponse(PAGE.format(message=""))

    async def enter(request: Request) -> Response:
        body = bytearray()
        async for block in request.stream():
            body += block
            if len(body) > LARGEST_FORM_BYTES:
                raise HTTPException(413, "That is no token.")
        given = parse_qs(bytes(body).decode("utf-8", "replace")).get("token", [""])[0].strip()
        if token is None or not is_same(given, token):
            return HTMLResponse(PAGE.format(message="This is not the token of the server."), 401)
        answer = RedirectResponse("/", 303)
        is_secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=is_secure, max_age=30 * 86_400)
        return answer

    return [Route(LOGIN_PATH, show, methods=["GET"]), Route(LOGIN_PATH, enter, methods=["POST"])]

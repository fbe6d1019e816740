"""Who may ask for what: every request passes here before anything of it is read.

- Where there is a token, it is compared in constant time; it comes in a header or a cookie, never in an address.
- The Host header must be one of the server's names: a page elsewhere that lets its name point here is refused.
- A request that a page of another origin causes is refused.
- Every answer forbids the browser to load anything from elsewhere, and others to frame the page.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "talkinghead_token"
LOGIN_PATH = "/login"
OPEN_PATHS = frozenset({LOGIN_PATH, "/health", "/static/style.css"})
"""What is answered without the token."""
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob: mediastream:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Gate:
    """ASGI middleware that lets through what may pass."""

    def __init__(self, app: ASGIApp, *, token: str | None, hosts: frozenset[str]) -> None:
        """Args:
        app: what is guarded.
        token: that clients present; None asks for none.
        hosts: names under which the server may be addressed, in lower case.
        """
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope["path"], Headers(scope=scope))
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4403, "reason": "refused"})
        else:
            await refusal(scope, receive, _with_headers(send))

    def _refusal(self, path: str, headers: Headers) -> Response | None:
        """The answer to a request that may not pass; None for others."""
        if _host_name(headers.get("host", "")) not in self._hosts:
            return _error(421, "The server does not go by this name; see `talkinghead serve --allow-host`.")
        if not is_same_origin(headers):
            return _error(403, "Pages of other origins may not use this server.")
        if self._token is None or path in OPEN_PATHS or self._has_token(headers):
            return None
        if "text/html" in headers.get("accept", ""):
            return RedirectResponse(LOGIN_PATH, 303)
        return _error(401, "Send the token as `Authorization: Bearer TOKEN`.")

    def _has_token(self, headers: Headers) -> bool:
        assert self._token is not None
        return any(is_same(given, self._token) for given in presented_tokens(headers))


def is_same(given: str, token: str) -> bool:
    """Compare in a time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode(), token.encode())


def presented_tokens(headers: Headers) -> list[str]:
    """Tokens of the Authorization header and of the cookie."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    tokens = [bearer.strip()] if scheme.lower() == "bearer" else []
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        cookie = None
    return [*tokens, *([cookie.value] if cookie is not None else [])]


def is_same_origin(headers: Headers) -> bool:
    """Whether no page of another origin is behind a request; programs send neither header."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


def _host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sent


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)

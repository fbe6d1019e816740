"""Reading requests and answering them: JSON in, JSON out, errors in one form."""

from __future__ import annotations

import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from talkinghead.errors import (
    BusyError,
    JobFileError,
    MissingFileError,
    OutputExistsError,
    TalkingHeadError,
)

LARGEST_JSON_BYTES = 1 << 20


async def read_json(request: Request) -> dict[str, Any]:
    """The object in the body of a request.

    Raises:
        HTTPException: 413 for one that is too large, 400 for what is no JSON object.
    """
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > LARGEST_JSON_BYTES:
            raise HTTPException(413, f"A request has at most {LARGEST_JSON_BYTES} bytes of JSON.")
    try:
        value = json.loads(body or b"{}")
        json.dumps(value, ensure_ascii=False).encode()  # halves of surrogate pairs are no text
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "The body is no JSON.") from error
    if not isinstance(value, dict):
        raise HTTPException(400, "The body is no JSON object.")
    return value


def field(body: dict[str, Any], name: str, kind: type, default: Any = ...) -> Any:
    """A value of an object, of its type.

    Raises:
        HTTPException: 400 where it is missing without a default, or of another type.
    """
    value = body.get(name, default)
    if value is ...:
        raise HTTPException(400, f"The field {name!r} is missing.")
    if value is not default and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
        raise HTTPException(400, f"The field {name!r} is no {kind.__name__}.")
    return value


def status_of(error: Exception) -> int:
    """The HTTP status of an error that a request led to."""
    if isinstance(error, BusyError):
        return 429
    if isinstance(error, MissingFileError):
        return 404
    if isinstance(error, OutputExistsError):
        return 409
    return 422


async def answer_error(request: Request, error: Exception) -> Response:
    """The answer to a request that failed as the package's errors do."""
    assert isinstance(error, (TalkingHeadError, ValueError))
    problems = {"problems": list(error.problems)} if isinstance(error, JobFileError) else {}
    return JSONResponse({"error": str(error), **problems}, status_of(error))


async def answer_http_error(request: Request, error: Exception) -> Response:
    """The answer to a request that cannot be served."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def answer_nobody(request: Request, error: Exception) -> Response:
    """The answer to a client that went away before it had sent its request: it is heard by nobody, and no fault."""
    return Response(status_code=400)

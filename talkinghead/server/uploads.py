"""Files that clients send: written as they arrive, under names of ours."""

from __future__ import annotations

from pathlib import Path

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request

MEGABYTE = 1_000_000


async def receive_body(request: Request, path: Path, most_mb: int) -> Path:
    """Write the body of a request to a file, which is removed again where it is not complete.

    Raises:
        HTTPException: 413 for a body that is too large, 400 for an empty one.
    """
    size = 0
    try:
        async with await anyio.open_file(path, "xb") as file:
            async for block in request.stream():
                size += len(block)
                if size > most_mb * MEGABYTE:
                    raise HTTPException(413, f"A file has at most {most_mb} MB.")
                await file.write(block)
        if size == 0:
            raise HTTPException(400, "The file is empty.")
    except BaseException:  # a client that went away leaves nothing behind either
        path.unlink(missing_ok=True)
        raise
    return path

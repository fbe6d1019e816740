"""Keeping the notices of LiteRT's native code off standard error.

When the first interpreter is created, the library writes that it has made a delegate for the CPU. It has no setting for
that from Python, and the line breaks progress displays and the silence of `--quiet`.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator

STANDARD_ERROR = 2
"""File descriptor that native code writes to."""
_NOTICE = re.compile(rb"INFO: Created TensorFlow Lite [^\n]*\n")
_LOCK = threading.Lock()


@contextlib.contextmanager
def without_notices() -> Iterator[None]:
    """Keep LiteRT's notices out of standard error; everything else written to it meanwhile appears at the end.

    The file descriptor belongs to the whole process, so that what other threads and Python itself write is held back
    too: in a file, from which it is written on byte for byte, also when an exception passes. Only what another thread
    writes in the moment of that may come before what it wrote just before. Where there is no standard error, or no room
    for the file, nothing is held back.
    """
    with _LOCK, contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(tempfile.TemporaryFile())
            real = os.dup(STANDARD_ERROR)
        except OSError:
            yield
            return
        try:
            os.dup2(held.fileno(), STANDARD_ERROR)
            yield
        finally:
            # Most is written on before the descriptor is given back, so that little can be overtaken afterwards. The
            # place at which others write stays where it is, for which Windows has no call.
            early = os.pread(held.fileno(), os.fstat(held.fileno()).st_size, 0) if hasattr(os, "pread") else b""
            _write(real, early)
            os.dup2(real, STANDARD_ERROR)
            os.close(real)
            held.seek(len(early))
            _write(STANDARD_ERROR, held.read())


def _write(target: int, content: bytes) -> None:
    """Write to a descriptor, without the notices; as with any message, nobody needs to be there to read it."""
    content = _NOTICE.sub(b"", content)
    with contextlib.suppress(OSError):
        while content:
            content = content[os.write(target, content) :]

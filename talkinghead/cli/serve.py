"""`talkinghead serve`."""

from __future__ import annotations

import click

from talkinghead.cli.options import config_options
from talkinghead.cli.output import echo
from talkinghead.errors import ModelUnavailableError, OptionError
from talkinghead.processes.heaps import limit_heaps
from talkinghead.server.config import ServerConfig

GRACE_S = 10
"""Time that connections have to end when the server is stopped, seconds."""
HEAPS = 2
"""Heaps of the server's threads, of which many wait and few work."""


@click.command()
@config_options(ServerConfig)
@click.option("--open/--no-open", "is_opened", default=False, help="Open the page in the browser.")
def serve(config: ServerConfig, is_opened: bool) -> None:
    """Open the studio: a page to make anchors and videos with, and live anchors for programs.

    It is reached from this machine alone, unless told otherwise.
    """
    try:
        import uvicorn

        from talkinghead.server.app import make_app
    except ImportError as error:
        raise ModelUnavailableError(
            f"The server needs {error.name}, which is not installed: pip install 'talkinghead[serve]'."
        ) from error
    limit_heaps(HEAPS)
    app = make_app(config)
    host = f"[{config.host}]" if ":" in config.host else config.host
    address = f"http://{host}:{config.port}/"
    echo(f"The studio is at {address} - Ctrl-C ends it.")
    if is_opened:
        click.launch(address)
    # Websocket messages are bounded: a block of audio, not a file.
    server = uvicorn.Config(
        app,
        host=config.host,
        port=config.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        ws="websockets-sansio",
        ws_max_size=1 << 22,
        limit_concurrency=256,
    )
    try:
        uvicorn.Server(server).run()
    except SystemExit as error:  # uvicorn has logged why
        raise OptionError(f"The server could not listen at {address}; is another one there? Try --port.") from error

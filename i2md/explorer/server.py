"""The server of the explorer: one process on this machine that only its own pages can reach."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import warnings
from collections.abc import Callable

from i2md.errors import InputError, require_extra
from i2md.explorer.guard import MOST_BYTES, Guard
from i2md.explorer.state import Explorer

# The first port that is tried; the system chooses another where it is taken.
PORT = 8765


def serve(explorer: Explorer, port: int | None = None, started: Callable[[str], None] | None = None) -> None:
    """Serve the pages until Ctrl-C.

    Args:
        explorer: What they show.
        port: The port; by default 8765, or another where that is taken.
        started: Called with the address of the page, which holds the token.

    Raises:
        InputError: The extra `explorer` is not installed, or the port is taken.
    """
    require_extra("nicegui", "explorer", "i2md explore")
    # Nothing is kept in a folder .nicegui of the working directory.
    os.environ.setdefault("NICEGUI_STORAGE_PATH", os.devnull)
    import uvicorn
    from nicegui import app as nicegui_app
    from nicegui import ui

    from i2md.explorer.elements import text
    from i2md.explorer.page import Page
    from i2md.explorer.routes import make_app

    app = make_app(explorer)

    @ui.page("/", title=text("title", name=explorer.collection.clips.dataset.name), dark=None)
    def index() -> None:
        Page(explorer)

    # Its bar for requests has no name for screen readers, and flickers with each skeleton.
    nicegui_app.config.quasar_config["loadingBar"] = {"skipHijack": True}
    ui.run_with(app, language="en-US", show_welcome_message=False, tailwind=False, gzip_middleware_factory=None)
    listening = _listening(port)
    number = listening.getsockname()[1]
    token = secrets.token_urlsafe(32)
    guard = Guard(app, token, number)
    config = uvicorn.Config(
        guard,
        log_level="warning",
        ws_max_size=MOST_BYTES,
        timeout_graceful_shutdown=2,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
    )
    # NiceGUI looks at every object there is, among them one by which torch warns of its own name.
    warnings.filterwarnings("ignore", message="`torch.distributed.reduce_op`", category=FutureWarning)
    for each in explorer.learners:
        each.start()
    try:
        if started is not None:
            started(f"http://127.0.0.1:{number}/?token={token}")
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        # Ctrl-C is how a person ends this command.
        print(file=sys.stderr)
    finally:
        for each in explorer.learners:
            each.stop()
        explorer.book.close()
        listening.close()


def _listening(port: int | None) -> socket.socket:
    """A socket on the loopback interface."""
    for number in (PORT, 0) if port is None else (port,):
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", number))
            listening.listen(128)
        except (OSError, OverflowError):
            listening.close()
            continue
        return listening
    raise InputError(f"port {port} is taken or not allowed; name another, or leave --port out")

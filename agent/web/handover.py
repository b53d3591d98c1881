"""How a view leaves a live stream to the server, which goes on with it when the view's thread has returned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request

if TYPE_CHECKING:
    from agent.web.live import Feed

HANDOVER = "lastmile.handover"
"""Key of the Handover in a WSGI environ, where the server has one."""


class Handover:
    """Where a view leaves a feed for the server, which then tells the client of it without a thread."""

    def __init__(self, *, websocket: bool) -> None:
        self.websocket = websocket
        """Whether the client asked for a WebSocket."""
        self.feed: Feed | None = None


def current_handover() -> Handover | None:
    """Of the current request; None where the server has none."""
    found: Handover | None = request.environ.get(HANDOVER)
    return found


def asks_for_websocket() -> bool:
    """Whether the current request is a WebSocket's handshake."""
    handover = current_handover()
    return handover is not None and handover.websocket

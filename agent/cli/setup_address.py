"""The address of a setup link, as somebody who reads the console can use it."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.core.settings.schema import WebSettings


def page_address(settings: WebSettings) -> str:
    """Where the pages are, without a slash at the end: by the first of web.host_names, else by where it listens."""
    scheme = "https" if settings.is_secure else "http"
    if settings.host_names:
        # Behind a proxy that speaks TLS, it is the proxy's TCP port that counts.
        port = "" if settings.behind_tls else f":{settings.tcp_port}"
        return f"{scheme}://{settings.host_names[0]}{port}"
    address = ip_address(settings.listen)
    name = f"[{address}]" if address.version == 6 else str(address)
    return f"{scheme}://{socket.gethostname() if address.is_unspecified else name}:{settings.tcp_port}"


def setup_address(settings: WebSettings, token: str) -> str:
    """The whole link."""
    return f"{page_address(settings)}/setup/{token}"

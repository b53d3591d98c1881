"""Syslog: RFC 5424 to this machine's socket, over UDP (RFC 5426) or TCP with counted octets (RFC 6587 §3.4.1)."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence

from agent.acs.connection_request.policy import Forbidden, Policy, Target, literal_address, permitted
from agent.alert.messages import render_syslog
from agent.core.clock import Deadline
from agent.store.alert_deliveries import Destination
from agent.worker.http_call import resolve
from agent.worker.http_request import Resolver
from agent.worker.telling import Heard, Letter, Told

LOCAL_PATH = "/dev/log"
DATAGRAM_MOST = 2048
"""What every receiver takes (RFC 5426 §3.2)."""


class Syslog:
    """A `Sender`."""

    def __init__(
        self,
        policy: Callable[[], Policy],
        host: str,
        *,
        local_path: str = LOCAL_PATH,
        resolver: Resolver = resolve,
    ) -> None:
        self._policy = policy
        self._host = host
        self._local_path = local_path
        self._resolver = resolver

    def __call__(self, destination: Destination, letters: Sequence[Letter], deadline: Deadline) -> Told:
        settings = destination.settings
        facility = int(settings.get("facility", 16))
        line = render_syslog(letters[0].message, facility=facility, host=self._host, process=os.getpid())
        try:
            if settings.get("transport") == "local":
                self._send_local(line, deadline)
            else:
                self._send(
                    str(settings.get("transport")), str(settings["host"]), int(settings["tcp_port"]), line, deadline
                )
        except Forbidden as exc:
            return Told(heard=Heard.NEVER, reason=str(exc))
        except OSError as exc:
            return Told(heard=Heard.LATER, reason=exc.strerror or str(exc) or type(exc).__name__)
        return Told(heard=Heard.TAKEN)

    def _send_local(self, line: bytes, deadline: Deadline) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(max(0.1, deadline.remaining_seconds))
            sender.connect(self._local_path)
            sender.send(line[:DATAGRAM_MOST])

    def _send(self, transport: str, host: str, port: int, line: bytes, deadline: Deadline) -> None:
        policy = self._policy()
        target = Target(secure=False, host=host, tcp_port=port, path="/")
        literal = literal_address(host)
        found = permitted(self._resolver(target, deadline) if literal is None else (literal,), policy)
        address = (str(found[0]), port)
        if transport == "udp":
            family = socket.AF_INET6 if found[0].version == 6 else socket.AF_INET  # IPv6
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                sender.sendto(line[:DATAGRAM_MOST], address)
            return
        with socket.create_connection(address, timeout=max(0.1, deadline.remaining_seconds)) as connection:
            connection.sendall(f"{len(line)} ".encode() + line)

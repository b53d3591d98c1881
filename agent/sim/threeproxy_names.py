"""Names to addresses through the configured resolvers and no others, by this process's own sockets."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address

from agent.host.proxy.directives import Address

_MOST_NAMES = 4096
_LONGEST_SECONDS = 300.0


class NoSuchNameError(Exception):
    """No resolver gave an address for the name."""


class Resolver:
    """Asks each resolver in turn for IPv4, then for IPv6 (`-46`); answers are kept as long as they may be."""

    def __init__(self, nameservers: Sequence[Address], timeout_seconds: float, tcp_port: int = 53) -> None:
        self._nameservers = tuple(nameservers)
        self._timeout_seconds = timeout_seconds
        self._port = tcp_port
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Address]] = {}

    def resolve(self, name: str) -> Address:
        """The address of `name`, which may be an address in any spelling that inet_aton(3) reads."""
        literal = parse_literal(name)
        if literal is not None:
            return literal
        with self._lock:
            until, address = self._known.get(name, (0.0, None))
        if address is not None and time.monotonic() < until:
            return address
        for record_type in ("A", "AAAA"):
            found = self._ask(name, record_type)
            if found is not None:
                self._remember(name, *found)
                return found[0]
        raise NoSuchNameError(name)

    def _remember(self, name: str, address: Address, keep_seconds: float) -> None:
        with self._lock:
            if len(self._known) >= _MOST_NAMES:
                self._known.clear()
            self._known[name] = (time.monotonic() + min(keep_seconds, _LONGEST_SECONDS), address)

    def _ask(self, name: str, record_type: str) -> tuple[Address, float] | None:
        import dns.exception
        import dns.message
        import dns.rdatatype

        try:
            query = dns.message.make_query(name, record_type, id=random.getrandbits(16))
            wire = query.to_wire()
        except dns.exception.DNSException:
            return None
        for nameserver in self._nameservers:
            reply = self._exchange(nameserver, wire)
            if reply is None:
                continue
            try:
                answer = dns.message.from_wire(reply)
            except dns.exception.DNSException:
                continue
            if not query.is_response(answer):
                continue
            wanted = dns.rdatatype.from_text(record_type)
            for rrset in answer.answer:
                if rrset.rdtype == wanted:
                    return ip_address(rrset[0].to_text()), float(rrset.ttl)
            return None
        return None

    def _exchange(self, nameserver: Address, wire: bytes) -> bytes | None:
        family = socket.AF_INET6 if nameserver.version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as query_socket:
            query_socket.settimeout(self._timeout_seconds)
            try:
                query_socket.connect((str(nameserver), self._port))
                query_socket.send(wire)
                return query_socket.recv(4096)
            except OSError:
                return None  # the next resolver is asked


def parse_literal(name: str) -> Address | None:
    """The address that `name` spells: `127.1` and `2130706433` are 127.0.0.1; None when it is a name."""
    try:
        return ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(name))
    except (OSError, ValueError):
        return None

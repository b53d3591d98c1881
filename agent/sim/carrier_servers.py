"""What answers in a carrier's internet: DNS, HTTP that tells the caller's address, an open TCP port, UDP echo."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import zlib
from collections import deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from agent.sim.records import CarrierEvent

_REQUEST_SECONDS = 30.0
_ANSWER_SECONDS = 900.0
_MOST_DOWNLOAD_BYTES = 1 << 30
_BLOCK = b"".join(number.to_bytes(4, "big") for number in range(16_384))
"""Every four bytes of it are others, so that a piece that is missing or twice is seen."""
_TTL_SECONDS = 60
_PACKET_INFO = struct.Struct("16sI")


def plain_address(text: str) -> str:
    """An address as a person writes it: IPv4 without the IPv6 that carries it."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


class UdpServer:
    """Answers each datagram from the very address it was sent to."""

    def __init__(self, server: socket.socket, answer: Callable[[bytes, str, str], bytes | None]) -> None:
        self._socket = server
        self._answer = answer
        asyncio.get_running_loop().add_reader(server, self._readable)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        try:
            data, ancillary, _flags, source = self._socket.recvmsg(4096, 256)
        except OSError:
            # Nothing there after all, or an ICMP error for an earlier answer.
            return
        packed = next(
            value for level, kind, value in ancillary if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO
        )
        destination, _link = _PACKET_INFO.unpack(packed)
        answer = self._answer(data, plain_address(source[0]), plain_address(str(IPv6Address(destination))))
        if answer is None:
            return
        info = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PACKET_INFO.pack(destination, 0))
        try:
            self._socket.sendmsg([answer], [info], 0, source)
        except OSError:
            # The bearer ended between question and answer: the answer is lost, as in the air.
            return


def answer_dns(query: bytes, source: str) -> tuple[bytes | None, str]:
    """(answer, name asked for). Every name has an address; `myself.test` is the caller's, `*.invalid` is none."""
    try:
        asked = dns.message.from_wire(query)
    except dns.exception.DNSException:
        return None, ""
    if not asked.question:
        return None, ""
    answer = dns.message.make_response(asked, recursion_available=True)
    question = asked.question[0]
    name = question.name.to_text(omit_final_dot=True).lower()
    kind = dns.rdatatype.to_text(question.rdtype)
    found: list[str] = []
    if name == "invalid" or name.endswith(".invalid"):
        answer.set_rcode(dns.rcode.NXDOMAIN)
    elif name == "myself.test":
        wanted = {"A": ":" not in source, "AAAA": ":" in source}.get(kind, False)
        found = [source] if wanted else [f'"{source}"'] if kind == "TXT" else []
    elif kind == "A":
        found = [f"198.51.100.{zlib.crc32(name.encode()) % 200 + 1}"]
    elif kind == "AAAA" and ":" in source:
        found = [f"2001:db8:51::{zlib.crc32(name.encode()) % 200 + 1:x}"]
    if found:
        answer.answer.append(dns.rrset.from_text(question.name, _TTL_SECONDS, "IN", kind, *found))
    return answer.to_wire(), name


class CarrierServers:
    """The servers of one carrier; what reaches them is noted in `events`."""

    def __init__(self, index: int, events: deque[CarrierEvent]) -> None:
        self._index = index
        self._events = events
        self._udp: list[UdpServer] = []
        self._tcp: list[asyncio.Server] = []
        self._connections: set[asyncio.StreamWriter] = set()

    async def start(
        self, web: socket.socket, secure: socket.socket, resolver: socket.socket, echo: socket.socket
    ) -> None:
        self._tcp.append(await asyncio.start_server(self._web, sock=web))
        self._tcp.append(await asyncio.start_server(self._silent, sock=secure))
        self._udp.append(UdpServer(resolver, self._resolve))
        self._udp.append(UdpServer(echo, self._echo))

    async def close(self) -> None:
        for udp in self._udp:
            udp.close()
        for tcp in self._tcp:
            tcp.close()
        for connection in tuple(self._connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    def _note(self, kind: str, source: str, destination: str, port: int, detail: str = "") -> None:
        self._events.append(
            CarrierEvent(kind=kind, source=source, destination=destination, destination_port=port, detail=detail)
        )

    def _resolve(self, query: bytes, source: str, destination: str) -> bytes | None:
        answer, name = answer_dns(query, source)
        self._note("dns", source, destination, 53, name)
        return answer

    def _echo(self, data: bytes, source: str, destination: str) -> bytes:
        self._note("udp", source, destination, 7)
        return data

    async def _silent(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Accept, and wait for the caller to go."""
        source, destination, port = _ends(writer)
        self._note("tcp", source, destination, port)
        self._connections.add(writer)
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                while await reader.read(4096):
                    pass
        except (OSError, TimeoutError):
            return
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _web(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                async with asyncio.timeout(_REQUEST_SECONDS):
                    request = await reader.readuntil(b"\r\n\r\n")
                # Clients may be slow on purpose.
                async with asyncio.timeout(_ANSWER_SECONDS):
                    if not await self._answer_web(request, writer):
                        return
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer_web(self, request: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False when the connection is to end."""
        source, destination, port = _ends(writer)
        line, _, headers = request.decode("latin-1").partition("\r\n")
        method, _, rest = line.partition(" ")
        path = rest.partition(" ")[0]
        self._note("http", source, destination, port, path)
        if method not in {"GET", "HEAD"}:
            writer.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return False
        keep = "connection: close" not in headers.lower() and rest.endswith("HTTP/1.1")
        if path.startswith("/bytes/") and path[7:].isdigit():
            await self._download(min(int(path[7:]), _MOST_DOWNLOAD_BYTES), writer)
            return keep
        if path == "/plain":
            kind, body = "text/plain", f"{source}\n".encode()
        else:
            told = {"address": source, "modem": self._index, "server": destination, "path": path}
            kind, body = "application/json", json.dumps(told).encode() + b"\n"
        ending = "keep-alive" if keep else "close"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: {ending}\r\n\r\n"
        writer.write(head.encode() + (body if method == "GET" else b""))
        await writer.drain()
        return keep

    async def _download(self, size: int, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        while size:
            writer.write(_BLOCK[: min(size, len(_BLOCK))])
            size -= min(size, len(_BLOCK))
            await writer.drain()


def _ends(writer: asyncio.StreamWriter) -> tuple[str, str, int]:
    """(caller, address that was called, port)."""
    peer, own = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
    return plain_address(peer[0]), plain_address(own[0]), int(own[1])

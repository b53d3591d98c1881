"""A route netlink socket with batches and deadlines; pyroute2 turns messages into bytes and back.

pyroute2's own synchronous socket is not used: called from a thread that did not make it, it builds an event loop and
a socket for every call, and waits for an answer without end (seen in 0.9.7). Its message classes have neither trouble.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Self

from pyroute2.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR

from agent.core.clock import Deadline
from agent.core.errors import DeadlineExceeded, TransientError

HEADER = struct.Struct("=IHHII")
ERROR = struct.Struct("=i")
SOL_NETLINK = 270
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11
NETLINK_GET_STRICT_CHK = 12
RECEIVE_BUFFER_BYTES = 1 << 20
LARGEST_DATAGRAM_BYTES = 1 << 17
MESSAGES_PER_BATCH = 128
DUMP_ATTEMPTS = 8
FAMILY_OF = {4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(frozen=True, slots=True)
class Request:
    """One message to the kernel, without its header: `kind` is RTM_*, `payload` starts at the family's own header."""

    kind: int
    flags: int
    payload: bytes

    @classmethod
    def encode(cls, kind: int, flags: int, message: Any, /, **fields: Any) -> Self:
        """Fill a pyroute2 message; `attrs` is its list of (name, value)."""
        message["attrs"] = fields.pop("attrs", [])
        for name, value in fields.items():
            message[name] = value
        message.reset()
        message.encode()
        return cls(kind, flags, bytes(message.data[HEADER.size :]))


def decode(message_class: Any, raw: bytes) -> Any:
    """A whole netlink message (header included) as pyroute2's `message_class`."""
    message = message_class(raw)
    message.decode()
    return message


class NetlinkChannel:
    """One socket for all threads; a call holds it for its own length and never longer than `timeout_seconds`.

    Talks to the network namespace of the thread that made it. Every method raises TransientError (DeadlineExceeded
    when the time has passed).
    """

    def __init__(self, timeout_seconds: float = 5.0) -> None:
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._sequence = count(1)
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK):
                self._socket.setsockopt(SOL_NETLINK, option, 1)
            self._socket.bind((0, 0))
        except OSError as exc:
            raise TransientError(f"netlink: {exc}") from exc

    def close(self) -> None:
        """Close the socket; later calls raise TransientError."""
        self._socket.close()

    def execute(self, requests: Sequence[Request]) -> list[int]:
        """Send all requests in order; return each one's errno, 0 when it was done. One failing stops no other."""
        results: list[int] = []
        with _Turn(self._lock, self._timeout_seconds) as deadline:
            for start in range(0, len(requests), MESSAGES_PER_BATCH):
                results += self._execute_batch(requests[start : start + MESSAGES_PER_BATCH], deadline)
        return results

    def dump(self, request: Request, wanted: Callable[[bytes], bool] = lambda _: True) -> list[bytes]:
        """Every message of a dump that `wanted` (given the undecoded message) takes. None for a link that has gone, or
        a table that never had a route."""
        with _Turn(self._lock, self._timeout_seconds) as deadline:
            for _ in range(DUMP_ATTEMPTS):
                messages, interrupted = self._dump_once(request, wanted, deadline)
                if not interrupted:
                    return messages
        raise TransientError("netlink: the kernel's table kept changing while it was read")

    def fetch(self, request: Request) -> bytes | None:
        """The one message that answers a get request; None when there is no such thing."""
        with _Turn(self._lock, self._timeout_seconds) as deadline:
            sequence = self._send([request], NLM_F_REQUEST | NLM_F_ACK)[0]
            answer = None
            for kind, _, number, raw in self._receive(deadline):
                if number != sequence:
                    continue
                if kind != NLMSG_ERROR:
                    answer = raw
                elif (code := _error_of(raw)) in (0, errno.ENODEV, errno.ENOENT):
                    return answer if code == 0 else None
                else:
                    raise TransientError(f"netlink: {os.strerror(code)}")
        raise DeadlineExceeded("netlink: no answer")

    def _execute_batch(self, requests: Sequence[Request], deadline: Deadline) -> list[int]:
        sequences = self._send(requests, NLM_F_REQUEST | NLM_F_ACK)
        results: dict[int, int] = {}
        outstanding = set(sequences)
        for kind, _, number, raw in self._receive(deadline):
            if kind == NLMSG_ERROR and number in outstanding:
                outstanding.remove(number)
                results[number] = _error_of(raw)
                if not outstanding:
                    break
        if outstanding:
            raise DeadlineExceeded("netlink: no answer")
        return [results[number] for number in sequences]

    def _dump_once(
        self, request: Request, wanted: Callable[[bytes], bool], deadline: Deadline
    ) -> tuple[list[bytes], bool]:
        sequence = self._send([request], NLM_F_REQUEST | NLM_F_DUMP)[0]
        messages: list[bytes] = []
        interrupted = False
        for kind, flags, number, raw in self._receive(deadline):
            if number != sequence:
                continue
            interrupted = interrupted or bool(flags & NLM_F_DUMP_INTR)
            if kind in (NLMSG_DONE, NLMSG_ERROR):
                code = _error_of(raw)
                if code not in (0, errno.ENOENT, errno.ENODEV):
                    raise TransientError(f"netlink: {os.strerror(code)}")
                return messages, interrupted
            if wanted(raw):
                messages.append(raw)
        raise DeadlineExceeded("netlink: a dump did not end")

    def _send(self, requests: Iterable[Request], flags: int) -> list[int]:
        """Send requests in one datagram; return their sequence numbers."""
        sequences: list[int] = []
        data = bytearray()
        for request in requests:
            number = next(self._sequence) & 0xFFFFFFFF
            sequences.append(number)
            length = HEADER.size + len(request.payload)
            data += HEADER.pack(length, request.kind, request.flags | flags, number, 0)
            data += request.payload
            data += b"\0" * (-length % 4)
        try:
            self._socket.send(data)
        except OSError as exc:
            raise TransientError(f"netlink: {exc}") from exc
        return sequences

    def _receive(self, deadline: Deadline) -> Iterator[tuple[int, int, int, bytes]]:
        """(kind, flags, sequence, whole message) of what arrives, until the deadline. Answers to earlier calls that
        gave up may be among them."""
        while not deadline.passed:
            try:
                self._socket.settimeout(max(deadline.remaining_seconds, 0.001))
                data = self._socket.recv(LARGEST_DATAGRAM_BYTES)
            except TimeoutError:
                return
            except OSError as exc:
                raise TransientError(f"netlink: {exc}") from exc
            offset = 0
            while offset + HEADER.size <= len(data):
                length, kind, flags, number, _ = HEADER.unpack_from(data, offset)
                if length < HEADER.size:
                    raise TransientError("netlink: a message of impossible length")
                yield kind, flags, number, data[offset : offset + length]
                offset += length + (-length % 4)


class _Turn:
    """The channel's lock, waited for no longer than a call may take."""

    def __init__(self, lock: threading.Lock, timeout_seconds: float) -> None:
        self._lock = lock
        self._deadline = Deadline.after(timeout_seconds)

    def __enter__(self) -> Deadline:
        if not self._lock.acquire(timeout=self._deadline.remaining_seconds):
            raise DeadlineExceeded("netlink: the socket is busy")
        return self._deadline

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _error_of(raw: bytes) -> int:
    """errno in an NLMSG_ERROR or NLMSG_DONE message, as a positive number."""
    if len(raw) < HEADER.size + ERROR.size:
        return 0
    code: int = ERROR.unpack_from(raw, HEADER.size)[0]
    return -code

"""A USB/IP client and a stand-in for the virtual machine's kernel, for tests without a virtual machine."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

from agent.sim.farm import Farm
from agent.sim.namespaces import NetworkNamespace
from agent.sim.usbip import guest_attach

SERVER = "192.0.2.1"
SUBMIT, UNLINK, RETURNED, UNLINKED = 1, 2, 3, 4
OUT, IN = 0, 1
SECONDS = 5.0


@dataclass(frozen=True)
class Done:
    """An URB that came back."""

    status: int
    data: bytes
    length: int


@dataclass
class UsbDevice:
    """An imported device: URBs by sequence number, in whatever order they come back."""

    connection: socket.socket
    done: dict[int, Done] = field(default_factory=dict)
    unlinked: dict[int, int] = field(default_factory=dict)
    _directions: dict[int, int] = field(default_factory=dict)
    _next: int = 1

    def __post_init__(self) -> None:
        self.connection.settimeout(SECONDS)

    def submit(self, endpoint: int, direction: int, data: bytes | int, setup: bytes = bytes(8)) -> int:
        """Hand in an URB: the data to send, or how much may come; its sequence number."""
        number, self._next = self._next, self._next + 1
        sent, length = (data, len(data)) if isinstance(data, bytes) else (b"", data)
        self._directions[number] = direction
        head = struct.pack(">IIIIIIiiii8s", SUBMIT, number, 0x10001, direction, endpoint, 0, length, 0, 0, 0, setup)
        self.connection.sendall(head + sent)
        return number

    def unlink(self, number: int) -> int:
        """Give an URB up; the status of that: 0 when it had been answered."""
        mine, self._next = self._next, self._next + 1
        self.connection.sendall(struct.pack(">IIIIIIiiii8s", UNLINK, mine, 0x10001, 0, 0, number, 0, 0, 0, 0, bytes(8)))
        while mine not in self.unlinked:
            self._read()
        return self.unlinked[mine]

    def wait(self, number: int) -> Done:
        """The URB when it is done; TimeoutError when it is not in time."""
        while number not in self.done:
            self._read()
        return self.done.pop(number)

    def control(self, request_type: int, request: int, value: int, index: int, data: bytes | int = 0) -> Done:
        """A control transfer from start to end."""
        length = len(data) if isinstance(data, bytes) else data
        setup = struct.pack("<BBHHH", request_type, request, value, index, length)
        return self.wait(self.submit(0, request_type >> 7, data, setup))

    def configure(self, value: int = 1) -> None:
        assert self.control(0x00, 9, value, 0).status == 0

    def ask_at(self, line: str, *, endpoint: int = 3, until: bytes = b"OK\r\n") -> bytes:
        """Write a line to AT_PRIMARY and read on until its answer."""
        self.wait(self.submit(endpoint, OUT, line.encode() + b"\r"))
        said = b""
        while until not in said:
            said += self.wait(self.submit(4 if endpoint == 3 else 6, IN, 512)).data
        return said

    def ask_qmi(self, frame: bytes) -> bytes:
        """Send a QMUX frame, wait for the notification and fetch the answer, as cdc-wdm does."""
        assert self.control(0x21, 0x00, 0, 4, frame).status == 0
        assert self.wait(self.submit(9, IN, 8)).data == bytes.fromhex("a101000004000000")
        return self.control(0xA1, 0x01, 0, 4, 4096).data

    def _read(self) -> None:
        head = self._exactly(48)
        command, number = struct.unpack_from(">II", head)
        status, length = struct.unpack_from(">ii", head, 20)
        if command == UNLINKED:
            self.unlinked[number] = status
            return
        assert command == RETURNED
        data = self._exactly(length) if self._directions.pop(number) == IN else b""
        self.done[number] = Done(status, data, length)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            if not (part := self.connection.recv(size - len(data))):
                raise ConnectionError("the device is gone")
            data += part
        return data


class StandInGuest:
    """What the daemon in the virtual machine does, with this process in the kernel's place."""

    def __init__(self, farm: Farm, *, slot_of: Callable[[int], str] = lambda position: f"1-{position + 1}") -> None:
        self.devices: dict[str, UsbDevice] = {}
        self.asked: list[dict[str, Any]] = []
        self._imported: list[UsbDevice] = []
        self._slot_of = slot_of
        self._namespace = NetworkNamespace(f"lm-{farm.name}-host")
        self._inside = ThreadPoolExecutor(1, initializer=self._namespace.enter)
        self._control = self.connect(3241)
        self._control.sendall(b'{"boot_id": "first"}\n')
        self._thread = threading.Thread(target=self._obey, daemon=True)
        self._thread.start()

    def connect(self, tcp_port: int) -> socket.socket:
        """A connection from within the farm's namespace."""
        return self._inside.submit(socket.create_connection, (SERVER, tcp_port), SECONDS).result()

    def import_device(self, bus_id: str) -> UsbDevice:
        """By the very code that runs in the virtual machine."""
        device = UsbDevice(self._inside.submit(guest_attach.import_device, SERVER, 3240, bus_id).result())
        self._imported.append(device)
        return device

    def _obey(self) -> None:
        try:
            for line in self._control.makefile("rb"):
                asked = json.loads(line)
                self.asked.append(asked)
                try:
                    self.devices[asked["attach"]] = self.import_device(asked["attach"])
                    answer = {"id": asked["id"], "slot": self._slot_of(asked["port"])}
                except OSError as error:
                    answer = {"id": asked["id"], "error": str(error)}
                self._control.sendall(json.dumps(answer).encode() + b"\n")
        except (OSError, ValueError):
            return

    def close(self) -> None:
        self._control.shutdown(socket.SHUT_RDWR)
        self._thread.join(SECONDS)
        self._control.close()
        for device in self._imported:
            device.connection.close()
        self._inside.shutdown()
        os.close(self._namespace.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""The least of a QMI modem on a pseudo terminal: enough for the real qmicli to dial, ask and hang up."""

from __future__ import annotations

import os
import pty
import select
import struct
import threading
import tty

Tlvs = dict[int, bytes]
CTL, WDS, DMS = 0, 1, 2
INVALID_CLIENT_ID = 7
OUT_OF_CALL = 15
NO_EFFECT = 26
INVALID_COMMAND = 71


class QmuxModem:
    """Answers in a thread of its own; `clients` are the client ids that are allocated now."""

    def __init__(self) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.node = os.ttyname(self._slave)
        self.clients: set[tuple[int, int]] = set()
        self.allocated = 0
        self.connected = False
        self.silent_on_start = False
        self.fault_on_start = 0
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        os.write(self._stop_write, b"x")
        self._thread.join()
        for descriptor in (self._master, self._slave, self._stop_read, self._stop_write):
            os.close(descriptor)

    def _run(self) -> None:
        buffer = b""
        while True:
            ready, _, _ = select.select([self._master, self._stop_read], [], [])
            if self._stop_read in ready:
                return
            buffer += os.read(self._master, 4096)
            while len(buffer) >= 3 and len(buffer) > (size := struct.unpack_from("<H", buffer, 1)[0]):
                self._packet(buffer[: size + 1])
                buffer = buffer[size + 1 :]

    def _packet(self, packet: bytes) -> None:
        service, client = packet[4], packet[5]
        head = "<BBHH" if service == CTL else "<BHHH"
        _, transaction, message, _ = struct.unpack_from(head, packet, 6)
        body, tlvs = packet[6 + struct.calcsize(head) :], Tlvs()
        while len(body) >= 3:
            kind, length = struct.unpack_from("<BH", body)
            tlvs[kind], body = body[3 : 3 + length], body[3 + length :]
        answer = self._answer(service, client, message, tlvs)
        if answer is None:
            return
        fault = answer if isinstance(answer, int) else 0
        found = {2: struct.pack("<HH", 1 if fault else 0, fault), **({} if isinstance(answer, int) else answer)}
        out = b"".join(struct.pack("<BH", kind, len(value)) + value for kind, value in found.items())
        answered = struct.pack(head, 1 if service == CTL else 2, transaction, message, len(out)) + out
        os.write(self._master, struct.pack("<BHBBB", 1, 5 + len(answered), 0x80, service, client) + answered)

    def _answer(self, service: int, client: int, message: int, tlvs: Tlvs) -> Tlvs | int | None:
        """What to answer: fields, a fault's number, or nothing at all."""
        if service == CTL:
            return self._control(message, tlvs)
        if (service, client) not in self.clients:
            return INVALID_CLIENT_ID
        match service, message:
            case (2, 0x25):
                return {0x11: b"860000000000017"}
            case (1, 0x20):
                if self.silent_on_start:
                    return None
                self.connected = self.connected or not self.fault_on_start
                return self.fault_on_start or {1: struct.pack("<I", 4242)}
            case (1, 0x21):
                was, self.connected = self.connected, False
                return {} if was else NO_EFFECT
            case (1, 0x22):
                return {1: bytes([2 if self.connected else 1])}
            case (1, 0x2D):
                address, gateway, mask = bytes([21, 0, 64, 10]), bytes([22, 0, 64, 10]), bytes([252, 255, 255, 255])
                settings = {0x1E: address, 0x20: gateway, 0x21: mask, 0x29: struct.pack("<I", 1430), 0x2B: b"\4"}
                return settings if self.connected else OUT_OF_CALL
            case (1, 0x24):
                return {0x19: struct.pack("<Q", 1000), 0x1A: struct.pack("<Q", 2000)}
        return INVALID_COMMAND

    def _control(self, message: int, tlvs: Tlvs) -> Tlvs | int:
        match message:
            case 0x21:
                services = ((CTL, 1, 5), (WDS, 1, 67), (DMS, 1, 14))
                return {1: bytes([len(services)]) + b"".join(struct.pack("<BHH", *each) for each in services)}
            case 0x22:
                self.allocated += 1
                self.clients.add((tlvs[1][0], self.allocated))
                return {1: bytes([tlvs[1][0], self.allocated])}
            case 0x23:
                self.clients.discard((tlvs[1][0], tlvs[1][1]))
                return {1: tlvs[1]}
            case 0x26:
                return {}
        return INVALID_COMMAND

"""One AT port of an emulated modem: bytes in, bytes out, with echo, and with what can be wrong with a port."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

from agent.sim.ec25 import at_general, at_messages, at_network
from agent.sim.ec25.at_line import AtCommand, AtRefused, parse_line, render_lines, render_refusal
from agent.sim.ec25.firmware import Firmware, Power

_LONGEST_LINE = 2048
_COMMANDS = {**at_general.COMMANDS, **at_messages.COMMANDS, **at_network.COMMANDS}
_CHUNK_SECONDS = 0.0002
_MOST_WAITING_BYTES = 65_536


class AtChannel:
    """Feed `receive` with what the host writes; what the modem says goes to `write`."""

    def __init__(self, firmware: Firmware, write: Callable[[bytes], None], *, urcs: bool) -> None:
        self.echo = True
        self.hung = False
        """Says nothing more, and forgets what it hears."""
        self.garbled = False
        """Some of what it says is damaged on the way."""
        self._firmware = firmware
        self._write = write
        self._pending = bytearray()
        self._chunks: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._noise = random.Random(firmware.imei)
        if urcs:
            firmware.on_urc.append(self._urc)

    def receive(self, data: bytes) -> None:
        """The host wrote `data`."""
        if self.hung or self._firmware.power is not Power.ON:
            return
        if self.echo:
            self._say(data)
        for byte in data:
            if byte in b"\r":
                line, self._pending = self._pending, bytearray()
                self._execute(line.decode("latin-1").strip())
            elif byte != 0x0A and len(self._pending) < _LONGEST_LINE:
                self._pending.append(byte)

    def close(self) -> None:
        """The port is gone."""
        if self._urc in self._firmware.on_urc:
            self._firmware.on_urc.remove(self._urc)
        self._chunks.clear()

    def _execute(self, line: str) -> None:
        if not line:
            return
        answered: list[str] = []
        try:
            # One by one: what was answered before a refusal is said, too.
            answered.extend(render_lines(self._answer(command)) for command in parse_line(line))
            final = "\r\nOK\r\n"
        except AtRefused as refused:
            final = render_refusal(refused.code, self._firmware.error_format)
        self._say(("".join(answered) + final).encode("latin-1"))

    def _answer(self, command: AtCommand) -> list[str]:
        if command.name == "E":
            self.echo = command.number(0) != 0
            return []
        handler = _COMMANDS.get(command.name)
        if handler is None:
            raise AtRefused
        return handler(self._firmware, command)

    def _urc(self, text: str) -> None:
        if not self.hung:
            self._say(f"\r\n{text}\r\n".encode())

    def _say(self, data: bytes) -> None:
        if self.garbled:
            data = bytes(self._noise.randrange(256) if self._noise.random() < 0.3 else byte for byte in data)
        size = self._firmware.profile.at_chunk_bytes
        if not size:
            self._write(data)
            return
        if self._waiting_bytes + len(data) > _MOST_WAITING_BYTES:
            return
        idle = not self._chunks
        self._chunks.extend(data[start : start + size] for start in range(0, len(data), size))
        self._waiting_bytes += len(data)
        if idle:
            self._trickle()

    def _trickle(self) -> None:
        if not self._chunks:
            return
        chunk = self._chunks.popleft()
        self._waiting_bytes -= len(chunk)
        self._write(chunk)
        asyncio.get_running_loop().call_later(_CHUNK_SECONDS, self._trickle)

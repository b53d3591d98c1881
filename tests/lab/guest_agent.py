"""Runs commands in a lab machine and carries files: `guest_agent.py CHANNEL...`, the first of them that is there.

It runs inside the machine, with nothing but Python's library. The channel is a virtio-serial port or a Unix socket that
carries lines of JSON both ways; `data` is base64. A line that cannot be read is dropped, so after a reset, which may
cut one, both sides only have to begin a new line. `id` is the asker's number for what it asks:

    {"id", "do": "hello"}                               → {"id", "boot", "uptime"}; at the start unasked, without id
    {"id", "do": "adjust", "time", "entropy"}           → {"id", "done"}: set the clock, stir the random numbers
    {"id", "do": "run", "command", "stdin", "seconds"}  → pieces of output, then {"id", "status", "timed_out"}
    {"id", "do": "signal", "signal"}                    to the command of that id
    {"id", "do": "put", "path", "mode"}, {"id", "do": "more", "data"}…, {"id", "do": "end"}
                                                        → {"id", "done"}: written, fsynced, renamed
    {"id", "do": "get", "path", "most"}                 → pieces of it as of output, then {"id", "done"}

A piece is {"id", "stream": "out"|"err", "data"}. Whatever goes wrong is answered by {"id", "error"}.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

LONGEST_LINE_BYTES = 1 << 20
CHUNK_BYTES = 48 << 10
LINGER_SECONDS = 1.0
"""How long output is read on after a command has ended: something that it left behind may hold the pipes for ever."""
KILL_SECONDS = 30.0
"""How long a killed command may take to go."""
_RNDADDENTROPY = 0x4008_5203
_RNDRESEEDCRNG = 0x5207


class Channel:
    """Lines of JSON over a file descriptor; a socket `ends` when the other side goes, a port never does."""

    def __init__(self, descriptor: int, *, ends: bool) -> None:
        self.ends = ends
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Write one message; waits while the other side does not read."""
        # The line feed before it ends what a reset may have cut.
        data = memoryview(b"\n" + json.dumps(message).encode() + b"\n")
        with self._lock:
            while data:
                data = data[os.write(self._descriptor, data) :]

    def receive(self) -> bytes:
        """Some bytes; nothing at the end of a socket."""
        return os.read(self._descriptor, 1 << 16)


class Upload:
    """A file under way: written beside its place, there when it is complete."""

    def __init__(self, path: Path, mode: int) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.lab-part")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._part.open("wb")
        self._part.chmod(mode)

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def finish(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.rename(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Agent:
    """Does what comes over the channel; commands run side by side."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._commands: dict[int, subprocess.Popen[bytes]] = {}
        self._uploads: dict[int, Upload] = {}

    def serve(self) -> None:
        """Until the channel ends; a virtio-serial port never does."""
        self._channel.send(_hello())
        buffer = b""
        while True:
            data = self._channel.receive()
            if not data:
                if self._channel.ends:
                    return
                time.sleep(0.1)  # nobody is at the other side of the port
                continue
            *lines, buffer = (buffer + data).split(b"\n")
            if len(buffer) > LONGEST_LINE_BYTES:
                buffer = b""
            for line in lines:
                self._handle(line)

    def _handle(self, line: bytes) -> None:
        try:
            request = json.loads(line)
            number, what = int(request["id"]), str(request["do"])
        except (ValueError, KeyError, TypeError):
            return  # the rest of a line that a reset has cut
        try:
            self._do(number, what, request)
        except Exception as error:  # noqa: BLE001 the asker is told, and the next request is served
            self._uploads.pop(number, None)
            self._channel.send({"id": number, "error": f"{what}: {error!r}"})

    def _do(self, number: int, what: str, request: dict[str, Any]) -> None:
        if what == "hello":
            self._channel.send({"id": number, **_hello()})
        elif what == "adjust":
            time.clock_settime(time.CLOCK_REALTIME, float(request["time"]))
            _stir(base64.b64decode(request["entropy"]))
            self._channel.send({"id": number, "done": True})
        elif what == "run":
            threading.Thread(target=self._run, args=(number, request), daemon=True).start()
        elif what == "signal":
            if (process := self._commands.get(number)) is not None:
                _signal_group(process, int(request["signal"]))
        elif what == "put":
            self._uploads[number] = Upload(Path(request["path"]), int(request["mode"]))
        elif what == "more":
            if number in self._uploads:
                self._uploads[number].write(base64.b64decode(request["data"]))
        elif what == "end":
            if number in self._uploads:
                self._uploads.pop(number).finish()
                self._channel.send({"id": number, "done": True})
        elif what == "get":
            threading.Thread(target=self._get, args=(number, request), daemon=True).start()
        else:
            raise ValueError(f"unknown request {what!r}")

    def _output(self, number: int, stream: str, data: bytes) -> None:
        self._channel.send({"id": number, "stream": stream, "data": base64.b64encode(data).decode()})

    def _get(self, number: int, request: dict[str, Any]) -> None:
        try:
            with Path(request["path"]).open("rb") as file:
                left = int(request["most"])
                while data := file.read(CHUNK_BYTES):
                    left -= len(data)
                    if left < 0:
                        raise ValueError(f"longer than {request['most']} bytes")
                    self._output(number, "out", data)
            self._channel.send({"id": number, "done": True})
        except Exception as error:  # noqa: BLE001 the asker is told
            self._channel.send({"id": number, "error": f"get {request.get('path')}: {error!r}"})

    def _run(self, number: int, request: dict[str, Any]) -> None:
        try:
            status, timed_out = self._run_command(number, request)
            self._channel.send({"id": number, "status": status, "timed_out": timed_out})
        except Exception as error:  # noqa: BLE001 the asker is told
            self._channel.send({"id": number, "error": f"run: {error!r}"})
        finally:
            self._commands.pop(number, None)

    def _run_command(self, number: int, request: dict[str, Any]) -> tuple[int, bool]:
        """Run it under bash in a session of its own; the status as a shell has it, and whether its time was up."""
        deadline = time.monotonic() + float(request["seconds"])
        given = Path(request["stdin"]) if request.get("stdin") else None
        with given.open("rb") if given else open(os.devnull, "rb") as stdin:
            process = subprocess.Popen(
                ["/bin/bash", "-c", request["command"]],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env={**os.environ, "HOME": "/root", "LANG": "C.UTF-8"},
                start_new_session=True,
            )
        if given:
            given.unlink()
        self._commands[number] = process
        timed_out = self._follow(number, process, deadline)
        code = process.wait()
        return (code if code >= 0 else 128 - code), timed_out

    def _follow(self, number: int, process: subprocess.Popen[bytes], deadline: float) -> bool:
        """Pass the output on until the command has ended; whether it had to be killed."""
        timed_out = False
        ended = os.pidfd_open(process.pid)
        streams = {"out": process.stdout, "err": process.stderr}
        with selectors.DefaultSelector() as selector:
            selector.register(ended, selectors.EVENT_READ)
            for name, stream in streams.items():
                if stream is not None:
                    selector.register(stream, selectors.EVENT_READ, name)
            while selector.get_map():
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                for key, _ in ready:
                    if key.fileobj == ended:
                        selector.unregister(ended)
                        deadline = min(deadline, time.monotonic() + LINGER_SECONDS)
                    elif data := os.read(key.fd, CHUNK_BYTES):
                        self._output(number, key.data, data)
                    else:
                        selector.unregister(key.fileobj)
                if time.monotonic() >= deadline:
                    if process.poll() is not None:
                        break
                    timed_out = True
                    _signal_group(process, signal.SIGKILL)
                    deadline = time.monotonic() + KILL_SECONDS
        os.close(ended)
        for stream in streams.values():
            if stream is not None:
                stream.close()
        return timed_out


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _hello() -> dict[str, Any]:
    return {
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "uptime": float(Path("/proc/uptime").read_text().split()[0]),
    }


def _stir(entropy: bytes) -> None:
    """Two machines restored from one snapshot must not draw the same random numbers (random(4))."""
    with open("/dev/random", "wb", buffering=0) as device:
        fcntl.ioctl(device, _RNDADDENTROPY, struct.pack("ii", len(entropy) * 8, len(entropy)) + entropy)
        fcntl.ioctl(device, _RNDRESEEDCRNG)


def main(paths: list[str]) -> int:
    """Serve on the first of the channels that exists."""
    for path in paths:
        if Path(path).is_char_device():
            Agent(Channel(os.open(path, os.O_RDWR | os.O_CLOEXEC), ends=False)).serve()
            return 1
        if Path(path).is_socket():
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(path)
                Agent(Channel(connection.fileno(), ends=True)).serve()
            return 1
    print(f"no channel: {' '.join(paths)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

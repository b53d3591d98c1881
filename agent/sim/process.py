"""The farm's process: `python -m agent.sim.process NAME DIRECTORY --modems N --profile NAME`.

It is driven over DIRECTORY/control.sock: one JSON object per line, `{"call": ..., "arguments": {...}}`, answered by
`{"result": ...}` or `{"error": ...}`. It ends, leaving nothing behind, on SIGTERM, on SIGINT, on the call `close`, and
(with --while-stdin-open) when its standard input ends, so that it does not outlive whoever started it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from agent.core.errors import AgentError, ConfigError
from agent.sim.ec25.profile import profile_named
from agent.sim.emulation import TRANSPORTS, Emulation
from agent.sim.leftovers import Footprint, end_programs, remove_leftovers

SOCKET_NAME = "control.sock"
_LONGEST_LINE_BYTES = 1 << 16


class _Process:
    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._directory: Path = options.directory
        self._ended = asyncio.Event()
        self._emulation: Emulation | None = None
        self._failures: list[str] = []
        self._clients: set[asyncio.StreamWriter] = set()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._report)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        profile = profile_named(self._options.profile)
        Footprint.of_this_process(self._options.name).save(self._directory)
        try:
            self._emulation = Emulation(
                self._options.name, self._directory, profile, os.getpid(), self._options.transport
            )
            await self._emulation.start()
            await self._emulation.add(self._options.modems)
            server = await self._listen()
            if self._options.while_stdin_open:
                loop.add_reader(sys.stdin.fileno(), self._stdin_readable)
            print("ready", flush=True)
            await self._ended.wait()
            server.close()
        finally:
            await self._clean_up()
        return 1 if self._failures else 0

    async def _clean_up(self) -> None:
        for client in tuple(self._clients):
            client.close()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, end_programs, self._options.name)
        if self._emulation is not None:
            await self._emulation.close()
        await loop.run_in_executor(None, remove_leftovers, self._options.name, self._directory)

    async def _listen(self) -> asyncio.Server:
        # By a descriptor of the directory: a path in a deep directory does not fit into a socket address.
        directory = os.open(self._directory, os.O_PATH | os.O_DIRECTORY)
        path = f"/proc/self/fd/{directory}/{SOCKET_NAME}"
        server = await asyncio.start_unix_server(self._serve, path, limit=_LONGEST_LINE_BYTES)
        await asyncio.get_running_loop().run_in_executor(None, os.chmod, self._directory / SOCKET_NAME, 0o600)
        return server

    def _stdin_readable(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._ended.set()

    def _report(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        text = f"{context['message']}: {context.get('exception')!r}"
        self._failures.append(text)
        print(text, file=sys.stderr, flush=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            # The client went, or sent an endless line.
            return
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            method, arguments = str(request["call"]), dict(request.get("arguments", {}))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return {"error": f"no request: {error!r}"}
        if method == "close":
            self._ended.set()
            return {"result": None}
        if method == "failures":
            return {"result": self._failures}
        if self._emulation is None:
            return {"error": "the farm is not there yet"}
        try:
            return {"result": await self._emulation.call(method, arguments)}
        except (AgentError, KeyError, TypeError, ValueError, OSError) as error:
            return {"error": f"{method}: {error!r}" if not isinstance(error, AgentError) else str(error)}


def main(arguments: list[str] | None = None) -> int:
    """Run a farm until it is told to end; the exit status is 1 when something in the emulator went wrong."""
    parser = argparse.ArgumentParser(prog="agent.sim.process", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--modems", type=int, default=0)
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--transport", choices=TRANSPORTS, default="pty")
    parser.add_argument("--while-stdin-open", action="store_true")
    options = parser.parse_args(arguments)
    soft_limit, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft_limit, min(hard_limit, 65_536)), hard_limit))
    try:
        return asyncio.run(_Process(options).run())
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 78


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())

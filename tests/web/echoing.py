"""`python -m tests.web.echoing TCP-PORT THREADS`: the gateway under granian, with an application that shows what it
gets."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from granian.constants import Interfaces, Loops
from granian.log import LogLevels
from granian.server.mp import MPServer

from agent.web.gateway import Gateway

StartResponse = Callable[..., Any]


class Echo:
    def __init__(self) -> None:
        self._counted = 0
        self._open = 0
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        stream = environ["wsgi.input"]
        match path:
            case "/echo":
                return self._say(start_response, stream.read())
            case "/count":
                self._counted = 0
                while part := stream.read(10_000):
                    self._counted += len(part)
                return self._say(start_response, b"counted")
            case "/counted":
                return self._say(start_response, str(self._counted).encode())
            case "/endless":
                start_response("200 OK", [])
                return self._endless()
            case "/open":
                return self._say(start_response, str(self._open).encode())
            case "/rss":
                pages = int(Path("/proc/self/statm").read_text().split()[1])
                return self._say(start_response, str(pages * 4096).encode())
            case "/breaks":
                start_response("200 OK", [])
                return self._breaks()
            case "/nothing":
                start_response("204 No Content", [])
                return ()
            case "/slow":
                time.sleep(0.2)
                return self._say(start_response, b"slow")
        shown = {name: value for name, value in environ.items() if isinstance(value, str)}
        return self._say(start_response, json.dumps(shown).encode())

    def _say(self, start_response: StartResponse, body: bytes) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    def _endless(self) -> Iterator[bytes]:
        with self._lock:
            self._open += 1
        try:
            while True:
                yield b"x" * 65536
        finally:
            with self._lock:
                self._open -= 1

    def _breaks(self) -> Iterator[bytes]:
        yield b"begun"
        yield b"going on"
        raise RuntimeError("this is meant")


def main() -> None:
    port, threads = (int(text) for text in sys.argv[1:])
    server = MPServer(
        "echo",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        loop=Loops.asyncio,
        workers=1,
        log_level=LogLevels.error,
        workers_kill_timeout=5,
    )
    server.serve(target_loader=lambda: Gateway(Echo(), threads=threads), wrap_loader=False)


if __name__ == "__main__":
    main()

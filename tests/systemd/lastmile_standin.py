#!/usr/bin/python3
"""Stands in for /usr/bin/lastmile where units are tested and not what they run: it says that it is ready, serves the
socket it was given, leaves what it was told in its runtime directory, and ends when it is told to."""

import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path

REFUSES = Path("/etc/lastmile/refuses")
"""While this is there, its settings cannot be used."""


def notify(text: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(text.encode(), os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))


def credentials() -> dict[str, str]:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return {path.name: path.read_text() for path in Path(folder).iterdir()} if folder else {}


def serve() -> None:
    listener = socket.socket(fileno=3)
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            body = json.dumps({"pid": os.getpid(), "credentials": credentials()})
            connection.sendall(f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


def main() -> int:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if REFUSES.exists():
        return 78
    if sys.argv[1:] == ["migrate"]:
        return 0 if "database.url" in credentials() else 1
    if sys.argv[1:] == ["web"]:
        threading.Thread(target=serve, daemon=True).start()
    else:
        Path(os.environ["RUNTIME_DIRECTORY"], "credentials").write_text(json.dumps(credentials()))
    notify("READY=1")
    while not stop.wait(5):
        notify("WATCHDOG=1")
    return 0


if __name__ == "__main__":
    sys.exit(main())

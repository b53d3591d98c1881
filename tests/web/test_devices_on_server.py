"""What only the real server shows: paths as they come over the wire, and files that come while they are written."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from agent.store.database import Database
from agent.store.rows import Role
from agent.store.tokens import Tokens
from tests.store.cpes import add_device
from tests.store.farm import eventually, rows
from tests.web.conftest import Headers
from tests.web.test_server import Server, free_tcp_port


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def server(url: str, directory: Path) -> Iterator[Server]:
    running = Server(url, free_tcp_port(), str(directory))
    try:
        eventually(running.answers, 20)
        yield running
    finally:
        running.end()


@pytest.fixture
def operator(url: str) -> Headers:
    with Database(url) as database:
        return {"Authorization": f"Bearer {Tokens(database).create('operator', Role.OPERATOR)}"}


@pytest.mark.parametrize("product_class", ["EG8145V5", "Home-Box", "a/b?c#d%e Ü"])
def test_an_encoded_device_id_is_found(server: Server, operator: Headers, url: str, product_class: str) -> None:
    device = add_device(url, product_class=product_class)
    response = server.get(f"/api/devices/{quote(device, safe='')}/parameters", operator)
    assert response.status_code == 200
    assert response.json()["total"] == 2


def test_a_file_is_taken_in_as_a_whole_or_not_at_all(
    server: Server, operator: Headers, url: str, directory: Path
) -> None:
    image = bytes(range(256)) * 20_000
    address = f"http://127.0.0.1:{server.port}/api/files"
    added = httpx.post(f"{address}/a.bin", headers=operator, content=image, timeout=30)
    assert added.status_code == 201
    assert added.json()["sha256"] == hashlib.sha256(image).hexdigest()
    assert server.get("/api/files/a.bin/content", operator).content == image
    assert httpx.post(f"{address}/b", headers=operator, content=iter([b"x"]), timeout=30).status_code == 411
    assert httpx.post(f"{address}/b", content=image, timeout=30).status_code == 401
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        head = f"POST /api/files/b HTTP/1.1\r\nHost: localhost\r\nAuthorization: {operator['Authorization']}\r\n"
        client.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode() + b"x" * 5000)
        eventually(lambda: len(list(directory.iterdir())) == 2)
    eventually(lambda: len(list(directory.iterdir())) == 1)
    assert rows(url, "SELECT name FROM files") == [("a.bin",)]

"""Listening sockets, as the kernel tells them."""

from __future__ import annotations

import os
import socket
import threading
from ipaddress import ip_address

import pytest

from agent.host.proxy.listeners import Answer, find_listeners, knock


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1"])
def test_a_listener_is_found_by_its_address_and_tcp_port(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        tcp_port = server.getsockname()[1]
        (found,) = find_listeners(ip_address(host), tcp_port)
        assert found.uid == os.geteuid()
        assert found.inode == os.fstat(server.fileno()).st_ino
        assert find_listeners(ip_address("127.9.9.9"), tcp_port) == frozenset()
    assert find_listeners(ip_address(host), tcp_port) == frozenset()
    assert knock(ip_address(host), tcp_port, 1) is Answer.REFUSED


def test_a_connection_is_no_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert find_listeners(ip_address("127.0.0.1"), client.getsockname()[1]) == frozenset()


def test_two_that_share_a_tcp_port_are_told_apart() -> None:
    one = socket.create_server(("127.0.0.1", 0), reuse_port=True)
    with one, socket.create_server(one.getsockname(), reuse_port=True) as two:
        found = find_listeners(ip_address("127.0.0.1"), one.getsockname()[1])
        assert {each.inode for each in found} == {os.fstat(each.fileno()).st_ino for each in (one, two)}


def test_one_that_serves_is_told_from_one_that_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        tcp_port = server.getsockname()[1]
        # Nobody accepts: the kernel completes the connection all the same.
        assert knock(ip_address("127.0.0.1"), tcp_port, 0.2) is Answer.SILENT

        def serve() -> None:
            for _ in range(2):
                client, _ = server.accept()
                with client:
                    client.recv(1)

        server_thread = threading.Thread(target=serve)
        server_thread.start()
        assert knock(ip_address("127.0.0.1"), tcp_port, 10) is Answer.SERVED
        server_thread.join(10)

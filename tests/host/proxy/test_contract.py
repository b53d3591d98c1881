"""What clients of a modem's proxy may expect and what they may not have: the same of 3proxy and of its stand-in."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import socket
import time

import pytest

from tests.host.proxy.clients import RefusedError, socks_address
from tests.host.proxy.conftest import LAN_CLIENT, LISTEN, ORIGIN, ORIGIN6, STRANGER, RunningProxy
from tests.host.proxy.examples import SERIAL, USERS
from tests.host.proxy.origin import ECHO_PORT, HTTP_PORT

pytestmark = pytest.mark.root

INSIDE = (
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0.0.0.0",
    "localhost",
    LISTEN,
    "inside.test",
    "host.test",
)
INSIDE6 = ("::1", "::ffff:127.0.0.1", f"::ffff:{LISTEN}", "::")


def told(body: bytes) -> dict[str, object]:
    parsed = json.loads(body)
    assert isinstance(parsed, dict)
    return parsed


def test_http_by_address_and_by_name(proxy: RunningProxy) -> None:
    proxy.start()
    run, client = proxy.world.host.run, proxy.client()
    for host in (ORIGIN, "origin.test"):
        status, body = run(client.http, f"http://{host}:{HTTP_PORT}/a?b=c")
        assert status == 200
        assert told(body)["path"] == "/a?b=c"
        assert told(body)["peer"] == "203.0.113.1"
    assert "origin.test" in proxy.world.origin.queries


def test_a_request_body_is_passed_on(proxy: RunningProxy) -> None:
    proxy.start()
    status, body = proxy.world.host.run(proxy.client().http, f"http://{ORIGIN}:{HTTP_PORT}/", b"x" * 10_000)
    assert status == 200
    assert told(body)["body"] == "x" * 10_000


def test_nothing_tells_the_server_who_the_client_is(proxy: RunningProxy) -> None:
    proxy.start(users=USERS)
    _, body = proxy.world.host.run(proxy.client(USERS[0]).http, f"http://{ORIGIN}:{HTTP_PORT}/")
    headers = {name.lower() for name in dict(told(body)["headers"])}  # type: ignore[call-overload]
    assert not headers & {"forwarded", "via", "x-forwarded-for", "x-real-ip", "proxy-authorization"}
    assert LAN_CLIENT not in body.decode()


def test_connect(proxy: RunningProxy) -> None:
    proxy.start()
    for host in (ORIGIN, "origin.test"):
        assert told(proxy.world.host.run(proxy.client().connect, host, HTTP_PORT))["peer"] == "203.0.113.1"


def test_socks4_and_4a(proxy: RunningProxy) -> None:
    proxy.start()
    for host in (ORIGIN, "origin.test"):
        assert told(proxy.world.host.run(proxy.client().socks4, host, HTTP_PORT))["path"] == "/"


def test_socks5(proxy: RunningProxy) -> None:
    proxy.start()
    for host in (ORIGIN, "origin.test"):
        assert told(proxy.world.host.run(proxy.client().socks5, host, HTTP_PORT))["path"] == "/"


def test_ipv6_by_address_and_where_a_name_has_nothing_else(proxy: RunningProxy) -> None:
    proxy.start()
    for host in (ORIGIN6, "six.test"):
        assert told(proxy.world.host.run(proxy.client().socks5, host, HTTP_PORT))["peer"] == "2001:db8:3::1"
        assert told(proxy.world.host.run(proxy.client().connect, host, HTTP_PORT))["peer"] == "2001:db8:3::1"


@pytest.mark.parametrize("host", [ORIGIN, "origin.test"])
def test_udp_through_socks5(proxy: RunningProxy, host: str) -> None:
    proxy.start()

    def exchange() -> tuple[bytes, bytes]:
        with proxy.client().associated() as (datagrams, relay):
            answers = []
            for text in (b"one", b"two"):
                datagrams.sendto(b"\0\0\0" + socks_address(host, ECHO_PORT) + text, relay)
                answers.append(datagrams.recv(1000))
            return answers[0], answers[1]

    first, second = proxy.world.host.run(exchange)
    assert first == b"\0\0\0" + socks_address(ORIGIN, ECHO_PORT) + b"echo one"
    assert second.endswith(b"echo two")


@pytest.mark.parametrize("host", ["127.0.0.1", LISTEN, "inside.test", "::ffff:127.0.0.1"])
def test_udp_to_the_inside_is_dropped(proxy: RunningProxy, host: str) -> None:
    proxy.start()

    def exchange() -> bytes:
        with proxy.client().associated() as (datagrams, relay):
            datagrams.sendto(b"\0\0\0" + socks_address(ORIGIN, ECHO_PORT) + b"opening", relay)
            assert datagrams.recv(1000).endswith(b"echo opening")
            datagrams.settimeout(0.5)
            datagrams.sendto(b"\0\0\0" + socks_address(host, ECHO_PORT) + b"secret", relay)
            try:
                return datagrams.recv(1000)
            except TimeoutError:
                return b""

    assert proxy.world.host.run(exchange) == b""


def test_the_inside_is_there_without_the_proxy(proxy: RunningProxy) -> None:
    for host in ("127.0.0.1", LISTEN):
        proxy.world.host.run(socket.create_connection, (host, HTTP_PORT), 2).close()


@pytest.mark.parametrize("host", INSIDE)
def test_destinations_inside_are_denied(proxy: RunningProxy, host: str) -> None:
    proxy.start()
    run, client = proxy.world.host.run, proxy.client()
    status, body = run(client.http, f"http://{host}:{HTTP_PORT}/")
    assert status in (403, 502, 503)
    assert b'"peer"' not in body
    for attempt in (client.connect, client.socks5, client.socks4):
        with pytest.raises((RefusedError, ConnectionError)):
            run(attempt, host, HTTP_PORT)


@pytest.mark.parametrize("host", INSIDE6)
def test_destinations_inside_are_denied_in_ipv6_too(proxy: RunningProxy, host: str) -> None:
    proxy.start()
    run, client = proxy.world.host.run, proxy.client()
    status, body = run(client.http, f"http://[{host}]:{HTTP_PORT}/")
    assert status in (403, 502, 503)
    assert b'"peer"' not in body
    for attempt in (client.connect, client.socks5):
        with pytest.raises((RefusedError, ConnectionError)):
            run(attempt, host, HTTP_PORT)


def test_an_address_that_is_denied_is_answered_as_such(proxy: RunningProxy) -> None:
    proxy.start()
    run, client = proxy.world.host.run, proxy.client()
    assert run(client.http, f"http://127.0.0.1:{HTTP_PORT}/")[0] == 403
    with pytest.raises(RefusedError) as refused:
        run(client.connect, "127.0.0.1", HTTP_PORT)
    assert refused.value.code == 403
    with pytest.raises(RefusedError) as refused:
        run(client.socks5, "127.0.0.1", HTTP_PORT)
    assert refused.value.code == 2
    with pytest.raises(RefusedError) as refused:
        run(client.socks4, "127.0.0.1", HTTP_PORT)
    assert refused.value.code == 91


def test_clients_from_elsewhere_are_denied(proxy: RunningProxy) -> None:
    proxy.start()
    run, client = proxy.world.host.run, proxy.client(source=STRANGER)
    assert run(client.http, f"http://{ORIGIN}:{HTTP_PORT}/")[0] == 403
    for attempt in (client.connect, client.socks5, client.socks4):
        with pytest.raises(RefusedError):
            run(attempt, ORIGIN, HTTP_PORT)

    def associate() -> None:
        with client.associated():
            pass

    with pytest.raises((RefusedError, ConnectionError)):  # 3proxy just ends the connection
        run(associate)


def test_no_listener_can_be_had_through_the_proxy(proxy: RunningProxy) -> None:
    proxy.start()
    with pytest.raises(RefusedError) as refused:
        proxy.world.host.run(proxy.client().socks5, ORIGIN, HTTP_PORT, 2)
    assert refused.value.code == 2


def test_what_does_not_answer_or_exist(proxy: RunningProxy) -> None:
    proxy.start()
    run, client = proxy.world.host.run, proxy.client()
    assert run(client.http, f"http://{ORIGIN}:1/")[0] in (502, 503)
    assert run(client.http, "http://nowhere.test/")[0] in (502, 503)
    with pytest.raises(RefusedError) as refused:
        run(client.socks5, ORIGIN, 1)
    assert refused.value.code in (4, 5)
    with pytest.raises(RefusedError) as refused:
        run(client.socks5, "nowhere.test", 80)
    assert refused.value.code == 4


def test_users_log_in(proxy: RunningProxy) -> None:
    proxy.start(users=USERS)
    run = proxy.world.host.run
    for login in USERS:
        client = proxy.client(login)
        assert run(client.http, f"http://{ORIGIN}:{HTTP_PORT}/")[0] == 200
        assert run(client.connect, ORIGIN, HTTP_PORT)
        assert run(client.socks5, ORIGIN, HTTP_PORT)


@pytest.mark.parametrize(
    "login", [None, ("alice", "wrong"), ("alice", ""), ("alice", "battery-staple"), ("mallory", "correct/horse=1")]
)
def test_without_the_right_password_nobody_gets_in(proxy: RunningProxy, login: tuple[str, str] | None) -> None:
    proxy.start(users=USERS)
    run, client = proxy.world.host.run, proxy.client(login)
    assert run(client.http, f"http://{ORIGIN}:{HTTP_PORT}/")[0] == 407
    with pytest.raises(RefusedError) as refused:
        run(client.connect, ORIGIN, HTTP_PORT)
    assert refused.value.code == 407
    for attempt in (client.socks5, client.socks4):
        with pytest.raises(RefusedError):
            run(attempt, ORIGIN, HTTP_PORT)


def test_a_password_is_no_way_in_from_elsewhere_or_to_the_inside(proxy: RunningProxy) -> None:
    proxy.start(users=USERS)
    run = proxy.world.host.run
    assert run(proxy.client(USERS[0], STRANGER).http, f"http://{ORIGIN}:{HTTP_PORT}/")[0] == 403
    assert run(proxy.client(USERS[0]).http, f"http://127.0.0.1:{HTTP_PORT}/")[0] == 403


def test_a_reload_takes_the_new_rules_and_keeps_listening(proxy: RunningProxy) -> None:
    proxy.start()
    run = proxy.world.host.run
    assert run(proxy.client().http, f"http://{ORIGIN}:{HTTP_PORT}/")[0] == 200
    proxy.write(allow=("192.0.2.192/26",))
    proxy.reload()
    denied, deadline = 0, time.monotonic() + 5
    while denied < 10 and time.monotonic() < deadline:
        # Until the old listener is gone, it takes its share of the clients, and resets the last of them.
        with contextlib.suppress(ConnectionError):
            denied += run(proxy.client().http, f"http://{ORIGIN}:{HTTP_PORT}/")[0] == 403
        time.sleep(0.1)
    assert run(proxy.client().http, f"http://{ORIGIN}:{HTTP_PORT}/")[0] == 403
    assert run(proxy.client(source=STRANGER).http, f"http://{ORIGIN}:{HTTP_PORT}/")[0] == 200


def test_a_running_download_survives_a_reload(proxy: RunningProxy) -> None:
    proxy.start()

    def through_a_reload() -> bytes:
        with socket.create_connection((LISTEN, 3128), 5, source_address=(LAN_CLIENT, 0)) as stream:
            stream.sendall(f"CONNECT {ORIGIN}:{HTTP_PORT} HTTP/1.1\r\nHost: {ORIGIN}\r\n\r\n".encode())
            assert b" 200 " in stream.recv(1000)
            proxy.instances.reload(SERIAL)
            time.sleep(1.5)
            stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return stream.recv(1000)

    assert b" 200 " in proxy.world.host.run(through_a_reload)


def test_the_access_log_is_json(proxy: RunningProxy) -> None:
    proxy.start()
    proxy.world.host.run(proxy.client().http, f'http://{ORIGIN}:{HTTP_PORT}/"\\')
    proxy.world.host.run(proxy.client().http, f"http://127.0.0.1:{HTTP_PORT}/")
    log = proxy.folder / "run" / f"{SERIAL}.log"
    deadline = time.monotonic() + 5
    records: list[dict[str, object]] = []
    while len(records) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
        lines = [json.loads(line) for line in log.read_bytes().decode("utf-8", "replace").splitlines()]
        records = [line for line in lines if line["service"] == "PROXY"]
    good, bad = records
    assert (good["error"], good["client"], good["target"], good["target_tcp_port"]) == (
        "00000",
        LAN_CLIENT,
        ORIGIN,
        HTTP_PORT,
    )
    assert bad["error"] == "00001"
    assert str(good["time"]).endswith("Z")


def test_many_clients_at_once(proxy: RunningProxy) -> None:
    proxy.start()

    def crowd() -> list[int]:
        # Threads that are made in the host's namespace stay in it.
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            client, url = proxy.client(), f"http://{ORIGIN}:{HTTP_PORT}/"
            return [answer.result()[0] for answer in [pool.submit(client.http, url) for _ in range(64)]]

    assert proxy.world.host.run(crowd) == [200] * 64

"""What the worker does about the answer to a connection request."""

from __future__ import annotations

import socket
import threading
import time
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from agent.acs.connection_request.answer import Login
from agent.acs.connection_request.outcome import Accepted, Busy, Outcome, Refused, Unreachable, Why
from agent.acs.connection_request.policy import Policy, parse_url
from agent.core.clock import Deadline
from agent.store.calls import Call
from agent.worker.caller import Heard, Reply
from agent.worker.http_call import HttpCall, reply_of, resolve
from tests.worker.cpe import head, say, serve, trickle

LOOPBACK = Policy(allow=(ip_network("127.0.0.0/8"),))
CHALLENGE = head("401 Unauthorized", 'WWW-Authenticate: Digest realm="cpe", nonce="n", qop="auth"')


def ask(url: str | None, *, policy: Policy = LOOPBACK, login: Login | None = None, seconds: float = 5.0) -> Reply:
    call = Call(id=1, device_id="00AB12-X-1", url=url, attempts=1)
    return HttpCall(lambda: policy, lambda _device: login).ask(call, Deadline.after(seconds))


@pytest.mark.parametrize(
    ("outcome", "heard", "reason"),
    [
        (Accepted(200), Heard.ACCEPTED, ""),
        (Busy("in a session", 5.0), Heard.BUSY, "in a session"),
        (Unreachable("no route"), Heard.UNREACHABLE, "no route"),
        (Refused(Why.NO_LOGIN), Heard.REFUSED, "a password"),
        (Refused(Why.FORBIDDEN, "loopback"), Heard.REFUSED, "loopback"),
    ],
)
def test_what_may_change_is_tried_again_and_the_rest_is_not(outcome: Outcome, heard: Heard, reason: str) -> None:
    reply = reply_of(outcome)
    assert reply.heard is heard
    assert reason in reply.reason


@pytest.mark.parametrize("url", [None, "", "ftp://192.0.2.7/", "http://user@192.0.2.7/", "not a url"])
def test_without_a_url_that_may_be_asked_nobody_is(url: str | None) -> None:
    reply = ask(url)
    assert reply.heard is Heard.REFUSED
    assert "ConnectionRequestURL" in reply.reason


def test_the_hosts_own_network_is_not_asked() -> None:
    with serve(say(head("200 OK"))) as cpe:
        reply = ask(f"http://127.0.0.1:{cpe.tcp_port}/", policy=Policy())
        named = ask(f"http://localhost:{cpe.tcp_port}/", policy=Policy())
    assert (reply.heard, named.heard) == (Heard.REFUSED, Heard.REFUSED)
    assert "acs.connection_request_allow" in reply.reason
    assert cpe.requests == []


def test_the_device_is_told_what_is_set_for_it() -> None:
    asked: list[str] = []

    def login_of(device: str) -> Login:
        asked.append(device)
        return Login(username=device, password="geheim")

    with serve(say(CHALLENGE, head("200 OK"))) as cpe:
        call = Call(id=1, device_id="00AB12-X-1", url=f"http://127.0.0.1:{cpe.tcp_port}/cr", attempts=1)
        reply = HttpCall(lambda: LOOPBACK, login_of).ask(call, Deadline.after(5))
    assert reply == Reply(heard=Heard.ACCEPTED)
    assert asked == ["00AB12-X-1"]
    assert 'username="00AB12-X-1"' in cpe.authorizations[0]
    assert "geheim" not in "".join(cpe.requests)


def test_it_ends_by_its_deadline_whatever_the_device_does() -> None:
    with serve(trickle(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000)) as cpe:
        begin = time.monotonic()
        reply = ask(f"http://127.0.0.1:{cpe.tcp_port}/", seconds=0.3)
    assert reply.heard is Heard.UNREACHABLE
    assert time.monotonic() - begin < 5


def test_an_accepted_request_whose_body_trickles_is_accepted_soon() -> None:
    with serve(trickle(b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 1000, pause_seconds=0.005)) as cpe:
        begin = time.monotonic()
        assert ask(f"http://127.0.0.1:{cpe.tcp_port}/", seconds=20).heard is Heard.ACCEPTED
    assert time.monotonic() - begin < 5


class TestResolve:
    def infos(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        def found(*_: Any, **__: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 80)) for each in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", found)

    def test_all_addresses_of_a_name_are_found_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.infos(monkeypatch, "192.0.2.7", "2001:db8::7", "192.0.2.7", "fe80::1%2")
        target = parse_url("http://cpe.example.net/")
        found = [ip_address("192.0.2.7"), ip_address("2001:db8::7"), ip_address("fe80::1")]
        assert resolve(target, Deadline.after(5)) == found

    def test_a_name_that_also_leads_inside_is_not_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.infos(monkeypatch, "192.0.2.7", "127.0.0.1")
        reply = ask("http://cpe.example.net/", policy=Policy())
        assert reply.heard is Heard.REFUSED
        assert "127.0.0.1 is a loopback address" in reply.reason

    def test_a_name_that_nobody_knows_may_be_known_later(self) -> None:
        reply = ask("http://cpe.invalid/")
        assert reply.heard is Heard.UNREACHABLE
        assert "cpe.invalid" in reply.reason

    def test_a_resolver_that_does_not_answer_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ended = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(10) and [])
        try:
            reply = ask("http://cpe.example.net/", seconds=0.1)
        finally:
            ended.set()
        assert reply.heard is Heard.UNREACHABLE
        assert "does not answer" in reply.reason

    def test_a_name_that_cannot_be_looked_up_is_said_to_be_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise UnicodeError("label empty or too long")

        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        assert "cannot be" in ask("http://cpe.example.net/").reason

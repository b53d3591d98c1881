"""Connection requests to CPEs on loopback that are helpful, busy, broken or hostile."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from agent.acs.connection_request.answer import Login, answer_challenge
from agent.acs.connection_request.outcome import Accepted, Busy, Outcome, Refused, Unreachable, Why
from agent.acs.connection_request.policy import Address, Policy, Target, parse_url
from agent.core.clock import Deadline
from agent.worker.http_request import BODY_MOST, request
from tests.worker.cpe import Cpe, Talk, head, say, serve, silence, trickle

LOOPBACK = Policy(allow=(ip_network("127.0.0.0/8"), ip_network("::1/128")), own=(ip_address("127.0.0.1"),))
LOGIN = Login(username="acs", password="secret")
CHALLENGE = 'WWW-Authenticate: Digest realm="cpe", nonce="abc", qop="auth", algorithm=MD5'
UNAUTHORIZED = head("401 Unauthorized", CHALLENGE, body="who are you")
CLOSING = head("401 Unauthorized", CHALLENGE, "Connection: close", body="who are you")
OK = head("200 OK")
SHORT_SECONDS = 0.3


@dataclass
class Names:
    """A resolver that knows what a test tells it."""

    addresses: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)

    def __call__(self, target: Target, deadline: Deadline, /) -> Sequence[Address]:
        self.asked.append(target.host)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [ip_address(each) for each in self.addresses]


def ask(
    url: str,
    *,
    login: Login | None = LOGIN,
    policy: Policy = LOOPBACK,
    resolver: Names | None = None,
    seconds: float = 5.0,
) -> Outcome:
    deadline = Deadline.after(seconds)
    return request(parse_url(url), login, deadline=deadline, policy=policy, resolver=resolver or Names())


def why(outcome: Outcome) -> Why:
    assert isinstance(outcome, Refused), outcome
    return outcome.why


def url_of(cpe: Cpe, path: str = "/cr?id=1") -> str:
    return f"http://127.0.0.1:{cpe.tcp_port}{path}"


def guarded(connection: socket.socket, cpe: Cpe) -> None:
    """A CPE that wants the right digest, on whichever connection."""
    while text := cpe.read(connection):
        right = answer_challenge(
            [CHALLENGE.partition(": ")[2]], LOGIN, method="GET", uri="/cr?id=1", cnonce=_cnonce(cpe) or ""
        )
        given = cpe.authorizations[-1] if "Authorization" in text else None
        connection.sendall(OK if given == right else UNAUTHORIZED)


def _cnonce(cpe: Cpe) -> str | None:
    return cpe.authorizations[-1].partition('cnonce="')[2].rstrip('"') if cpe.authorizations else None


# Accepted


@pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
def test_a_cpe_that_wants_no_password_is_asked_once(status: str) -> None:
    with serve(say(head(status))) as cpe:
        assert ask(url_of(cpe)) == Accepted(int(status[:3]))

    assert len(cpe.requests) == 1
    assert cpe.requests[0].startswith(f"GET /cr?id=1 HTTP/1.1\r\nHost: 127.0.0.1:{cpe.tcp_port}\r\n")
    assert not cpe.authorizations


def test_a_digest_is_given_on_the_same_connection() -> None:
    with serve(guarded) as cpe:
        assert ask(url_of(cpe)) == Accepted(200)

    assert (cpe.connections, len(cpe.requests)) == (1, 2)


def test_a_digest_is_given_on_another_connection_where_the_first_is_ended() -> None:
    with serve(say(CLOSING), guarded) as cpe:
        assert ask(url_of(cpe)) == Accepted(200)

    assert cpe.connections == 2


def test_a_connection_that_ends_although_it_was_to_be_kept_is_made_anew() -> None:
    with serve(say(UNAUTHORIZED), guarded) as cpe:
        assert ask(url_of(cpe)) == Accepted(200)

    assert cpe.connections == 2


def test_each_request_has_a_client_nonce_of_its_own() -> None:
    with serve(guarded) as cpe:
        ask(url_of(cpe))
        ask(url_of(cpe))

    assert len(set(cpe.authorizations)) == 2


def test_the_head_alone_counts_however_it_ends() -> None:
    with serve(say(b"HTTP/1.0 200 OK\n")) as cpe:
        assert ask(url_of(cpe)) == Accepted(200)


def test_a_cpe_at_an_ipv6_address() -> None:
    with serve(guarded, host="::1") as cpe:
        assert ask(f"http://[::1]:{cpe.tcp_port}/cr?id=1") == Accepted(200)

    assert f"\r\nHost: [::1]:{cpe.tcp_port}\r\n" in cpe.requests[0]


def test_basic_is_given_only_where_it_is_allowed() -> None:
    basic = head("401 x", 'WWW-Authenticate: Basic realm="cpe"')
    with serve(say(basic, OK)) as cpe:
        assert why(ask(url_of(cpe))) is Why.NO_SCHEME
        assert ask(url_of(cpe), policy=replace(LOOPBACK, basic_allowed=True)) == Accepted(200)

    assert cpe.authorizations == ["Basic YWNzOnNlY3JldA=="]


# Refused, busy


def test_a_second_401_is_a_wrong_password() -> None:
    with serve(guarded) as cpe:
        assert why(ask(url_of(cpe), login=Login(username="acs", password="wrong"))) is Why.CREDENTIALS

    assert len(cpe.requests) == 2


def test_without_a_password_it_ends_at_the_challenge() -> None:
    with serve(guarded) as cpe:
        assert why(ask(url_of(cpe), login=None)) is Why.NO_LOGIN

    assert len(cpe.requests) == 1


def test_a_login_cannot_begin_a_header_of_its_own() -> None:
    with serve(guarded) as cpe:
        assert isinstance(ask(url_of(cpe), login=Login(username="acs\r\nX-Evil: 1", password="x")), Refused)

    assert len(cpe.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    with serve(say(OK)) as other, serve(say(head(f"{status} x", f"Location: {url_of(other)}"))) as cpe:
        assert why(ask(url_of(cpe))) is Why.REDIRECT

    assert other.requests == []


@pytest.mark.parametrize("status", [400, 403, 404, 407, 500, 502, 202, 101])
def test_any_other_status_is_a_refusal(status: int) -> None:
    with serve(say(head(f"{status} x"))) as cpe:
        outcome = ask(url_of(cpe))

    assert outcome == Refused(Why.STATUS, f"HTTP {status}")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Retry-After: 120", 120.0),
        ("Retry-After: 99999", 3600.0),
        ("Retry-After: Fri, 01 Jan 2027", None),
        ("X: y", None),
    ],
)
def test_a_busy_cpe_may_say_for_how_long(header: str, seconds: float | None) -> None:
    with serve(say(head("503 Busy", header))) as cpe:
        outcome = ask(url_of(cpe))

    assert isinstance(outcome, Busy)
    assert outcome.retry_after_seconds == seconds


def test_a_cpe_that_was_busy_is_free_the_next_time() -> None:
    with serve(say(UNAUTHORIZED, head("503 Busy")), guarded) as cpe:
        assert isinstance(ask(url_of(cpe)), Busy)
        assert ask(url_of(cpe)) == Accepted(200)


@pytest.mark.parametrize(
    "talk", [say(b"SSH-2.0-dropbear\r\n"), say(b"\x15\x03\x01\x00\x02\x02\x46"), say(b"HTTP/3 200\n\n")]
)
def test_what_speaks_no_http_is_refused(talk: Talk) -> None:
    with serve(talk) as cpe:
        assert why(ask(url_of(cpe))) is Why.PROTOCOL


# Time and size


def test_a_trickled_head_ends_at_the_deadline() -> None:
    with serve(trickle(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000)) as cpe:
        start = time.monotonic()
        outcome = ask(url_of(cpe), seconds=SHORT_SECONDS)

    assert outcome == Unreachable(f"127.0.0.1 TCP port {cpe.tcp_port}: timed out")
    assert time.monotonic() - start < 5


def test_silence_ends_at_the_deadline() -> None:
    with serve(silence) as cpe:
        assert isinstance(ask(url_of(cpe), seconds=SHORT_SECONDS), Unreachable)


def test_endless_interim_answers_end() -> None:
    with serve(say(b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000)) as cpe:
        assert why(ask(url_of(cpe))) is Why.PROTOCOL


def test_an_endless_head_ends() -> None:
    with serve(say(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100_000)) as cpe:
        assert why(ask(url_of(cpe))) is Why.PROTOCOL


def test_a_huge_body_is_not_waited_for() -> None:
    sent: list[int] = []

    def pour(connection: socket.socket, cpe: Cpe) -> None:
        cpe.read(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        sent.extend(connection.send(b"x" * 65_536) for _ in range(10_000))

    with serve(pour) as cpe:
        assert ask(url_of(cpe)) == Accepted(200)

    assert sum(sent) < 100_000_000


@pytest.mark.parametrize("length", ["", f"Content-Length: {BODY_MOST}\r\n"])
def test_a_body_that_does_not_come_changes_nothing(length: str) -> None:
    def stall(connection: socket.socket, cpe: Cpe) -> None:
        cpe.read(connection)
        connection.sendall(f"HTTP/1.1 200 OK\r\n{length}\r\nx".encode())
        silence(connection, cpe)

    with serve(stall) as cpe:
        assert ask(url_of(cpe)) == Accepted(200)


def test_a_connection_that_ends_without_an_answer_is_no_answer() -> None:
    with serve(say(b"")) as cpe:
        outcome = ask(url_of(cpe))

    assert isinstance(outcome, Unreachable)
    assert "without an answer" in outcome.reason


def test_nobody_there() -> None:
    with serve(say(OK)) as cpe:
        pass

    outcome = ask(url_of(cpe))

    assert isinstance(outcome, Unreachable)
    assert "refused" in outcome.reason


def test_a_deadline_that_has_passed_sends_nothing() -> None:
    with serve(say(OK)) as cpe:
        assert isinstance(ask(url_of(cpe), seconds=0.0), Unreachable)

    assert cpe.requests == []


# Names


def test_a_name_is_resolved_once_and_its_address_is_asked_under_its_name() -> None:
    names = Names(("127.0.0.1",))
    with serve(say(CLOSING), guarded) as cpe:
        assert ask(f"http://cpe.example.org:{cpe.tcp_port}/cr?id=1", resolver=names) == Accepted(200)

    assert names.asked == ["cpe.example.org"]
    assert all(f"\r\nHost: cpe.example.org:{cpe.tcp_port}\r\n" in text for text in cpe.requests)


def test_an_address_needs_no_resolver() -> None:
    names = Names()
    with serve(say(OK)) as cpe:
        ask(url_of(cpe), resolver=names)

    assert names.asked == []


def test_a_name_that_nobody_knows() -> None:
    outcome = ask("http://cpe.example.org/")

    assert isinstance(outcome, Unreachable)
    assert "cpe.example.org" in outcome.reason


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("::1",), ("203.0.113.1", "127.0.0.1"), ("::ffff:127.0.0.1",)])
def test_a_name_that_leads_inside_is_not_asked(addresses: tuple[str, ...]) -> None:
    with serve(say(OK)) as cpe:
        outcome = ask(f"http://cpe.example.org:{cpe.tcp_port}/", policy=Policy(), resolver=Names(addresses))

    assert why(outcome) is Why.FORBIDDEN
    assert cpe.connections <= 1, "but for the one that ends the server"
    assert cpe.requests == []


def test_a_denied_tcp_port_is_not_asked() -> None:
    with serve(say(OK)) as cpe:
        policy = replace(LOOPBACK, denied_tcp_ports=frozenset({cpe.tcp_port}))
        assert why(ask(url_of(cpe), policy=policy)) is Why.FORBIDDEN

    assert cpe.requests == []


def test_the_next_address_is_tried_when_nobody_is_at_the_first() -> None:
    with serve(guarded) as cpe:
        names = Names(("::1", "127.0.0.1"))
        assert ask(f"http://cpe.example.org:{cpe.tcp_port}/cr?id=1", resolver=names) == Accepted(200)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and the certificate that a CPE has made itself."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "cpe.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(
        [*command, "-keyout", path, "-out", path.with_suffix(".crt"), "-days", "2", "-subj", "/CN=cpe"],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


@pytest.fixture
def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_https_with_a_certificate_of_the_cpes_own(server_context: ssl.SSLContext) -> None:
    with serve(guarded, tls=server_context) as cpe:
        assert ask(f"https://127.0.0.1:{cpe.tcp_port}/cr?id=1") == Accepted(200)

    assert cpe.connections == 1


def test_such_a_certificate_is_refused_where_a_known_authority_is_wanted(server_context: ssl.SSLContext) -> None:
    with serve(guarded, tls=server_context) as cpe:
        outcome = ask(f"https://127.0.0.1:{cpe.tcp_port}/cr?id=1", policy=replace(LOOPBACK, verify_tls=True))

    assert why(outcome) is Why.CERTIFICATE
    assert cpe.requests == []


def test_a_handshake_that_does_not_come_ends_at_the_deadline() -> None:
    with serve(silence) as cpe:
        assert isinstance(ask(f"https://127.0.0.1:{cpe.tcp_port}/", seconds=SHORT_SECONDS), Unreachable)


def test_a_trickled_handshake_ends_at_the_deadline() -> None:
    def trickle_record(connection: socket.socket, cpe: Cpe) -> None:
        connection.recv(4096)
        for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 500:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)

    with serve(trickle_record) as cpe:
        start = time.monotonic()
        assert isinstance(ask(f"https://127.0.0.1:{cpe.tcp_port}/", seconds=SHORT_SECONDS), Unreachable)

    assert time.monotonic() - start < 5


def test_plain_http_where_tls_is_wanted_is_no_answer() -> None:
    def answer_anything(connection: socket.socket, cpe: Cpe) -> None:
        connection.recv(4096)
        connection.sendall(OK)

    with serve(answer_anything) as cpe:
        assert isinstance(ask(f"https://127.0.0.1:{cpe.tcp_port}/"), Unreachable)

"""How CPEs speak HTTP: authentication, cookies, connections, codings, redirects, TLS."""

from __future__ import annotations

import base64
import gzip
import re
import socket
import ssl
import subprocess
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sim.cpe.http_auth import Auth, DigestInput, digest_response, parse_challenges
from agent.sim.cpe.records import Outcome
from agent.sim.cpe.wire import Coding, Cookies, Wire
from tests.sim.cpe import rpc_xml
from tests.sim.cpe.conftest import MakeCpe
from tests.sim.cpe.rpc_xml import IGD
from tests.sim.cpe.scripted_acs import Reply, ScriptedAcs, envelope

_ASK = rpc_xml.get_values(IGD + "DeviceInfo.SerialNumber")


def test_digests_are_those_of_the_standards() -> None:
    # RFC 7616 §3.9.1 and RFC 2617 §3.5.
    common = {"username": "Mufasa", "method": "GET", "uri": "/dir/index.html", "qop": "auth", "nonce_count": "00000001"}
    new = {
        "password": "Circle of Life",
        "realm": "http-auth@example.org",
        "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "client_nonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    }
    assert digest_response(DigestInput(algorithm="MD5", **common, **new)) == "8ca523f5e9506fed4657c9700eebdbec"
    assert digest_response(DigestInput(algorithm="SHA-256", **common, **new)) == (
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    )
    old = {
        "password": "Circle Of Life",
        "realm": "testrealm@host.com",
        "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        "client_nonce": "0a4f113b",
    }
    assert digest_response(DigestInput(algorithm="MD5", **common, **old)) == "6629fae49393a05397450978507c4ef1"


def test_challenges_are_taken_apart() -> None:
    told = parse_challenges(['Digest realm="a, b", nonce="n\\"1", qop="auth,auth-int", Basic realm="c"', "Negotiate"])
    assert [each.scheme for each in told] == ["digest", "basic"]
    assert told[0].parameters == {"realm": "a, b", "nonce": 'n"1', "qop": "auth,auth-int"}


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_digest(acs: ScriptedAcs, make_cpe: MakeCpe, algorithm: str) -> None:
    cpe = make_cpe(wire=Wire(auth=Auth.DIGEST), username="user-@SERIAL@", password="pass")
    acs.digest = (f"user-{cpe.serial_number}", "pass", algorithm)
    acs.ask(_ASK)
    report = cpe.run_session()
    assert (report.outcome, report.statuses) == (Outcome.COMPLETED, (401, 200, 200, 204))
    counts = [re.findall(r"nc=(\w+)", each.headers.get("authorization", "")) for each in acs.received]
    assert counts == [[], ["00000001"], ["00000002"], ["00000003"]]
    # The next session begins without authentication again.
    assert cpe.run_session().statuses == (401, 200, 204)


def test_digest_with_a_remembered_nonce(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    acs.digest = ("user", "pass", "MD5")
    cpe = make_cpe(wire=Wire(auth=Auth.DIGEST, remembers_nonce=True), username="user", password="pass")
    assert cpe.run_session().statuses == (401, 200, 204)
    assert cpe.run_session().statuses == (200, 204)


def test_a_wrong_password_and_no_password_are_refused(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    acs.digest = ("user", "pass", "MD5")
    for auth, password, statuses in (
        (Auth.DIGEST, "wrong", (401, 401)),
        (Auth.NONE, "", (401,)),
        (Auth.BASIC, "pass", (401,)),
    ):
        report = make_cpe(wire=Wire(auth=auth), username="user", password=password).run_session()
        assert (report.outcome, report.statuses) == (Outcome.REFUSED, statuses)


def test_a_stale_nonce_is_renewed(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    acs.digest = ("user", "pass", "MD5")
    challenge = {"WWW-Authenticate": 'Digest realm="acs", qop="auth", nonce="n0nce", stale=true'}
    acs.hooks.append(lambda received: Reply(401, b"", challenge) if received.method == "" else None)
    report = make_cpe(wire=Wire(auth=Auth.DIGEST), username="user", password="pass").run_session()
    assert (report.outcome, report.statuses) == (Outcome.COMPLETED, (401, 200, 401, 204))


def test_basic_asked_and_unasked(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    wanted = "Basic " + base64.b64encode(b"user:pass").decode()
    acs.hooks.append(lambda _: Reply(401, b"", {"WWW-Authenticate": 'Basic realm="acs"'}))
    make_cpe(wire=Wire(auth=Auth.BASIC), username="user", password="pass").run_session()
    assert [each.headers.get("authorization") for each in acs.received] == [None, wanted, wanted]
    acs.received.clear()
    make_cpe(wire=Wire(auth=Auth.BASIC_UNASKED), username="user", password="pass").run_session()
    assert [each.headers.get("authorization") for each in acs.received] == [wanted, wanted]


def test_an_empty_first_post_is_challenged(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    acs.digest = ("user", "pass", "MD5")
    cpe = make_cpe(wire=Wire(auth=Auth.DIGEST, empty_first_post=True), username="user", password="pass")
    report = cpe.run_session()
    assert acs.methods() == ["", "", "Inform", ""]
    assert report.statuses == (401, 204, 200, 204)


@pytest.mark.parametrize(
    ("cookies", "sent"),
    [
        (Cookies.KEPT, [None, "session=1", "session=1"]),
        (Cookies.LOST_AFTER_INFORM, [None, None, None]),
        (Cookies.NEVER, [None, None, None]),
    ],
)
def test_cookies(acs: ScriptedAcs, make_cpe: MakeCpe, cookies: Cookies, sent: list[str | None]) -> None:
    cpe = make_cpe(wire=Wire(cookies=cookies))
    for _ in range(2):
        acs.received.clear()
        acs.ask(_ASK)
        assert cpe.run_session().completed
        assert [each.headers.get("cookie") for each in acs.received] == sent


def test_a_cookie_of_a_challenge_is_lost_after_the_inform(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    challenge = {"WWW-Authenticate": 'Basic realm="acs"', "Set-Cookie": "c=2"}
    acs.hooks.append(lambda _: Reply(401, b"", challenge))
    wire = Wire(auth=Auth.BASIC, cookies=Cookies.LOST_AFTER_INFORM)
    make_cpe(wire=wire, username="user", password="pass").run_session()
    assert [each.headers.get("cookie") for each in acs.received] == [None, "c=2", None]


def test_one_connection_or_one_for_every_post(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    acs.ask(_ASK, _ASK)
    assert make_cpe(wire=Wire(new_connection_per_post=True)).run_session().connections == 4
    assert len({each.connection for each in acs.received}) == 4
    acs.received.clear()
    acs.ask(_ASK, _ASK)
    assert make_cpe(wire=Wire(http_1_0=True)).run_session().connections == 4
    assert {each.version for each in acs.received} == {"HTTP/1.0"}


@pytest.mark.parametrize(
    "wire",
    [Wire(coding=Coding.GZIP), Wire(coding=Coding.DEFLATE), Wire(chunked=True), Wire(coding=Coding.GZIP, chunked=True)],
)
def test_codings(acs: ScriptedAcs, make_cpe: MakeCpe, wire: Wire) -> None:
    acs.ask(rpc_xml.get_values(""))
    report = make_cpe(wire=wire).run_session()
    assert (report.outcome, acs.methods()) == (Outcome.COMPLETED, ["Inform", "", "GetParameterValuesResponse"])
    assert acs.received[0].headers.get("content-encoding", "") == wire.coding.value
    assert ("transfer-encoding" in acs.received[0].headers) == wire.chunked


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_an_answer_in_a_coding_is_understood(acs: ScriptedAcs, make_cpe: MakeCpe, coding: str) -> None:
    body = envelope(_ASK)
    told = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    acs.hooks.append(lambda received: Reply(200, told, {"Content-Encoding": coding}) if received.method == "" else None)
    assert make_cpe().run_session().rpcs == ("GetParameterValues",)
    acs.hooks.append(
        lambda received: Reply(200, b"no", {"Content-Encoding": coding}) if received.method == "" else None
    )
    assert make_cpe().run_session().outcome is Outcome.NONSENSE


def test_headers_as_real_devices_send_them(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    make_cpe(wire=Wire(content_type="text/xml; encoding=utf-8", soap_action=None)).run_session()
    make_cpe(wire=Wire(content_type=None, soap_action="")).run_session()
    told = [(each.headers.get("content-type"), each.headers.get("soapaction")) for each in acs.received]
    assert told == [("text/xml; encoding=utf-8", None), (None, None), (None, ""), (None, "")]


def test_redirects_are_followed_for_the_rest_of_the_session(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    acs.hooks.append(lambda _: Reply(307, b"", {"Location": "/moved?x=1"}))
    report = make_cpe().run_session()
    assert (report.outcome, report.statuses) == (Outcome.COMPLETED, (307, 200, 204))
    assert [each.path for each in acs.received] == ["/", "/moved?x=1", "/moved?x=1"]
    acs.hooks.append(lambda _: Reply(302, b"", {"Location": acs.url}))
    assert make_cpe(wire=Wire(follows_redirects=False)).run_session().outcome is Outcome.REFUSED
    for _ in range(20):
        acs.hooks.append(lambda _: Reply(302, b"", {"Location": "/"}))
    assert make_cpe().run_session().outcome is Outcome.REFUSED


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def test_every_wait_has_a_deadline(silent: str, make_cpe: MakeCpe) -> None:
    report = make_cpe(url=silent, wire=Wire(timeout_seconds=0.05)).run_session()
    assert (report.outcome, report.seconds < 5) == (Outcome.TIMED_OUT, True)


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"])
def test_what_is_no_http_or_ends_early(make_cpe: MakeCpe, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        report = make_cpe(url=f"http://127.0.0.1:{server.getsockname()[1]}/").run_session()
        thread.join(10)
    assert report.outcome in {Outcome.NONSENSE, Outcome.BROKEN}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    names = [
        "-subj",
        "/CN=acs",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(path),
        "-out",
        str(path) + ".crt",
    ]
    subprocess.run([*command, *names], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + Path(str(path) + ".crt").read_bytes())
    return path


def test_tls(certificate: Path, make_cpe: MakeCpe) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    acs = ScriptedAcs(context)
    try:
        trusting = ssl.create_default_context(cafile=str(certificate) + ".crt")
        report = make_cpe(url=acs.url, wire=Wire(tls=trusting)).run_session()
        assert (report.outcome, acs.methods()) == (Outcome.COMPLETED, ["Inform", ""])
        assert make_cpe(url=acs.url).run_session().outcome is Outcome.UNREACHABLE
    finally:
        acs.close()

"""Webhooks, mail and syslog against receivers that really listen, are slow, or refuse."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from agent.acs.connection_request.policy import Address, Policy, Target
from agent.alert.messages import is_signed
from agent.core.clock import Deadline, wall
from agent.store.alert_deliveries import Destination
from agent.store.alert_rows import TargetKind
from agent.web.certificates import provide_certificate
from agent.worker.mail import Mail, MailServer
from agent.worker.syslog import Syslog
from agent.worker.telling import Heard, Letter, Told
from agent.worker.webhook import Webhook
from tests.alert.test_messages import CLOSED, MESSAGE
from tests.worker.cpe import Cpe, Talk, head, serve, silence, trickle
from tests.worker.receivers import HttpReceiver, MailReceiver, http_receiver, mail_receiver

LOOPBACK = Policy(
    allow=(ip_network("127.0.0.0/8"),), own=(ip_address("127.0.0.1"),), verify_tls=True, settings="alerts.target"
)
LETTER = Letter(id=42, message=MESSAGE)
SECRET = "s3cret"
TAKEN = Told(heard=Heard.TAKEN)


def hook(url: str, secret: str | None = SECRET) -> Destination:
    return Destination(target_id=1, kind=TargetKind.WEBHOOK, settings={"url": url}, secret=secret)


def post(url: str, policy: Policy = LOOPBACK, seconds: float = 5.0, names: Sequence[str] = ()) -> Told:
    def resolver(target: Target, deadline: Deadline, /) -> Sequence[Address]:
        if not names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [ip_address(each) for each in names]

    return Webhook(lambda: policy, "https://lastmile.example.org", resolver)(
        hook(url), [LETTER], Deadline.after(seconds)
    )


def test_a_webhook_gets_the_alert_signed() -> None:
    with http_receiver(HttpReceiver()) as receiver:
        assert post(receiver.url) == TAKEN
    (posted,) = receiver.posted
    body = json.loads(posted.body)
    assert (posted.path, body["event"], body["alert"]["id"]) == ("/hook?x=1", "opened", 7)
    assert (posted.headers["X-Lastmile-Event"], posted.headers["X-Lastmile-Delivery"]) == ("opened", "42")
    assert posted.headers["Content-Type"] == "application/json"
    assert is_signed(SECRET, posted.body, posted.headers["X-Lastmile-Signature"], int(time.time()))


def test_one_without_a_secret_is_not_signed() -> None:
    with http_receiver(HttpReceiver()) as receiver:
        told = Webhook(lambda: LOOPBACK)(hook(receiver.url, None), [LETTER], Deadline.after(5))
    assert told == TAKEN
    assert "X-Lastmile-Signature" not in receiver.posted[0].headers


ANSWERS = {200: Heard.TAKEN, 202: Heard.TAKEN}
ANSWERS |= dict.fromkeys((408, 429, 500, 503), Heard.LATER)
ANSWERS |= dict.fromkeys((302, 308, 400, 401, 404, 410), Heard.NEVER)


@pytest.mark.parametrize(("status", "heard"), ANSWERS.items())
def test_a_status_says_whether_it_is_tried_again(status: int, heard: Heard) -> None:
    with http_receiver(HttpReceiver(answer=lambda _: (status, {"Location": "http://127.0.0.1:1/"}))) as receiver:
        told = post(receiver.url)
    assert (told.heard, len(receiver.posted)) == (heard, 1)
    assert told.reason == "" if heard is Heard.TAKEN else str(status) in told.reason


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "http://[::1]:1/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:127.0.0.1]:1/",
        "http://192.0.2.7/",
        "http://0x7f.1/",
        "http://user:secret@192.0.2.9/",
        "ftp://192.0.2.9/",
        "file:///etc/passwd",
        "",
        "http://192.0.2.9/\r\nX: y",
    ],
)
def test_no_webhook_leads_inside(url: str) -> None:
    told = post(url, Policy(own=(ip_address("192.0.2.7"),), settings="alerts.target"))
    assert told.heard is Heard.NEVER
    assert "secret" not in told.reason
    assert "ConnectionRequest" not in told.reason
    assert "acs." not in told.reason


def test_a_name_that_also_leads_inside_is_refused() -> None:
    told = post("http://hooks.example.net/", Policy(settings="alerts.target"), names=("198.51.100.1", "127.0.0.1"))
    assert told == Told(heard=Heard.NEVER, reason="127.0.0.1 is a loopback address; alerts.target_allow would allow it")
    denied = Policy(deny=(ip_network("198.51.100.0/24"),), settings="alerts.target")
    assert "alerts.target_deny" in post("http://hooks.example.net/", denied, names=("198.51.100.1",)).reason


def test_a_name_without_an_address_is_tried_again() -> None:
    assert post("http://hooks.example.net/").heard is Heard.LATER


@pytest.mark.parametrize("talk", [silence, trickle(b"HTTP/1.1 200 OK" * 100)])
def test_a_receiver_that_says_nothing_or_trickles_is_given_up_in_time(talk: Talk) -> None:
    with serve(talk) as cpe:
        begun = time.monotonic()
        told = post(f"http://127.0.0.1:{cpe.tcp_port}/", seconds=0.5)
    assert told.heard is Heard.LATER
    assert time.monotonic() - begun < 3


def test_nobody_there_is_tried_again() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        told = post(f"http://127.0.0.1:{closed.getsockname()[1]}/")
    assert told == Told(heard=Heard.LATER, reason="Connection refused")


def take(connection: socket.socket, cpe: Cpe) -> None:
    """Take whatever comes."""
    connection.recv(65_536)
    connection.sendall(head("204 No Content"))


def test_a_webhook_over_tls_wants_a_certificate_that_is_known(tmp_path: Path) -> None:
    made = provide_certificate(tmp_path, ("127.0.0.1",), wall())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with serve(take, tls=context) as receiver:
        told = post(f"https://127.0.0.1:{receiver.tcp_port}/")
        trusting = post(f"https://127.0.0.1:{receiver.tcp_port}/", replace(LOOPBACK, verify_tls=False))
    assert told.heard is Heard.LATER
    assert "certificate is not good" in told.reason
    assert trusting == TAKEN


# -- mail --------------------------------------------------------------------------------------------------------------

TO = Destination(
    target_id=1, kind=TargetKind.EMAIL, settings={"to": ["anna@example.org", "ops@example.org"]}, secret=None
)


def server_of(receiver: MailReceiver, **values: object) -> MailServer:
    standard: dict[str, object] = {
        "host": "127.0.0.1",
        "tcp_port": receiver.tcp_port,
        "security": "none",
        "username": "",
        "password": "",
        "sender": "lastmile@example.org",
    }
    return MailServer(**{**standard, **values})  # type: ignore[arg-type]


def mail(
    server: MailServer, destination: Destination = TO, letters: Sequence[Letter] = (LETTER,), seconds: float = 5.0
) -> Told:
    return Mail(server, "https://lastmile.example.org")(destination, letters, Deadline.after(seconds))


def test_several_alerts_are_one_mail_to_all() -> None:
    with mail_receiver(MailReceiver()) as receiver:
        told = mail(server_of(receiver), letters=(LETTER, Letter(id=43, message=CLOSED)))
    assert told == TAKEN
    (got,) = receiver.mails
    assert receiver.recipients == [["anna@example.org", "ops@example.org"]]
    assert got["Subject"] == "[WARNING] Modem 860000000000001: searching (and 1 more)"
    assert (got["From"], got["Auto-Submitted"]) == ("lastmile@example.org", "auto-generated")
    text = got.get_content()
    assert "[RESOLVED] Modem 860000000000001: searching" in text
    assert "https://lastmile.example.org/alerts" in text


def test_starttls_comes_before_the_password(tmp_path: Path) -> None:
    made = provide_certificate(tmp_path, ("127.0.0.1",), wall())
    context = ssl.create_default_context(cafile=str(made.certificate))
    receiver = MailReceiver(certificate=(str(made.certificate), str(made.key)), login=("lastmile", "pass"))
    with mail_receiver(receiver):
        server = server_of(receiver, security="starttls", username="lastmile", password="pass", context=context)
        assert mail(server) == TAKEN
        assert (receiver.secured, len(receiver.mails)) == (True, 1)
        wrong = mail(replace(server, password="wrong"))
        unknown = mail(replace(server, context=None))
    assert wrong == Told(heard=Heard.NEVER, reason="the mail server answers 535 who are you?")
    assert (unknown.heard, "certificate" in unknown.reason) == (Heard.LATER, True)


def test_a_server_without_starttls_gets_nothing() -> None:
    with mail_receiver(MailReceiver()) as receiver:
        told = mail(server_of(receiver, security="starttls"))
    assert (told.heard, receiver.mails) == (Heard.NEVER, [])


def test_a_server_that_wants_to_be_asked_later_is() -> None:
    with mail_receiver(MailReceiver(replies={"MAIL": "451 try again"})) as receiver:
        assert mail(server_of(receiver)).heard is Heard.LATER
    with mail_receiver(MailReceiver(replies={"DATA": "554 spam"})) as receiver:
        assert mail(server_of(receiver)) == Told(heard=Heard.NEVER, reason="the mail server answers 554 spam")


def test_who_is_refused_does_not_keep_the_others_from_being_told() -> None:
    with mail_receiver(MailReceiver()) as receiver:
        some = replace(TO, settings={"to": ["nobody@example.org", "anna@example.org"]})
        assert mail(server_of(receiver), some) == Told(heard=Heard.TAKEN, reason="refused for nobody@example.org")
        nobody = replace(TO, settings={"to": ["nobody@example.org"]})
        assert mail(server_of(receiver), nobody).heard is Heard.NEVER
    assert receiver.recipients == [["anna@example.org"]]


def trickle_greeting(connection: socket.socket, cpe: Cpe) -> None:
    """A byte now and then, and never a whole line."""
    for _ in range(500):
        connection.sendall(b"2")
        time.sleep(0.02)


@pytest.mark.parametrize("talk", [silence, trickle_greeting])
def test_a_mail_server_that_says_nothing_or_trickles_is_given_up_in_time(talk: Talk) -> None:
    with serve(talk) as cpe:
        begun = time.monotonic()
        told = mail(server_of(MailReceiver(tcp_port=cpe.tcp_port)), seconds=0.5)
    assert told.heard is Heard.LATER
    assert time.monotonic() - begun < 4


def take_and_trickle_goodbye(connection: socket.socket, cpe: Cpe) -> None:
    """Take a mail, and never end the answer to QUIT."""
    connection.sendall(b"220 here\r\n")
    with connection.makefile("rb") as lines:
        while line := lines.readline():
            if line.upper().startswith(b"QUIT"):
                trickle_greeting(connection, cpe)
                return
            if line.upper().startswith(b"DATA"):
                connection.sendall(b"354 go on\r\n")
                while lines.readline() != b".\r\n":
                    pass
            connection.sendall(b"250 well\r\n")


def test_a_mail_that_was_taken_is_taken_however_long_the_goodbye() -> None:
    with serve(take_and_trickle_goodbye) as cpe:
        begun = time.monotonic()
        told = mail(server_of(MailReceiver(tcp_port=cpe.tcp_port)), seconds=1.0)
    assert told == TAKEN
    assert time.monotonic() - begun < 5


def test_without_a_server_no_mail_is_sent() -> None:
    told = mail(server_of(MailReceiver(), host=""))
    assert told == Told(heard=Heard.NEVER, reason="there is no server for mail: set alerts.smtp_host")


# -- syslog ------------------------------------------------------------------------------------------------------------


def log(settings: dict[str, object], policy: Policy = LOOPBACK, local: str = "") -> Told:
    destination = Destination(target_id=1, kind=TargetKind.SYSLOG, settings=settings, secret=None)
    return Syslog(lambda: policy, "web-1", local_path=local)(destination, [LETTER], Deadline.after(5))


def test_syslog_over_udp_tcp_and_this_machines_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(5)
        where = {"transport": "udp", "host": "127.0.0.1", "tcp_port": udp.getsockname()[1], "facility": 17}
        assert log(where) == TAKEN
        assert udp.recv(4096).startswith(b"<140>1 2026-01-01T00:00:00+00:00 web-1 lastmile ")
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        tcp.settimeout(5)
        assert log({"transport": "tcp", "host": "127.0.0.1", "tcp_port": tcp.getsockname()[1]}) == TAKEN
        connection, _ = tcp.accept()
        with connection:
            connection.settimeout(5)
            length, _, rest = connection.makefile("rb").read().partition(b" ")
    assert len(rest) == int(length)
    assert rest.startswith(b"<132>1 ")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
        local.bind(str(tmp_path / "log"))
        local.settimeout(5)
        assert log({"transport": "local"}, local=str(tmp_path / "log")) == TAKEN
        assert b"[WARNING] Modem" in local.recv(4096)


def test_syslog_that_cannot_be_reached_or_may_not_be() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        where = {"transport": "tcp", "host": "127.0.0.1", "tcp_port": closed.getsockname()[1]}
        assert log(where).heard is Heard.LATER
    assert log(where, Policy(settings="alerts.target")).heard is Heard.NEVER
    assert log({"transport": "local"}, local="/nowhere/log").heard is Heard.LATER

"""E-mail: several messages in one mail, by SMTP with TLS, within a deadline."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any, Literal

from agent.alert.messages import Message, mail_subject, mail_text
from agent.core.clock import Deadline
from agent.store.alert_deliveries import Destination
from agent.worker.telling import Heard, Letter, Told

PERMANENT = 500
"""From here on a reply means that the same will not work later (RFC 5321 §4.2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """The SMTP server that takes our mail, and what we say to it."""

    host: str
    """Empty: there is none."""
    tcp_port: int
    security: Literal["starttls", "tls", "none"]
    username: str
    password: str
    sender: str
    """Address that mails come from."""
    context: ssl.SSLContext | None = None
    """None: certificates of known authorities only."""


class Mail:
    """A `Sender`."""

    def __init__(self, server: MailServer, page_url: str = "") -> None:
        self._server = server
        self._page_url = page_url

    def __call__(self, destination: Destination, letters: Sequence[Letter], deadline: Deadline) -> Told:
        recipients = [str(address) for address in destination.settings.get("to", ())]
        if not self._server.host:
            return Told(heard=Heard.NEVER, reason="there is no server for mail: set alerts.smtp_host")
        try:
            mail = self._write([letter.message for letter in letters], recipients)
        except (ValueError, UnicodeError) as exc:
            return Told(heard=Heard.NEVER, reason=f"no mail can be made of it: {exc}")
        try:
            with self._session(deadline) as client:
                refused = client.send_message(mail, self._server.sender, recipients)
        except smtplib.SMTPRecipientsRefused as exc:
            return _refused_by_all(exc)
        except smtplib.SMTPResponseException as exc:
            text = (
                exc.smtp_error.decode("utf-8", "replace") if isinstance(exc.smtp_error, bytes) else str(exc.smtp_error)
            )
            heard = Heard.NEVER if exc.smtp_code >= PERMANENT else Heard.LATER
            return Told(heard=heard, reason=f"the mail server answers {exc.smtp_code} {' '.join(text.split())[:200]}")
        except ssl.SSLCertVerificationError as exc:
            return Told(heard=Heard.LATER, reason=f"the mail server's certificate is not good: {exc.verify_message}")
        except smtplib.SMTPNotSupportedError as exc:
            return Told(heard=Heard.NEVER, reason=f"the mail server cannot do what is asked of it: {exc}")
        except (OSError, smtplib.SMTPException) as exc:
            reason = "no answer in time" if deadline.passed else (getattr(exc, "strerror", None) or str(exc))
            return Told(heard=Heard.LATER, reason=f"the mail server: {reason}")
        if refused:
            return Told(heard=Heard.TAKEN, reason=f"refused for {', '.join(sorted(refused))}")
        return Told(heard=Heard.TAKEN)

    def _write(self, messages: Sequence[Message], recipients: Sequence[str]) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = mail_subject(messages)
        mail["From"] = self._server.sender
        mail["To"] = ", ".join(recipients)
        mail["Date"] = formatdate(localtime=False)
        mail["Message-ID"] = make_msgid(domain=self._server.sender.rpartition("@")[2] or "localhost")
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(mail_text(messages, self._page_url))
        return mail

    @contextlib.contextmanager
    def _session(self, deadline: Deadline) -> Iterator[smtplib.SMTP]:
        server = self._server
        context = server.context or ssl.create_default_context()
        client: smtplib.SMTP
        if server.security == "tls":
            client = _OverTls(context=context, timeout=max(0.1, deadline.remaining_seconds))
        else:
            client = _Plain(timeout=max(0.1, deadline.remaining_seconds))
        # smtplib bounds each read; a server that trickles is cut off by this.
        timer = threading.Timer(max(0.1, deadline.remaining_seconds), _cut, (client,))
        timer.daemon = True
        timer.start()
        try:
            client.connect(server.host, server.tcp_port)
            if server.security == "starttls":
                client.starttls(context=context)
            if server.username:
                client.login(server.username, server.password)
            yield client
        finally:
            # The goodbye is bounded too: a server may trickle its answer to QUIT.
            with contextlib.suppress(OSError, smtplib.SMTPException):
                client.quit()
            timer.cancel()
            client.close()


class _Named(smtplib.SMTP):
    """Knows the server's name, as certificates are for it, also when it connects after it was made."""

    _host: str

    def connect(self, host: str = "localhost", port: int = 0, source_address: Any = None) -> tuple[int, bytes]:
        self._host = host
        return super().connect(host, port, source_address)


class _Plain(_Named):
    pass


class _OverTls(_Named, smtplib.SMTP_SSL):
    pass


def _refused_by_all(error: smtplib.SMTPRecipientsRefused) -> Told:
    codes = {code for code, _ in error.recipients.values()}
    heard = Heard.NEVER if codes and min(codes) >= PERMANENT else Heard.LATER
    return Told(heard=heard, reason=f"the mail server refuses {', '.join(sorted(error.recipients))[:200]}")


def _cut(client: smtplib.SMTP) -> None:
    sock = client.sock
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

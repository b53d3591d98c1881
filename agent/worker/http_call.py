"""One connection request over HTTP: to exactly the address that was checked, no redirect, every wait bounded."""

from __future__ import annotations

import contextlib
import http.client
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address

from agent.acs.connection_request.answer import Login, answer_challenge
from agent.acs.connection_request.policy import Address, Forbidden, Policy, Target, choose, parse_url
from agent.core.clock import Deadline
from agent.store.calls import Call
from agent.worker.caller import Heard, Reply

BODY_MOST = 4096
BODY_SECONDS = 1.0
ACCEPTED = (200, 204)
_TROUBLE = (OSError, http.client.HTTPException)
METHOD = "GET"


class HttpCall:
    """`Caller`'s `ask`. `login_of` gives what to say to a device that asks who we are; None: nothing."""

    def __init__(self, policy: Callable[[], Policy], login_of: Callable[[str], Login | None]) -> None:
        self._policy = policy
        self._login_of = login_of

    def ask(self, call: Call, deadline: Deadline) -> Reply:
        """Send the request, answer a challenge once, and say how the device took it."""
        if not call.url:
            return Reply(heard=Heard.REFUSED, reason="the device has told no ConnectionRequestURL")
        try:
            target = parse_url(call.url)
            address = choose(resolve(target, deadline), self._policy())
        except Forbidden as exc:
            return Reply(heard=Heard.REFUSED, reason=str(exc))
        except OSError as exc:
            return Reply(heard=Heard.UNREACHABLE, reason=f"the name of the device's host: {exc.strerror or exc}")
        try:
            return self._converse(call, target, address, deadline)
        except _TROUBLE as exc:
            if deadline.passed:
                return Reply(heard=Heard.UNREACHABLE, reason=f"{address} TCP port {target.tcp_port}: timed out")
            text = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
            return Reply(heard=Heard.UNREACHABLE, reason=f"{address} TCP port {target.tcp_port}: {text}")

    def _converse(self, call: Call, target: Target, address: Address, deadline: Deadline) -> Reply:
        status, challenges = fetch(target, address, None, deadline)
        if status == http.client.UNAUTHORIZED:
            login = self._login_of(call.device_id)
            if login is None:
                return Reply(heard=Heard.REFUSED, reason="the device wants a password, and none is set here")
            cnonce = secrets.token_hex(8)
            header = answer_challenge(challenges, login, method=METHOD, uri=target.path, cnonce=cnonce)
            if header is None:
                return Reply(heard=Heard.REFUSED, reason="the device wants another authentication than digest")
            status, _ = fetch(target, address, header, deadline)
        return judge(status)


def judge(status: int) -> Reply:
    """What an HTTP status of a CPE means."""
    if status in ACCEPTED:
        return Reply(heard=Heard.ACCEPTED)
    match status:
        case 401 | 403:
            return Reply(heard=Heard.REFUSED, reason=f"the device refuses our user name and password (HTTP {status})")
        case 503:
            return Reply(heard=Heard.BUSY, reason="the device is busy (HTTP 503)")
        case _ if 300 <= status < 400:
            reason = f"the device sends us elsewhere (HTTP {status}), and that is not followed"
            return Reply(heard=Heard.REFUSED, reason=reason)
    return Reply(heard=Heard.REFUSED, reason=f"the device answers with HTTP {status}")


def resolve(target: Target, deadline: Deadline) -> Sequence[Address]:
    """The addresses of a target's host. Raises OSError; a resolver that does not answer is given up at the deadline."""
    try:
        return [ip_address(target.host)]
    except ValueError:
        pass
    found: list[Address] = []
    trouble: list[OSError] = []

    def look() -> None:
        try:
            infos = socket.getaddrinfo(target.host, target.tcp_port, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(ip_address(str(info[4][0]).partition("%")[0]) for info in infos))
        except OSError as exc:
            trouble.append(exc)
        except UnicodeError:
            trouble.append(OSError("not a name that can be looked up"))

    # getaddrinfo knows no deadline.
    thread = threading.Thread(target=look, name="resolve", daemon=True)
    thread.start()
    thread.join(deadline.remaining_seconds)
    if trouble:
        raise trouble[0]
    if not found:
        raise TimeoutError("the resolver does not answer")
    return found


def fetch(target: Target, address: Address, authorization: str | None, deadline: Deadline) -> tuple[int, list[str]]:
    """Status and WWW-Authenticate headers of one GET. Raises OSError and HTTPException."""
    connection = _Checked(target, address, deadline)
    headers = {"Host": target.host_header, "User-Agent": "lastmile", "Connection": "close"}
    if authorization is not None:
        headers["Authorization"] = authorization
    with contextlib.closing(connection):
        with _cut_at(deadline, connection):
            connection.request(METHOD, target.path, headers=headers)
            response = connection.getresponse()
        # Small servers take it ill when nobody listens to the end; but what they say there is of no interest.
        with response, _cut_at(deadline.earlier(BODY_SECONDS), connection), contextlib.suppress(*_TROUBLE):
            response.read(BODY_MOST)
        return response.status, response.headers.get_all("WWW-Authenticate") or []


@contextlib.contextmanager
def _cut_at(deadline: Deadline, connection: _Checked) -> Iterator[None]:
    """A peer that sends a byte now and then would keep http.client busy for ever: at the deadline the socket is cut."""
    guard = threading.Timer(deadline.remaining_seconds, connection.cut)
    guard.daemon = True
    guard.start()
    try:
        yield
    finally:
        guard.cancel()


class _Checked(http.client.HTTPConnection):
    """Connects to the given address, whatever the host's name says by now."""

    def __init__(self, target: Target, address: Address, deadline: Deadline) -> None:
        super().__init__(target.host, target.tcp_port, timeout=_seconds_of(deadline))
        self._target = target
        self._address = address
        self._deadline = deadline
        self._held: socket.socket | None = None
        self._is_cut = False

    def connect(self) -> None:
        connected = socket.create_connection((str(self._address), self._target.tcp_port), _seconds_of(self._deadline))
        self._hold(connected)
        if self._target.secure:
            # CPEs have certificates that they made themselves; the digest is what proves that we may ask.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            name = self._target.host.removesuffix(".")
            secured = context.wrap_socket(connected, server_hostname=name, do_handshake_on_connect=False)
            self._hold(secured)
            secured.settimeout(_seconds_of(self._deadline))
            secured.do_handshake()

    def _hold(self, connected: socket.socket) -> None:
        # http.client lets go of its own reference as soon as an answer begins that ends the connection.
        self.sock = self._held = connected
        if self._is_cut:
            raise TimeoutError("timed out")

    def cut(self) -> None:
        """End the connection under whoever reads from it."""
        self._is_cut = True
        held = self._held
        if held is not None:
            with contextlib.suppress(OSError):  # it has gone by itself
                # An SSLSocket's own way forgets that there is TLS, and would let its reader stumble.
                socket.socket.shutdown(held, socket.SHUT_RDWR)


def _seconds_of(deadline: Deadline) -> float:
    return max(0.1, deadline.remaining_seconds)

"""A CPE's HTTP for one session or one transfer: connections, cookies, authentication, redirects."""

from __future__ import annotations

import gzip
import zlib

from agent.core.clock import Deadline
from agent.core.errors import ConfigError, ProtocolError
from agent.sim.cpe.http_auth import Authenticator
from agent.sim.cpe.http_connection import HttpConnection, HttpRequest
from agent.sim.cpe.http_target import HttpAnswer, Target
from agent.sim.cpe.wire import Coding, Cookies, Wire

_MOST_TRIES = 8
_MOST_COOKIES = 20
_REDIRECTS = {301, 302, 307, 308}


class HttpClient:
    """One server from the CPE's side; `close` it in the end."""

    def __init__(self, url: str, wire: Wire, authenticator: Authenticator) -> None:
        """ConfigError for what is no http or https URL."""
        self.target = Target.parse(url)
        self.wire = wire
        self.statuses: list[int] = []
        self.connections = 0
        self._authenticator = authenticator
        self._cookies: dict[str, str] = {}
        self._keeps_cookies = wire.cookies is not Cookies.NEVER
        self._connection: HttpConnection | None = None
        self._sent_bytes = 0
        self._received_bytes = 0

    @property
    def traffic_bytes(self) -> tuple[int, int]:
        """Sent and received so far."""
        current = self._connection
        sent, received = (current.sent_bytes, current.received_bytes) if current else (0, 0)
        return self._sent_bytes + sent, self._received_bytes + received

    async def request(
        self, method: str, body: bytes, headers: tuple[tuple[str, str], ...] = (), kept_bytes: int | None = None
    ) -> HttpAnswer:
        """Send, and again as often as authentication and redirects need it; the last answer, whatever its status.

        `kept_bytes` is as for `HttpConnection.exchange`, and lets the answer be of any length.

        TransientError, DeadlineExceeded and ProtocolError as from `HttpConnection`."""
        is_challenged = False
        answer = await self._once(method, body, headers, kept_bytes)
        for _ in range(_MOST_TRIES):
            if answer.status == 401:
                challenges = answer.all("www-authenticate")
                is_stale = any("stale=true" in each.lower().replace('"', "") for each in challenges)
                if (is_challenged and not is_stale) or not self._authenticator.challenged(challenges):
                    return answer
                is_challenged = True
            elif answer.status in _REDIRECTS and self.wire.follows_redirects and answer.header("location"):
                await self._redirect(answer.header("location") or "")
            else:
                return answer
            answer = await self._once(method, body, headers, kept_bytes)
        return answer

    async def send_only(
        self, method: str, body: bytes, headers: tuple[tuple[str, str], ...] = (), *, share: float = 1.0
    ) -> None:
        """Send a request, or the first share of it, and end the connection without reading an answer."""
        deadline = Deadline.after(self.wire.timeout_seconds)
        connection = await self._connect(deadline)
        await connection.send(self._render(method, body, headers), deadline, share=share)
        if share < 1.0:
            await self.abort()
        else:
            await self.close()

    async def hold(self) -> None:
        """Say nothing until the server ends the connection or the deadline passes."""
        if self._connection is not None:
            await self._connection.wait_for_end(Deadline.after(self.wire.timeout_seconds))

    def forget_cookies(self) -> None:
        """Send none from now on, nor keep any."""
        self._cookies.clear()
        self._keeps_cookies = False

    async def close(self) -> None:
        """End the connection in good order."""
        if (connection := self._taken()) is not None:
            await connection.close()

    async def abort(self) -> None:
        """End the connection at once."""
        if (connection := self._taken()) is not None:
            await connection.abort()

    def _taken(self) -> HttpConnection | None:
        self._sent_bytes, self._received_bytes = self.traffic_bytes
        connection, self._connection = self._connection, None
        return connection

    async def _redirect(self, location: str) -> None:
        await self.close()
        try:
            self.target = self.target.redirected(location)
        except ConfigError as error:
            raise ProtocolError(f"redirected to {location!r}") from error

    async def _once(
        self, method: str, body: bytes, headers: tuple[tuple[str, str], ...], kept_bytes: int | None
    ) -> HttpAnswer:
        deadline = Deadline.after(self.wire.timeout_seconds)
        connection = await self._connect(deadline)
        answer = await connection.exchange(self._render(method, body, headers), deadline, kept_bytes)
        self.statuses.append(answer.status)
        self._keep_cookies(answer)
        if self.wire.new_connection_per_post or not connection.is_reusable:
            await self.close()
        return answer

    async def _connect(self, deadline: Deadline) -> HttpConnection:
        if self._connection is not None and not self._connection.is_reusable:
            await self.close()
        if self._connection is None:
            self._connection = await HttpConnection.open(self.target, self.wire.tls, deadline)
            self.connections += 1
        return self._connection

    def _render(self, method: str, body: bytes, headers: tuple[tuple[str, str], ...]) -> HttpRequest:
        told = [("Host", self.target.host_header), ("User-Agent", self.wire.user_agent), *headers]
        if (authorization := self._authenticator.header(method, self.target.path)) is not None:
            told.append(("Authorization", authorization))
        if self._cookies:
            told.append(("Cookie", "; ".join(f"{name}={value}" for name, value in self._cookies.items())))
        if self.wire.new_connection_per_post:
            told.append(("Connection", "close"))
        if body and self.wire.coding is Coding.GZIP:
            body = gzip.compress(body, 1)
        elif body and self.wire.coding is Coding.DEFLATE:
            body = zlib.compress(body, 1)
        if body and self.wire.coding is not Coding.IDENTITY:
            told.append(("Content-Encoding", self.wire.coding.value))
        return HttpRequest(method, self.target.path, tuple(told), body, self.wire.chunked, self.wire.http_1_0)

    def _keep_cookies(self, answer: HttpAnswer) -> None:
        if not self._keeps_cookies:
            return
        for header in answer.all("set-cookie"):
            name, is_pair, value = header.partition(";")[0].partition("=")
            if is_pair and len(self._cookies) < _MOST_COOKIES:
                self._cookies[name.strip()] = value.strip()

"""A session over HTTP: the state machine of `session` driven by a real client, and the report of it."""

from __future__ import annotations

import asyncio

from agent.core.clock import now, wall
from agent.core.errors import ConfigError, DeadlineExceeded, ProtocolError, TransientError
from agent.sim.cpe.behaviour import MishapKind
from agent.sim.cpe.http_auth import Authenticator
from agent.sim.cpe.http_client import HttpClient
from agent.sim.cpe.http_target import HttpAnswer
from agent.sim.cpe.records import Moment, Outcome, SessionReport
from agent.sim.cpe.session import Duplicate, End, Hang, Post, Session, Step
from agent.sim.cpe.wire import Cookies, Wire

_CUT_SHARE = 0.6
_ORDERLY = {Outcome.COMPLETED, Outcome.REFUSED, Outcome.OVERLOADED, Outcome.ACS_FAULT}


def present() -> Moment:
    """Now."""
    return Moment(now(), wall())


class SessionRun:
    """Runs one session. The authenticator may be an earlier session's, for a CPE that remembers the nonce."""

    def __init__(self, session: Session, url: str, wire: Wire, authenticator: Authenticator) -> None:
        self._session = session
        self._url = url
        self._wire = wire
        self._authenticator = authenticator
        self._retry_after: float | None = None
        self._duplicate_statuses: tuple[int, ...] = ()
        self._is_informed = False

    async def run(self) -> SessionReport:
        """Never raises for what the ACS or the network does; that is the report's outcome."""
        began = now()
        device, retry_count = self._session.device, self._session.device.retry.count
        statuses: tuple[int, ...] = ()
        connections, sent, received = 0, 0, 0
        try:
            client = HttpClient(self._url, self._wire, self._authenticator)
        except ConfigError as error:
            end = End(Outcome.UNREACHABLE, str(error))
        else:
            end = await self._ended(client)
            statuses, connections = tuple(client.statuses), client.connections
            sent, received = client.traffic_bytes
        told = self._session.transcript
        return SessionReport(
            serial_number=device.identity.serial_number,
            events=self._session.events,
            retry_count=retry_count,
            outcome=end.outcome,
            detail=end.detail,
            statuses=statuses,
            rpcs=tuple(told.rpcs),
            requests=tuple(told.requests),
            faults=tuple(told.faults),
            acs_faults=tuple(told.acs_faults),
            complaints=tuple(told.complaints),
            duplicate_statuses=self._duplicate_statuses,
            connections=connections,
            sent_bytes=sent,
            received_bytes=received,
            seconds=now() - began,
            retry_after_seconds=self._retry_after,
        )

    async def _ended(self, client: HttpClient) -> End:
        end: End | None = None
        try:
            end = await self._guarded(client)
        finally:
            is_orderly = end is not None and end.outcome in _ORDERLY
            await (client.close() if is_orderly else client.abort())
        return end

    async def _guarded(self, client: HttpClient) -> End:
        try:
            return await self._steps(client)
        except DeadlineExceeded as error:
            outcome = Outcome.TIMED_OUT if client.connections else Outcome.UNREACHABLE
            return End(outcome, str(error))
        except TransientError as error:
            return End(Outcome.BROKEN if client.connections else Outcome.UNREACHABLE, str(error))
        except ProtocolError as error:
            return End(Outcome.NONSENSE, str(error))

    async def _steps(self, client: HttpClient) -> End:
        if self._wire.empty_first_post:
            await client.request("POST", b"", self._headers(b""))
        step: Step = self._session.begin()
        while True:
            match step:
                case Post(mishap=None):
                    step = await self._post(client, step)
                case Post():
                    return await self._mishap(client, step)
                case Duplicate():
                    await self._duplicate(step.body)
                    step = self._session.resume()
                case Hang():
                    await client.hold()
                    await client.abort()
                    return End(Outcome.CRASHED, "hung")
                case End():
                    return step

    async def _post(self, client: HttpClient, post: Post) -> Step:
        if post.delay_seconds and self._is_informed:
            await asyncio.sleep(post.delay_seconds)
        answer = await client.request("POST", post.body, self._headers(post.body))
        if answer.status == 503:
            self._retry_after = _retry_after(answer)
        step = self._session.receive(answer.status, answer.body, present())
        if not self._is_informed and self._session.transcript.requests:
            self._is_informed = True
            if self._wire.cookies is Cookies.LOST_AFTER_INFORM:
                client.forget_cookies()
        return step

    async def _mishap(self, client: HttpClient, post: Post) -> End:
        if post.delay_seconds:
            await asyncio.sleep(post.delay_seconds)
        is_cut = post.mishap is MishapKind.CUT
        share = _CUT_SHARE if is_cut else 1.0
        await client.send_only("POST", post.body, self._headers(post.body), share=share)
        return End(Outcome.CRASHED, "cut off in an answer" if is_cut else "dropped the connection after an answer")

    async def _duplicate(self, body: bytes) -> None:
        client = HttpClient(self._url, self._wire, self._authenticator)
        try:
            await client.request("POST", body, self._headers(body))
        except (TransientError, ProtocolError):
            pass
        finally:
            await client.close()
        self._duplicate_statuses = tuple(client.statuses)

    def _headers(self, body: bytes) -> tuple[tuple[str, str], ...]:
        found = []
        if body and self._wire.content_type is not None:
            found.append(("Content-Type", self._wire.content_type))
        if self._wire.soap_action is not None:
            found.append(("SOAPAction", self._wire.soap_action))
        return tuple(found)


def _retry_after(answer: HttpAnswer) -> float | None:
    text = (answer.header("retry-after") or "").strip()
    return float(text) if text.isdecimal() else None

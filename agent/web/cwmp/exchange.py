"""One HTTP exchange with a CPE: who is it, which session, what does it say, what do we say, and all of it saved."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Protocol

from agent.acs.discovery import Profile
from agent.acs.paths import root_of
from agent.acs.reactions import RetryPolicy
from agent.acs.session.effects import End, Reply
from agent.acs.session.machine import Context, Step, receive
from agent.acs.session.state import Phase, SessionState
from agent.acs.soap import messages as soap
from agent.acs.soap.decode import decode
from agent.acs.soap.encode import encode
from agent.acs.soap.limits import LIMITS
from agent.acs.tasks import SetParameterValues, Task, parse_arguments, task_of_command_key
from agent.core.clock import now
from agent.core.errors import ProtocolError, TransientError
from agent.core.settings.schema import AcsSettings
from agent.store.cwmp import CwmpStore, InformFacts, Verdict
from agent.store.cwmp_rows import Loaded, SessionKey, TaskRow
from agent.web.cwmp.answers import NOTHING, Answer, message, refuse, wait
from agent.web.cwmp.bodies import BodyWatch, TooSlow
from agent.web.cwmp.body import TooLarge, UnknownCoding, charset_of, read_body
from agent.web.cwmp.cookies import SessionCookies
from agent.web.cwmp.counters import Counters
from agent.web.cwmp.recording import SessionRecorder

logger = logging.getLogger(__name__)

TASKS_DROPPED_MOST = 100
"""Of those that cannot be sent as they stand, at one message."""
SECONDS_MOST = 2**31 - 1
_NEW_STATES = {"accept": "accepted", "hold": "held", "refuse": "refused"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """The sender of a request may speak."""

    principal: str | None
    """Who it has shown to be; None: nobody in particular."""
    nonce: tuple[str, int] | None
    """A nonce and its count that this request used up."""
    shown: bool
    """Whether this request itself said who it is from."""


class Gate(Protocol):
    """Tells who sends a request."""

    def check(self, environ: Mapping[str, Any], *, in_session: bool) -> Passed | Answer:
        """Who it is, or the refusal to send. `in_session`: it shows a session, which was begun by who may."""
        ...

    def may_speak_for(self, principal: str | None, inform: soap.Inform) -> bool:
        """Whether the sender may be the device that an Inform names."""
        ...

    def challenge(self, *, stale: bool) -> Answer:
        """The request to say who it is; `stale`: with a new nonce."""
        ...


class Transfers(Protocol):
    """Makes stored files reachable for one transfer."""

    def prepare(self, task: Task, environ: Mapping[str, Any]) -> Task:
        """The task with URL, user name and password for its device filled in."""
        ...


class Exchange:
    """The CWMP endpoint of one worker."""

    def __init__(
        self,
        store: CwmpStore,
        settings: AcsSettings,
        gate: Gate,
        transfers: Transfers,
        counters: Counters,
        *,
        worker: str,
        bodies: BodyWatch | None = None,
        recorder: SessionRecorder | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._gate = gate
        self._transfers = transfers
        self._counters = counters
        self._worker = worker
        self._bodies = bodies or BodyWatch()
        self._cookies = SessionCookies(store.transfer_key)
        self._limits = replace(LIMITS, size_bytes=settings.body_bytes_most)
        self._recorder = recorder
        self._working = threading.BoundedSemaphore(settings.threads)
        self._retries = RetryPolicy(retries_most=settings.fault_retries, first_seconds=settings.fault_retry_seconds)

    def answer(self, environ: Mapping[str, Any], peer: str | None) -> Answer:
        """Answer one POST; what cannot be saved is not answered with success."""
        begun = now()
        try:
            answer = self._answer(environ, peer)
        except TransientError as exc:
            logger.warning("a CPE must wait", extra={"PEER": peer, "REASON": str(exc)})
            answer = wait(self._settings.retry_after_seconds, "try again later")
        self._counters.count("requests_total", "status", str(answer.status.value))
        self._counters.time("request_seconds", now() - begun)
        return answer

    def _answer(self, environ: Mapping[str, Any], peer: str | None) -> Answer:
        key = self._cookies.find(environ.get("HTTP_COOKIE", ""))
        passed = self._gate.check(environ, in_session=key is not None)
        if isinstance(passed, Answer):
            return passed
        if _lacks_length(environ):
            return refuse(HTTPStatus.LENGTH_REQUIRED, "how long is the message?", ("Connection", "close"))
        try:
            with self._bodies.reading(environ):
                body = read_body(environ, self._settings.body_bytes_most)
        except ProtocolError as exc:
            return self._bad_message(exc, key, peer, passed)
        # Those that wait for their bodies are many, those that work few.
        with self._working:
            return self._answer_message(body, key, environ, peer, passed)

    def _answer_message(
        self, body: bytes, key: SessionKey | None, environ: Mapping[str, Any], peer: str | None, passed: Passed
    ) -> Answer:
        charset = charset_of(environ.get("CONTENT_TYPE", ""))
        try:
            envelope = self._decode(body, charset)
        except ProtocolError as exc:
            return self._bad_message(exc, key, peer, passed)
        if envelope is not None and isinstance(envelope.message, soap.Inform):
            answer, key = self._begin(envelope, envelope.message, peer, passed)
        else:
            if key is None:
                key = self._without_cookie(envelope, peer, passed)
            answer, key = self._go_on(envelope, key, environ, peer, passed)
        if key is not None and self._recorder is not None:
            self._recorder.keep(key, body, charset, answer)
        return answer

    def _decode(self, body: bytes, charset: str | None) -> soap.Envelope | None:
        return decode(body, charset=charset, limits=self._limits) if body.strip() else None

    def _without_cookie(self, envelope: soap.Envelope | None, peer: str | None, passed: Passed) -> SessionKey | None:
        """The session of a CPE that sends no cookies: an answer has the ID of our request, and an empty POST belongs to
        the one session that its address and its user name have. The server does not tell us the TCP connection."""
        if (
            envelope is not None
            and envelope.id is not None
            and (key := self._store.find_by_id(envelope.id)) is not None
        ):
            return key
        return self._store.find_by_peer(peer, passed.principal)

    def _bad_message(self, exc: ProtocolError, key: SessionKey | None, peer: str | None, passed: Passed) -> Answer:
        logger.warning("a CPE's message is refused", extra={"PEER": peer, "REASON": str(exc), "SAMPLE": exc.sample})
        if key is not None and self._is_senders(key, peer, passed):
            self._store.fail(key, str(exc))
        match exc:
            case TooSlow():
                status = HTTPStatus.REQUEST_TIMEOUT
            case TooLarge():
                status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            case UnknownCoding():
                status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
            case _:
                status = HTTPStatus.BAD_REQUEST
        return refuse(status, str(exc), ("Connection", "close"))

    def _is_senders(self, key: SessionKey, peer: str | None, passed: Passed) -> bool:
        loaded = self._store.load(key, principal=passed.principal, peer=peer, empty=False, nonce=passed.nonce)
        return loaded.verdict == "open"

    # Inform

    def _begin(
        self, envelope: soap.Envelope, inform: soap.Inform, peer: str | None, passed: Passed
    ) -> tuple[Answer, SessionKey | None]:
        """The answer to an Inform, and the session that it has begun."""
        device_id = inform.identity.device_id
        if self._settings.authentication != ("none",) and not passed.shown:
            return self._gate.challenge(stale=False), None
        if not self._gate.may_speak_for(passed.principal, inform):
            logger.warning(
                "a CPE claims to be another device",
                extra={"DEVICE_ID": device_id, "PRINCIPAL": passed.principal, "PEER": peer},
            )
            return refuse(HTTPStatus.FORBIDDEN, "these credentials are not this device's"), None
        begun = self._store.begin(self._facts(envelope, inform, peer, passed))
        self._counters.count("informs_total", "verdict", begun.verdict.value)
        if begun.key is None:
            return self._not_begun(begun.verdict, device_id, peer), None
        tasks = [task for event in inform.events if (task := task_of_command_key(event.command_key)) is not None]
        if tasks:
            self._store.tasks_done_by_event(begun.key.device, tasks)
        reply = soap.Envelope(message=soap.InformResponse(), id=envelope.id, version=envelope.version)
        return message(encode(reply), ("Set-Cookie", self._cookies.render(begun.key))), begun.key

    def _facts(self, envelope: soap.Envelope, inform: soap.Inform, peer: str | None, passed: Passed) -> InformFacts:
        values = {each.name: each.value for each in inform.parameters}
        root = root_of(values)
        interval = values.get(f"{root}ManagementServer.PeriodicInformInterval", "")
        return InformFacts(
            identity=inform.identity,
            principal=passed.principal,
            worker=self._worker,
            peer=peer,
            events=tuple(event.code for event in inform.events),
            parameters=inform.parameters,
            state=SessionState(version=envelope.version, phase=Phase.PROCESS, root=root),
            software_version=values.get(f"{root}DeviceInfo.SoftwareVersion"),
            hardware_version=values.get(f"{root}DeviceInfo.HardwareVersion"),
            connection_request_url=values.get(f"{root}ManagementServer.ConnectionRequestURL"),
            inform_interval_seconds=_seconds(interval),
            nonce=passed.nonce,
            new_devices=_NEW_STATES[self._settings.new_devices],
            new_per_minute=self._settings.new_devices_per_minute,
            stale_seconds=self._settings.session_idle_seconds,
        )

    def _not_begun(self, verdict: Verdict, device_id: str, peer: str | None) -> Answer:
        logger.info("no session", extra={"DEVICE_ID": device_id, "VERDICT": verdict.value, "PEER": peer})
        seconds = self._settings.retry_after_seconds
        match verdict:
            case Verdict.BUSY:
                return wait(seconds, "this device has a session already")
            case Verdict.TOO_MANY:
                return wait(60, "too many new devices at once")
            case Verdict.REPLAYED:
                return self._gate.challenge(stale=True)
            case Verdict.HELD:
                return refuse(HTTPStatus.FORBIDDEN, "this device waits for an operator's approval")
            case _:
                return refuse(HTTPStatus.FORBIDDEN, "this device is not known here")

    # What comes after

    def _go_on(
        self,
        envelope: soap.Envelope | None,
        key: SessionKey | None,
        environ: Mapping[str, Any],
        peer: str | None,
        passed: Passed,
    ) -> tuple[Answer, SessionKey | None]:
        """The answer to what comes after, and the session when the sender is in it."""
        if key is None:
            return self._no_session(envelope), None
        nonce = passed.nonce
        for _ in range(TASKS_DROPPED_MOST):
            loaded = self._store.load(key, principal=passed.principal, peer=peer, empty=envelope is None, nonce=nonce)
            if loaded.verdict != "open":
                return self._not_open(loaded.verdict, envelope, peer), key if loaded.verdict == "ended" else None
            try:
                task = self._next_task(loaded, environ)
            except ProtocolError as exc:
                # Somebody wrote it by another way than ours. It is the turn of the one behind it.
                logger.warning("a task cannot be sent", extra={"TASK": loaded.task, "REASON": str(exc)})
                self._store.fail_task(loaded.task or 0, str(exc))
                nonce = None  # used up by now
                continue
            return self._step(envelope, key, loaded, task), key
        return wait(self._settings.retry_after_seconds, "too many tasks of this device cannot be sent"), key

    def _not_open(self, verdict: str, envelope: soap.Envelope | None, peer: str | None) -> Answer:
        match verdict:
            case "ended":
                self._counters.count("sessions_total", "outcome", "completed")
                return NOTHING
            case "foreign":
                logger.warning("a session is not the sender's", extra={"PEER": peer})
                return refuse(HTTPStatus.FORBIDDEN, "this session is not yours")
            case "replayed":
                return self._gate.challenge(stale=True)
        return self._no_session(envelope)

    def _step(self, envelope: soap.Envelope | None, key: SessionKey, loaded: Loaded, task: Task | None) -> Answer:
        state = SessionState.parse(loaded.state or {})
        step = receive(state, _untagged(envelope, key), self._context(envelope, key, loaded, task))
        if not self._store.save(key, loaded, step):
            # The same message twice at the same time: the other one is being answered.
            return wait(1, "this session is being worked on")
        self._count(envelope, step)
        reply = _tagged(step.reply, key)
        return NOTHING if reply is None else message(encode(reply))

    def _count(self, envelope: soap.Envelope | None, step: Step) -> None:
        message = envelope.message if envelope is not None else None
        if isinstance(message, soap.Fault):
            # Codes are few; what is no code of the standard's is a device's own words.
            code = message.code if message.code.isdigit() and len(message.code) == 4 else "other"
            self._counters.count("faults_total", "code", code)
        if step.reply.request and step.reply.envelope is not None:
            self._counters.count("rpcs_total", "method", type(step.reply.envelope.message).__name__)
        for effect in step.effects:
            if isinstance(effect, End):
                self._counters.count("sessions_total", "outcome", effect.outcome)

    def _context(self, envelope: soap.Envelope | None, key: SessionKey, loaded: Loaded, task: Task | None) -> Context:
        transferring: tuple[Task, ...] = ()
        if envelope is not None and isinstance(envelope.message, soap.TransferComplete):
            told = task_of_command_key(envelope.message.command_key)
            rows = self._store.fetch_transferring(key.device, told)
            transferring = tuple(_task(row) for row in rows)
        return Context(
            profile=Profile.parse(loaded.profile or {}),
            task=task,
            discovery=bool(loaded.discovery),
            names=loaded.names or (),
            names_start=loaded.names_start or 0,
            names_total=loaded.total or 0,
            transferring=transferring,
            retries=self._retries,
        )

    def _next_task(self, loaded: Loaded, environ: Mapping[str, Any]) -> Task | None:
        row = loaded.next_task
        return None if row is None else self._prepare(_task(row), loaded.model, environ)

    def _prepare(self, task: Task, model: int | None, environ: Mapping[str, Any]) -> Task:
        """Fill in what an operator may leave out: types of values, and where a file is."""
        arguments = task.arguments
        if isinstance(arguments, SetParameterValues) and model is not None:
            untyped = [value.name for value in arguments.values if value.type is None]
            if untyped:
                types = self._store.fetch_types(model, untyped)
                return _with_types(task, arguments, {name: types[name][0] for name in untyped})
        return self._transfers.prepare(task, environ)

    def _no_session(self, envelope: soap.Envelope | None) -> Answer:
        if envelope is None:
            return NOTHING
        return refuse(HTTPStatus.BAD_REQUEST, "no session: begin with an Inform", ("Connection", "close"))


def _seconds(text: str) -> int | None:
    """A number of seconds, at most the database's largest: some write 4294967295, for never."""
    return min(int(text[:20]), SECONDS_MOST) if text.isascii() and text.isdigit() else None


def _lacks_length(environ: Mapping[str, Any]) -> bool:
    """Whether a message is announced whose end nobody could tell; without a Content-Type it is an empty POST."""
    ends = environ.get("CONTENT_LENGTH") or environ.get("HTTP_TRANSFER_ENCODING")
    return not ends and bool(environ.get("CONTENT_TYPE"))


def _untagged(envelope: soap.Envelope | None, key: SessionKey) -> soap.Envelope | None:
    """The message with the ID that the session machine knows."""
    if envelope is None or envelope.id is None or not envelope.id.startswith(key.tag):
        return envelope
    return replace(envelope, id=envelope.id.removeprefix(key.tag))


def _tagged(reply: Reply, key: SessionKey) -> soap.Envelope | None:
    """The answer, with an ID by which its own answer will be recognised."""
    if reply.envelope is None or not reply.request:
        return reply.envelope
    return replace(reply.envelope, id=f"{key.tag}{reply.envelope.id}")


def _task(row: TaskRow) -> Task:
    return Task(id=row.id, arguments=parse_arguments(row.kind, row.arguments), attempts=row.attempts)


def _with_types(task: Task, arguments: SetParameterValues, types: Mapping[str, str | None]) -> Task:
    values = [
        {"name": value.name, "value": value.value, "type": value.type or types.get(value.name) or "string"}
        for value in arguments.values
    ]
    filled = parse_arguments(arguments.kind, {"values": values, "parameter_key": arguments.parameter_key})
    return Task(id=task.id, arguments=filled, attempts=task.attempts)

"""One CWMP session of a CPE as a state machine: an HTTP answer in, the next step out (TR-069 A6 §3.7). No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from agent.core.errors import ProtocolError
from agent.sim.cpe.answering import answer
from agent.sim.cpe.behaviour import MishapKind
from agent.sim.cpe.device import Device, Reboot, in_order
from agent.sim.cpe.dialect import Dialect, speak
from agent.sim.cpe.records import Event, Moment, Outcome
from agent.sim.cpe.requests import EXTRA_EVENTS, OwnRequest, inform, own_requests
from agent.sim.cpe.rpc import Call
from agent.sim.cpe.soap import CWMP_NAMESPACES, Message, array_type_of, parse_message, render_envelope, text_of

MOST_RPCS = 20_000
_MOST_COMPLAINTS = 50
_RETRY_REQUEST = 8005
_MOST_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Post:
    """Send this after the delay, and hand the answer to `Session.receive`. `mishap`: CUT or DROP it instead."""

    body: bytes
    delay_seconds: float = 0.0
    mishap: MishapKind | None = None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Open a second session with this Inform, and come back with `Session.resume`."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Hang:
    """Say nothing more, and hold the connection as long as the ACS bears it; the session has failed."""


@dataclass(frozen=True, slots=True)
class End:
    """The session is over."""

    outcome: Outcome
    detail: str = ""


Step = Post | Duplicate | Hang | End


class _Phase(Enum):
    INFORMED = "informed"
    REQUESTED = "requested"
    """An own request waits for its response."""
    IDLE = "idle"
    """It is the ACS's turn to ask."""
    ENDED = "ended"


@dataclass(slots=True)
class Transcript:
    """What happened, for the report."""

    rpcs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)
    acs_faults: list[int] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def complain(self, text: str) -> None:
        if len(self.complaints) < _MOST_COMPLAINTS and text not in self.complaints:
            self.complaints.append(text)


class Session:
    """Begins with `begin`; then every answer goes to `receive`, until a step is `End` or `Hang`."""

    def __init__(self, device: Device, events: Sequence[Event], version: str, moment: Moment) -> None:
        """`events` are what `Device.begin_session` told; `version` is a key of `CWMP_NAMESPACES`."""
        self.device = device
        self.transcript = Transcript()
        self._version = version
        self._namespace = CWMP_NAMESPACES[version]
        self._own = own_requests(device, self._namespace)
        announced = (EXTRA_EVENTS[each.method] for each in self._own if each.method in EXTRA_EVENTS)
        self.events = in_order((*events, *announced))
        self._changed = frozenset(device.work.changed)
        self._phase = _Phase.INFORMED
        self._hold = False
        self._identifier = 0
        self._repeats = 0
        self._sent: Post = Post(self._inform(moment))

    def _inform(self, moment: Moment) -> bytes:
        body = inform(self.device, self._namespace, self.events, self._changed, moment)
        headers = {"SessionTimeout": ("0", "60")} if self._version in {"1.3", "1.4"} else {}
        if self._version == "1.4":
            headers["SupportedCWMPVersions"] = ("0", "1.0,1.1,1.2,1.3,1.4")
        self._identifier += 1
        data = render_envelope(self._namespace, body, str(self._identifier), headers)
        return speak(data, self.device.behaviour.dialects)

    def begin(self) -> Post:
        """The Inform."""
        return self._sent

    def receive(self, status: int, body: bytes, moment: Moment) -> Step:
        """The answer to the last `Post`: what comes next."""
        if status == 503:
            return self._end(Outcome.OVERLOADED, "HTTP 503")
        if status == 204 and body:
            self.transcript.complain("a 204 with a body")
        if status == 204 or (status == 200 and not body.strip()):
            return self._nothing_asked()
        if status != 200:
            return self._end(Outcome.REFUSED, f"HTTP {status}")
        try:
            message = parse_message(body)
        except ProtocolError as error:
            return self._end(Outcome.NONSENSE, str(error))
        self._hold = message.hold_requests
        if message.fault is None and message.namespace != self._namespace:
            self.transcript.complain(f"{message.method} is in namespace {message.namespace}")
        match self._phase:
            case _Phase.INFORMED:
                return self._informed(message)
            case _Phase.REQUESTED:
                return self._responded(message)
            case _Phase.IDLE:
                return self._asked(message, moment)
            case _Phase.ENDED:
                return self._end(Outcome.NONSENSE, "a message after the end")

    def resume(self) -> Step:
        """After a `Duplicate`: the session goes on."""
        return self._next()

    def _informed(self, message: Message) -> Step:
        if message.fault is not None:
            return self._refused(message)
        if message.method != "InformResponse":
            return self._end(Outcome.NONSENSE, f"{message.method} in answer to Inform")
        self._check_identifier(message)
        if text_of(message.body, "MaxEnvelopes") != "1":
            self.transcript.complain("InformResponse without MaxEnvelopes 1")
        self.transcript.requests.append("Inform")
        self.device.delivered(self.events, set(self._changed))
        if self._version == "1.4" and message.use_version in CWMP_NAMESPACES:
            self._namespace = CWMP_NAMESPACES[message.use_version]
        if self.device.behaviour.duplicate_inform:
            return Duplicate(self._sent.body)
        return self._next()

    def _responded(self, message: Message) -> Step:
        if message.fault is not None:
            return self._refused(message)
        request = self._own.pop(0)
        if message.method != request.method + "Response":
            return self._end(Outcome.NONSENSE, f"{message.method} in answer to {request.method}")
        self._check_identifier(message)
        self._told(request)
        return self._next()

    def _told(self, request: OwnRequest) -> None:
        self._repeats = 0
        self.transcript.requests.append(request.method)
        work = self.device.work
        if request.completion in work.completions:
            work.completions.remove(request.completion)
        elif request.method in work.requests:
            work.requests.remove(request.method)

    def _refused(self, message: Message) -> Step:
        code = message.fault.code if message.fault else 0
        self.transcript.acs_faults.append(code)
        if code == _RETRY_REQUEST and self._repeats < _MOST_REPEATS:
            self._repeats += 1
            return self._sent
        if self._phase is _Phase.INFORMED:
            return self._end(Outcome.ACS_FAULT, f"fault {code} to Inform")
        request = self._own.pop(0)
        if request.completion is None:
            # An optional request that the ACS does not know; the session goes on.
            self._told(request)
            return self._next()
        return self._end(Outcome.ACS_FAULT, f"fault {code} to {request.method}")

    def _next(self) -> Step:
        """An own request when there is one and the ACS does not hold them back, else the ACS's turn."""
        if self._own and not self._hold:
            self._phase = _Phase.REQUESTED
            self._identifier += 1
            data = render_envelope(self._namespace, self._own[0].body, str(self._identifier))
            return self._post(speak(data, self.device.behaviour.dialects))
        self._phase = _Phase.IDLE
        return self._post(b"")

    def _nothing_asked(self) -> Step:
        if self._phase is not _Phase.IDLE:
            return self._end(Outcome.NONSENSE, f"an empty answer in phase {self._phase.value}")
        if self._hold:
            self.transcript.complain("the session ended while HoldRequests was true")
        elif self._own:
            return self._next()
        return self._end(Outcome.COMPLETED)

    def _asked(self, message: Message, moment: Moment) -> Step:
        if message.fault is not None:
            self.transcript.acs_faults.append(message.fault.code)
            return self._end(Outcome.ACS_FAULT, f"fault {message.fault.code}")
        if message.method.endswith("Response"):
            return self._end(Outcome.NONSENSE, f"{message.method} that answers nothing")
        if len(self.transcript.rpcs) >= MOST_RPCS:
            return self._end(Outcome.NONSENSE, f"more than {MOST_RPCS} RPCs")
        self._check_arrays(message)
        self.transcript.rpcs.append(message.method)
        call = Call(self.device, message.method, message.body, self._namespace, moment)
        told = answer(call, None if Dialect.NO_ID in self.device.behaviour.dialects else message.id)
        if told.fault_code:
            self.transcript.faults.append(told.fault_code)
        match told.mishap:
            case MishapKind.HANG:
                self._phase = _Phase.ENDED
                return Hang()
            case MishapKind.REBOOT:
                self.device.work.after_session.append(Reboot(None))
                return self._end(Outcome.CRASHED, "rebooted in the session")
            case _:
                return self._post(told.body, told.mishap)

    def _post(self, body: bytes, mishap: MishapKind | None = None) -> Post:
        self._sent = Post(body, self.device.behaviour.answer_delay_seconds, mishap)
        return self._sent

    def _end(self, outcome: Outcome, detail: str = "") -> End:
        self._phase = _Phase.ENDED
        return End(outcome, detail)

    def _check_identifier(self, message: Message) -> None:
        expected = (
            None if self.device.behaviour.dialects & {Dialect.NO_ID, Dialect.NO_HEADER} else str(self._identifier)
        )
        if message.id != expected:
            self.transcript.complain(f"{message.method} has cwmp:ID {message.id!r}, not {expected!r}")

    def _check_arrays(self, message: Message) -> None:
        for each in message.body.iterchildren():
            if each.tag in {"ParameterList", "ParameterNames"}:
                told = array_type_of(each)
                if told is None or not told.endswith(f"[{len(each)}]"):
                    self.transcript.complain(f"{message.method}: arrayType {told} of {len(each)} items")

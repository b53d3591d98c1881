"""The steps of a session. `receive` is all there is to call: state and message in; state, effects and answer out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from agent.acs.discovery import NAMES_MOST, Discovery, Origin, Profile, names_to_ask
from agent.acs.paths import template_of
from agent.acs.reactions import Reaction, RetryPolicy, reaction_to
from agent.acs.session.effects import (
    DiscoveryFailed,
    DiscoveryFinished,
    DropValues,
    Effect,
    End,
    Learn,
    Note,
    Prune,
    Reply,
    SaveNames,
    SaveValues,
    TaskAwaitsTransfer,
    TaskCompleted,
    TaskFailed,
    TaskSent,
    TransferEnded,
)
from agent.acs.session.requests import Finished, finish, request_of
from agent.acs.session.state import InFlight, Phase, Purpose, SessionState
from agent.acs.soap import messages as soap
from agent.acs.tasks import (
    GetParameterValues,
    RefreshObject,
    Task,
    parse_arguments,
    render_arguments,
    task_of_command_key,
)

COLLECTED_MOST = 500
"""Values that are kept as a task's result; with more, their number is."""
RESENT_MOST = 1
LISTING_MOST = 5_000
"""Objects waiting to be listed level by level; a device with more is not read further."""
RPC_METHODS = (
    "Inform",
    "GetRPCMethods",
    "TransferComplete",
    "AutonomousTransferComplete",
    "RequestDownload",
    "Kicked",
    "DUStateChangeComplete",
    "AutonomousDUStateChangeComplete",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the store has for this step."""

    profile: Profile = field(default_factory=Profile)
    task: Task | None = None
    """The next task that may be sent."""
    discovery: bool = False
    """The device's tree is to be read, and nobody has begun."""
    names: Sequence[str] = ()
    """A window of the session's list of names, that begins at `names_start`."""
    names_start: int = 0
    names_total: int = 0
    transferring: tuple[Task, ...] = ()
    """Tasks whose TransferComplete has not come; only given with a message that needs them."""
    retries: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The outcome of a message."""

    state: SessionState
    effects: tuple[Effect, ...]
    reply: Reply


def receive(state: SessionState, incoming: soap.Envelope | None, context: Context) -> Step:
    """Take one message of the CPE; None is an empty POST.

    The answer may leave when the effects have been saved. A message that does not belong here ends the session with
    the reason in `End`, and an empty answer; nothing is raised for what a CPE says."""
    return _Steps(state, context).receive(incoming)


class _Steps:
    """One step in the making."""

    def __init__(self, state: SessionState, context: Context) -> None:
        self._state = state
        self._context = context
        self._effects: list[Effect] = []
        self._window = list(context.names)

    def receive(self, incoming: soap.Envelope | None) -> Step:
        if incoming is None or incoming.message is None:
            return self._empty()
        message = incoming.message
        response = self._serve(message)
        if response is not None:
            return self._reply(soap.Envelope(message=response, id=incoming.id, version=self._state.version), False)
        flight = self._state.in_flight
        if flight is None:
            return self._fail(f"{type(message).__name__} came, and nothing had been asked")
        if incoming.id is not None and incoming.id != flight.rpc_id:
            return self._resend(flight, "the answer has the ID of another request")
        return self._answered(flight, message)

    # What the CPE asks

    def _serve(self, message: soap.Message) -> soap.Message | None:
        match message:
            case soap.GetRPCMethods():
                return soap.GetRPCMethodsResponse(methods=RPC_METHODS)
            case soap.TransferComplete():
                self._transfer(message)
                return soap.TransferCompleteResponse()
            case soap.AutonomousTransferComplete():
                self._effects.append(
                    Note(
                        kind="autonomous_transfer",
                        payload={
                            "url": message.transfer_url,
                            "file_type": message.file_type,
                            "download": message.is_download,
                            "fault_code": message.fault_code,
                            "fault_message": message.fault_string,
                        },
                    )
                )
                return soap.AutonomousTransferCompleteResponse()
            case soap.RequestDownload():
                self._effects.append(Note(kind="download_requested", payload={"file_type": message.file_type}))
                return soap.RequestDownloadResponse()
            case soap.Kicked():
                self._effects.append(Note(kind="kicked", payload={"command": message.command}))
                return soap.KickedResponse(next_url=message.next)
            case soap.DUStateChangeComplete():
                self._effects.append(Note(kind="du_state_changed", payload={"command_key": message.command_key}))
                return soap.DUStateChangeCompleteResponse()
            case soap.AutonomousDUStateChangeComplete():
                self._effects.append(Note(kind="du_state_changed", payload={}))
                return soap.AutonomousDUStateChangeCompleteResponse()
            case soap.UnknownRPC(name=name):
                text = f"Method not supported: {name[:64]}"
                return soap.Fault(code="8000", string=text, soap_code=soap.SoapFaultCode.CLIENT)
        return None

    def _transfer(self, message: soap.TransferComplete) -> None:
        task = self._task_of(message.command_key)
        if task is None:
            self._effects.append(
                TransferEnded(
                    command_key=message.command_key,
                    code=message.fault_code,
                    message=message.fault_string,
                    start=message.start_time,
                    complete=message.complete_time,
                )
            )
        elif message.fault_code in ("", "0"):
            times = {"started_at": message.start_time, "completed_at": message.complete_time}
            result = {name: time.isoformat() for name, time in times.items() if time is not None}
            self._effects.append(TaskCompleted(task=task.id, result=result))
        else:
            # Its attempts count this one already; those of a task that is being sent do not.
            self._give_up_task(task.id, max(0, task.attempts - 1), message.fault_code, message.fault_string, {})

    def _task_of(self, command_key: str) -> Task | None:
        number = task_of_command_key(command_key)
        for task in self._context.transferring:
            if task.id == number:
                return task
        # Some CPEs leave the key out; with one transfer under way there is no doubt.
        if not command_key and len(self._context.transferring) == 1:
            return self._context.transferring[0]
        return None

    # What the CPE answers

    def _empty(self) -> Step:
        flight = self._state.in_flight
        if flight is None:
            return self._proceed()
        return self._resend(flight, "an empty POST came instead of the answer")

    def _resend(self, flight: InFlight, why: str) -> Step:
        """The CPE has not seen our request, or has lost its answer: once more, then it counts as refused."""
        if flight.resent >= RESENT_MOST:
            return self._refused(flight, soap.Fault(code="empty", string=why))
        flight = replace(flight, resent=flight.resent + 1)
        self._state = replace(self._state, in_flight=flight)
        request = self._request_again(flight)
        if request is None:
            return self._fail(why)
        return self._reply(soap.Envelope(message=request, id=flight.rpc_id, version=self._state.version))

    def _request_again(self, flight: InFlight) -> soap.Message | None:
        discovery = self._state.discovery
        match flight.purpose:
            case Purpose.LIST_NAMES if discovery and discovery.listing:
                return self._listing(discovery)
            case Purpose.READ_VALUES if discovery and discovery.spans:
                return self._reading(discovery)
            case Purpose.TASK if flight.task is not None:
                arguments = parse_arguments(flight.kind, flight.arguments or {})
                return request_of(Task(id=flight.task, arguments=arguments))
        return None

    def _answered(self, flight: InFlight, message: soap.Message) -> Step:
        if isinstance(message, soap.Fault):
            return self._refused(flight, message)
        discovery = self._state.discovery
        match flight.purpose, message:
            case Purpose.LIST_NAMES, soap.GetParameterNamesResponse() if discovery is not None:
                self._listed(discovery, message.parameters)
            case Purpose.READ_VALUES, soap.GetParameterValuesResponse() if discovery is not None:
                self._read(discovery, message.parameters)
            case Purpose.TASK, _:
                finished = finish(parse_arguments(flight.kind, flight.arguments or {}), message)
                if finished is None or flight.task is None:
                    return self._fail(f"{type(message).__name__} does not answer {flight.kind}")
                self._task_done(flight.task, finished)
                if finished.ends_session:
                    return self._end()
            case _:
                return self._fail(f"{type(message).__name__} does not answer what was asked")
        return self._proceed()

    def _task_done(self, task: int, finished: Finished) -> None:
        if finished.values:
            self._effects.append(SaveValues(values=finished.values))
        if finished.gone:
            self._effects.append(DropValues(paths=finished.gone))
        if finished.awaits_transfer:
            self._effects.append(TaskAwaitsTransfer(task=task))
        else:
            self._effects.append(TaskCompleted(task=task, result=finished.result))
        self._state = replace(self._state, in_flight=None)
        if finished.refresh is not None and self._state.discovery is None:
            self._begin(Discovery.of(finished.refresh, self._context.profile, Origin.FOLLOW_UP))

    def _listed(self, discovery: Discovery, infos: tuple[soap.ParameterInfo, ...]) -> None:
        profile = self._context.profile
        ask = names_to_ask((info.name for info in infos), profile)[: max(0, NAMES_MOST - discovery.total)]
        asked, *rest = discovery.listing
        if profile.walk:
            below = [info.name for info in infos if info.name.endswith(".") and info.name != asked]
            rest = [*rest, *below][:LISTING_MOST]
        fresh = discovery.total == 0
        discovery = discovery.with_listing(rest).with_names(discovery.total + len(ask))
        if self._context.names_start == 0 and len(self._window) == discovery.total - len(ask):
            self._window.extend(ask)
        self._effects.append(SaveNames(infos=infos, ask=tuple(ask), fresh=fresh))
        self._state = replace(self._state, in_flight=None, discovery=discovery)

    def _read(self, discovery: Discovery, parameters: tuple[soap.ParameterValue, ...]) -> None:
        values = {each.name: each.value for each in parameters}
        types = {each.name: each.type for each in parameters}
        self._effects.append(SaveValues(values=values, types=types))
        collected = self._state.collected
        if collected is not None:
            collected = {**collected, **values} if len(collected) + len(values) <= COLLECTED_MOST else None
        answered = discovery.answered()
        if answered.batch > self._context.profile.batch:
            self._learn(batch=answered.batch)
        counted = self._state.counted + len(values)
        self._state = replace(self._state, in_flight=None, discovery=answered, collected=collected, counted=counted)

    # Faults

    def _refused(self, flight: InFlight, fault: soap.Fault) -> Step:
        self._state = replace(self._state, in_flight=None)
        match flight.purpose:
            case Purpose.LIST_NAMES:
                self._listing_refused(fault)
            case Purpose.READ_VALUES:
                self._reading_refused(fault)
            case Purpose.TASK:
                self._task_refused(flight, fault)
        return self._proceed()

    def _listing_refused(self, fault: soap.Fault) -> None:
        """Some devices refuse an empty path, others to list all at once: try both before giving up."""
        discovery, profile, root = self._state.discovery, self._context.profile, self._state.root
        if discovery is None:
            return
        asked, *rest = discovery.listing
        if not asked and root is not None:
            self._state = replace(self._state, discovery=discovery.with_listing((root, *rest)))
        elif not profile.walk and reaction_to(fault.code) is not Reaction.RETRY:
            self._learn(walk=True)
        elif rest or discovery.total:
            # A branch that cannot be listed does not spoil the others.
            self._state = replace(self._state, discovery=replace(discovery.with_listing(rest), tree=False))
        else:
            self._abandon(discovery, fault)

    def _reading_refused(self, fault: soap.Fault) -> None:
        discovery = self._state.discovery
        if discovery is None:
            return
        span = discovery.next_span
        many = span.stop - span.start > 1
        match reaction_to(fault.code):
            case Reaction.RETRY:
                self._abandon(discovery, fault)
            case Reaction.WAIT if many:
                self._shrink(discovery)
            case Reaction.SKIP | Reaction.FAIL if many and fault.code != "empty":
                self._state = replace(self._state, discovery=discovery.bad_name())
            case _ if many:
                # "Internal error" or no answer at all: most often it was too much at once.
                self._shrink(discovery)
            case _:
                self._bad(discovery, span.start, fault)

    def _shrink(self, discovery: Discovery) -> None:
        smaller = discovery.refused()
        self._learn(batch=smaller.batch, ceiling=smaller.ceiling)
        self._state = replace(self._state, discovery=smaller)

    def _bad(self, discovery: Discovery, index: int, fault: soap.Fault) -> None:
        """One name is not given: go on without it, and do not ask it of this model again."""
        position = index - self._context.names_start
        if fault.code in ("9005", "9003") and discovery.tree and 0 <= position < len(self._window):
            self._learn(bad=self._context.profile.bad | {template_of(self._window[position])})
        self._state = replace(self._state, discovery=discovery.given_up())

    def _task_refused(self, flight: InFlight, fault: soap.Fault) -> None:
        if flight.task is not None:
            detail: dict[str, object] = {}
            if fault.parameters:
                detail["parameters"] = [
                    {"name": each.name, "code": each.code, "message": each.string} for each in fault.parameters
                ]
            self._give_up_task(flight.task, flight.attempts, fault.code, fault.string, detail)

    def _give_up_task(self, task: int, attempts: int, code: str, text: str, detail: dict[str, object]) -> None:
        later = reaction_to(code) in (Reaction.RETRY, Reaction.WAIT) or code == "empty"
        self._effects.append(
            TaskFailed(
                task=task,
                code=code,
                message=text,
                detail=detail,
                wait_seconds=self._context.retries.wait_seconds(attempts + 1) if later else None,
            )
        )
        self._state = replace(self._state, tried=(*self._state.tried, task))

    def _abandon(self, discovery: Discovery, fault: soap.Fault) -> None:
        """The tree cannot be read now."""
        if discovery.origin is Origin.TASK:
            self._give_up_task(discovery.task, discovery.attempts, fault.code, fault.string, {})
        elif discovery.origin is Origin.CONTACT:
            self._effects.append(DiscoveryFailed(code=fault.code, message=fault.string))
        self._state = replace(self._state, discovery=None, collected=None)

    def _learn(self, **what: object) -> None:
        profile = replace(self._context.profile, **what)  # type: ignore[arg-type]
        self._context = replace(self._context, profile=profile)
        self._effects = [effect for effect in self._effects if not isinstance(effect, Learn)]
        self._effects.append(Learn(profile=profile))

    # What we ask

    def _proceed(self) -> Step:
        """Our turn: go on with a tree, begin one, send the next task, or end."""
        discovery = self._state.discovery
        if discovery is not None:
            if not discovery.finished:
                return self._ask(discovery)
            self._conclude(discovery)
        task = self._context.task
        if self._state.discovery is None and self._context.discovery:
            self._context = replace(self._context, discovery=False)
            self._begin(Discovery.of("", self._context.profile))
            return self._proceed()
        if task is not None and task.id not in self._state.tried:
            return self._start(task)
        return self._end()

    def _begin(self, discovery: Discovery, names: tuple[str, ...] = ()) -> None:
        self._window = list(names)
        self._context = replace(self._context, names_start=0, names_total=0)
        if names:
            discovery = replace(discovery.with_listing(()).with_names(len(names)), tree=False)
            self._effects.append(SaveNames(infos=(), ask=names, fresh=True))
        self._state = replace(
            self._state, discovery=discovery, collected={} if discovery.origin is Origin.TASK else None, counted=0
        )

    def _start(self, task: Task) -> Step:
        self._effects.append(TaskSent(task=task.id))
        self._state = replace(self._state, tried=(*self._state.tried, task.id)[-100:])
        match task.arguments:
            case GetParameterValues(names=names):
                self._begin(Discovery.of("", self._context.profile).for_task(task.id, task.attempts), names)
                return self._proceed()
            case RefreshObject(path=path):
                self._begin(Discovery.of(path, self._context.profile).for_task(task.id, task.attempts))
                return self._proceed()
        request = request_of(task)
        assert request is not None
        return self._send(
            request,
            Purpose.TASK,
            task=task.id,
            attempts=task.attempts,
            kind=task.arguments.kind,
            arguments=render_arguments(task.arguments),
        )

    def _ask(self, discovery: Discovery) -> Step:
        if discovery.listing:
            return self._send(self._listing(discovery), Purpose.LIST_NAMES, task=discovery.task)
        return self._send(self._reading(discovery), Purpose.READ_VALUES, task=discovery.task)

    def _listing(self, discovery: Discovery) -> soap.Message:
        return soap.GetParameterNames(parameter_path=discovery.listing[0], next_level=self._context.profile.walk)

    def _reading(self, discovery: Discovery) -> soap.Message:
        span, first = discovery.next_span, self._context.names_start
        return soap.GetParameterValues(names=tuple(self._window[span.start - first : span.stop - first]))

    def _conclude(self, discovery: Discovery) -> None:
        """The tree has been read to its end."""
        read = discovery.done - discovery.bad
        if discovery.tree:
            self._effects.append(Prune(path=discovery.path))
        match discovery.origin:
            case Origin.CONTACT:
                self._effects.append(DiscoveryFinished(parameters=read, missing=discovery.bad))
            case Origin.TASK:
                self._finish_reading(discovery, read)
        self._state = replace(self._state, discovery=None, collected=None)

    def _finish_reading(self, discovery: Discovery, read: int) -> None:
        collected = self._state.collected
        count = self._state.counted if collected is None else len(collected)
        result: dict[str, object] = {"count": count, "missing": discovery.bad}
        if collected:
            result["values"] = collected
        if discovery.bad and not read:
            message = "the device has none of the names"
            self._effects.append(
                TaskFailed(task=discovery.task, code="9005", message=message, detail={}, wait_seconds=None)
            )
        else:
            self._effects.append(TaskCompleted(task=discovery.task, result=result))

    def _send(
        self,
        request: soap.Message,
        purpose: Purpose,
        *,
        task: int | None = None,
        attempts: int = 0,
        kind: str = "",
        arguments: dict[str, object] | None = None,
    ) -> Step:
        counter = self._state.counter + 1
        flight = InFlight(
            purpose=purpose, rpc_id=str(counter), task=task, attempts=attempts, kind=kind, arguments=arguments
        )
        self._state = replace(self._state, counter=counter, in_flight=flight)
        return self._reply(soap.Envelope(message=request, id=flight.rpc_id, version=self._state.version))

    def _reply(self, envelope: soap.Envelope, request: bool = True) -> Step:
        phase = Phase.PENDING_RPC if self._state.in_flight else Phase.PROCESS
        reply = Reply(envelope=envelope, request=request)
        return Step(state=replace(self._state, phase=phase), effects=tuple(self._effects), reply=reply)

    def _end(self) -> Step:
        return self._finish(End(outcome="completed"))

    def _fail(self, reason: str) -> Step:
        return self._finish(End(outcome="failed", reason=reason))

    def _finish(self, end: End) -> Step:
        self._effects.append(end)
        state = replace(self._state, phase=Phase.END)
        return Step(state=state, effects=tuple(self._effects), reply=Reply(envelope=None))

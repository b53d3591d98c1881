"""In-memory twins of a CPE and of the store, which speak to the session machine in messages and effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from agent.acs.discovery import Profile
from agent.acs.session import effects as fx
from agent.acs.session.machine import Context, Step, receive
from agent.acs.session.state import Phase, Purpose, SessionState
from agent.acs.soap import messages as soap
from agent.acs.tasks import Task, parse_arguments

WINDOW = 1024


@dataclass
class FakeCpe:
    """Answers from a tree of {path: value}; objects are what the paths imply."""

    tree: dict[str, str]
    bad: frozenset[str] = frozenset()
    """Names that it lists and does not give."""
    names_most: int = 10_000
    refuses_empty_path: bool = False
    only_next_level: bool = False
    faults: dict[str, soap.Fault] = field(default_factory=dict)
    """By the name of the RPC; each given once."""
    asked: list[soap.Message] = field(default_factory=list)

    def answer(self, request: soap.Message) -> soap.Message | None:
        self.asked.append(request)
        name = type(request).__name__
        if name in self.faults:
            return self.faults.pop(name)
        match request:
            case soap.GetParameterNames(parameter_path=path, next_level=next_level):
                return self._names(path, next_level)
            case soap.GetParameterValues(names=names):
                return self._values(names)
            case soap.SetParameterValues(parameters=parameters):
                unknown = [each for each in parameters if each.name not in self.tree]
                if unknown:
                    details = tuple(soap.ParameterFault(name=each.name, code="9005") for each in unknown)
                    return soap.Fault(code="9003", string="Invalid arguments", parameters=details)
                self.tree.update({each.name: each.value for each in parameters})
                return soap.SetParameterValuesResponse(status=0)
            case soap.AddObject(object_name=path):
                self.tree[f"{path}7.Enable"] = "0"
                return soap.AddObjectResponse(instance_number=7)
            case soap.DeleteObject(object_name=path):
                self.tree = {name: value for name, value in self.tree.items() if not name.startswith(path)}
                return soap.DeleteObjectResponse()
            case soap.Download():
                return soap.DownloadResponse(status=1)
            case soap.Reboot():
                return soap.RebootResponse()
            case soap.GetRPCMethods():
                return soap.GetRPCMethodsResponse(methods=("Reboot",))
        return soap.Fault(code="9000", string="Method not supported")

    def _names(self, path: str, next_level: bool) -> soap.Message:
        if (self.refuses_empty_path and not path) or (self.only_next_level and not next_level):
            return soap.Fault(code="9005", string="Invalid parameter name")
        nodes = set(self.tree)
        for name in self.tree:
            for index, char in enumerate(name):
                if char == ".":
                    nodes.add(name[: index + 1])
        below = sorted(node for node in nodes if node.startswith(path) and node != path)
        if next_level:
            below = [node for node in below if "." not in node[len(path) :].rstrip(".")]
        return soap.GetParameterNamesResponse(
            parameters=tuple(soap.ParameterInfo(name=node, writable=False) for node in below)
        )

    def _values(self, names: tuple[str, ...]) -> soap.Message:
        if len(names) > self.names_most:
            return soap.Fault(code="9004", string="Resources exceeded")
        if any(name in self.bad or (name not in self.tree and not name.endswith(".")) for name in names):
            return soap.Fault(code="9005", string="Invalid parameter name")
        found = {
            name: value
            for asked in names
            for name, value in self.tree.items()
            if name == asked or (asked.endswith(".") and name.startswith(asked))
        }
        return soap.GetParameterValuesResponse(
            parameters=tuple(soap.ParameterValue(name=name, value=value) for name, value in found.items())
        )


@dataclass
class FakeStore:
    """Keeps what the effects say, as the database would."""

    values: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    profile: Profile = field(default_factory=Profile)
    discovery: bool = False
    waiting: list[Task] = field(default_factory=list)
    results: dict[int, dict[str, Any]] = field(default_factory=dict)
    failures: dict[int, fx.TaskFailed] = field(default_factory=dict)
    transferring: list[Task] = field(default_factory=list)
    sent: list[Task] = field(default_factory=list)
    seen: list[fx.Effect] = field(default_factory=list)

    def ask(self, number: int, kind: str, **arguments: Any) -> None:
        self.waiting.append(Task(id=number, arguments=parse_arguments(kind, arguments)))

    def context(self, state: SessionState) -> Context:
        start, stop = 0, 0
        flight, discovery = state.in_flight, state.discovery
        if flight is not None and flight.purpose is Purpose.READ_VALUES and discovery is not None:
            start, stop = discovery.next_span.start, discovery.next_span.stop
        return Context(
            profile=self.profile,
            task=self.waiting[0] if self.waiting else None,
            discovery=self.discovery,
            names=self.names[start : stop + WINDOW],
            names_start=start,
            names_total=len(self.names),
            transferring=tuple(self.transferring),
        )

    def save(self, step: Step) -> None:  # noqa: C901  one case an effect
        self.seen.extend(step.effects)
        if step.state.discovery is not None:
            self.discovery = False
        for effect in step.effects:
            if isinstance(effect, fx.Prune):
                keep = set(self.names)
                self.values = {
                    name: value
                    for name, value in self.values.items()
                    if not name.startswith(effect.path) or name in keep
                }
        for effect in step.effects:
            match effect:
                case fx.SaveNames(ask=ask, fresh=fresh):
                    self.names = [*ask] if fresh else [*self.names, *ask]
                case fx.SaveValues(values=values):
                    self.values.update(values)
                case fx.DropValues(paths=paths):
                    self.values = {k: v for k, v in self.values.items() if not k.startswith(tuple(paths))}
                case fx.TaskSent(task=task):
                    self.sent.extend(each for each in self.waiting if each.id == task)
                    self.waiting = [each for each in self.waiting if each.id != task]
                case fx.TaskCompleted(task=task, result=result):
                    self.results[task] = dict(result)
                    self.transferring = [each for each in self.transferring if each.id != task]
                case fx.TaskAwaitsTransfer(task=task):
                    self.transferring.extend(each for each in self.sent if each.id == task)
                case fx.TaskFailed():
                    self.failures[effect.task] = effect
                case fx.Learn(profile=profile):
                    self.profile = profile
                case fx.DiscoveryFinished() | fx.DiscoveryFailed():
                    self.discovery = False


def new_session(**fields: Any) -> SessionState:
    return replace(SessionState(version=soap.CwmpVersion.V1_2, phase=Phase.PROCESS, root="Device."), **fields)


def run(
    cpe: FakeCpe,
    store: FakeStore,
    state: SessionState | None = None,
    *,
    steps_most: int = 5000,
    between: Callable[[SessionState], SessionState] = lambda state: SessionState.parse(state.render()),
) -> SessionState:
    """A session from the empty POST on to its end; the state goes through its stored form between two messages."""
    state = state or new_session()
    incoming: soap.Envelope | None = None
    for _ in range(steps_most):
        step = receive(state, incoming, store.context(state))
        store.save(step)
        state = between(step.state)
        if step.reply.envelope is None:
            return state
        request = step.reply.envelope
        assert request.message is not None
        answer = cpe.answer(request.message)
        incoming = None if answer is None else soap.Envelope(message=answer, id=request.id, version=request.version)
    raise AssertionError("the session does not end")

"""The state of one CPE between and during sessions, and when it has something to do. No I/O; the time is told to it."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agent.sim.cpe.behaviour import Behaviour, Mishap
from agent.sim.cpe.identity import Identity
from agent.sim.cpe.jobs import Completion, Job, JobState
from agent.sim.cpe.records import Event, Moment, Outcome
from agent.sim.cpe.tree import ParameterTree

BOOTSTRAP, BOOT, PERIODIC = Event("0 BOOTSTRAP"), Event("1 BOOT"), Event("2 PERIODIC")
SCHEDULED, VALUE_CHANGE, CONNECTION_REQUEST = (
    Event("3 SCHEDULED"),
    Event("4 VALUE CHANGE"),
    Event("6 CONNECTION REQUEST"),
)
SCHEDULE_INFORM = "M ScheduleInform"
MOST_EVENTS = 64
NEVER = float("inf")
_RETRY_FIRST_SECONDS = 5.0
_RETRY_MOST_DOUBLINGS = 9
_DEFAULT_INTERVAL_SECONDS = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things take, in the CPE's own seconds; `time_scale` real seconds are one of them."""

    time_scale: float = 1.0
    boot_seconds: float = 20.0
    install_seconds: float = 30.0
    diagnostics_seconds: float = 5.0


@dataclass(slots=True)
class _Retry:
    count: int = 0
    at: float = 0.0
    events: tuple[Event, ...] = ()
    """Delivered already, but their session failed later: it is repeated."""


@dataclass(frozen=True, slots=True)
class Reboot:
    """To be done after the session; `command_key` None: not asked for by the ACS."""

    command_key: str | None


@dataclass(frozen=True, slots=True)
class FactoryReset:
    """To be done after the session."""


@dataclass(slots=True)
class Work:
    """What waits to be told to the ACS, and what waits to be done."""

    events: dict[Event, float] = field(default_factory=dict)
    """From when on each may be told."""
    completions: list[Completion] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    """Parameters with a notification whose new value the ACS has not seen."""
    after_session: list[Reboot | FactoryReset] = field(default_factory=list)
    diagnostics: list[tuple[str, float]] = field(default_factory=list)
    """Objects of diagnostics under way, and when each ends."""
    requests: list[str] = field(default_factory=list)
    """The CPE's own RPCs for the next session, once."""


class Device:
    """One CPE's state. Instants are monotonic seconds in real time."""

    def __init__(
        self, identity: Identity, tree: ParameterTree, *, behaviour: Behaviour, timing: Timing, seed: str, now: float
    ) -> None:
        """A CPE that is switched on now and has never met its ACS."""
        self.identity = identity
        self.tree = tree
        self.behaviour = behaviour
        self.timing = timing
        self.random = random.Random(f"{seed}/{identity.serial_number}")
        self.work = Work()
        self.mishaps: deque[Mishap] = deque()
        self.options: dict[str, int] = {}
        self.deployment_units: dict[str, str] = {}
        self.rpcs_answered = 0
        self.online_at = now
        self.retry = _Retry()
        self._booted_at = now
        self._periodic_at = NEVER
        self.power_on(now)
        self.raise_event(BOOTSTRAP, now)

    def scaled(self, seconds: float) -> float:
        """The CPE's own seconds as real ones."""
        return seconds * self.timing.time_scale

    def power_on(self, now: float, *causes: Event) -> None:
        """Boot at once; uptime starts, and what was under way in memory is lost."""
        self._booted_at = now
        self.online_at = now
        self.retry = _Retry()
        for event in (BOOT, *causes):
            self.raise_event(event, now)
        self.plan_periodic(now)

    def restart(self, now: float, *causes: Event) -> None:
        """Reboot: nothing is answered until the boot is over."""
        ready = now + self.scaled(self.timing.boot_seconds)
        self.power_on(ready, *causes)

    def factory_reset(self, now: float) -> None:
        """Back to the model, and a reboot with 0 BOOTSTRAP."""
        self.tree.reset()
        self.work = Work()
        self.deployment_units.clear()
        self.options.clear()
        self.restart(now, BOOTSTRAP)

    def raise_event(self, event: Event, at: float) -> None:
        """An event for the next Inform, from `at` on; the same one again changes nothing."""
        if len(self.work.events) < MOST_EVENTS:
            self.work.events[event] = min(at, self.work.events.get(event, NEVER))

    def plan_periodic(self, now: float) -> None:
        """Called when the interval changed and after each periodic Inform: the next one is an interval away."""
        get = self.tree.get
        if get("ManagementServer.PeriodicInformEnable", "true") not in {"1", "true"}:
            self._periodic_at = NEVER
            return
        interval = get("ManagementServer.PeriodicInformInterval")
        seconds = int(interval) if interval.isdigit() and int(interval) > 0 else _DEFAULT_INTERVAL_SECONDS
        self._periodic_at = now + self.scaled(seconds)

    def change(self, name: str, value: str, now: float) -> None:
        """A change that the ACS did not make; a notification attribute makes it known to the ACS (A.3.2.4)."""
        if self.tree.value(name) == value:
            return
        self.tree.set_value(name, value)
        notification = self.tree.notification(name)
        if notification in {1, 2, 4, 6}:
            self.work.changed.add(name)
        if notification == 2:
            self.raise_event(VALUE_CHANGE, now)
        if ".PeriodicInform" in name:
            self.plan_periodic(now)

    def session_due(self) -> float:
        """When the next session is to start; NEVER when nothing is planned."""
        wanted = min((*self.work.events.values(), self._periodic_at))
        if self.retry.count:
            # A connection request is answered at once; all else waits for the retry.
            urgent = self.work.events.get(CONNECTION_REQUEST, NEVER)
            wanted = min(self.retry.at, urgent)
        return max(wanted, self.online_at)

    def jobs_due(self) -> float:
        """When the next transfer is to start, or diagnostics end; NEVER when there are none."""
        jobs = (job.start_at for job in self.work.jobs if job.state is JobState.WAITING)
        ends = (at for _, at in self.work.diagnostics)
        return max(self.online_at, min((*jobs, *ends), default=NEVER))

    def take_due_jobs(self, now: float) -> tuple[Job, ...]:
        """Transfers to be started now; they are under way from now on."""
        found = tuple(job for job in self.work.jobs if job.state is JobState.WAITING and job.start_at <= now)
        for job in found:
            job.state = JobState.UNDER_WAY
        return found

    def end_diagnostics(self, now: float) -> None:
        """Diagnostics whose time is over are complete."""
        for path, at in tuple(self.work.diagnostics):
            if at <= now:
                self.work.diagnostics.remove((path, at))
                self.tree.set_value(path + "DiagnosticsState", "Complete")
                self.raise_event(Event("8 DIAGNOSTICS COMPLETE"), now)

    def begin_session(
        self, moment: Moment, extra: Sequence[Event] = (), *, all_pending: bool = False
    ) -> tuple[Event, ...]:
        """The events of a session that starts now; `all_pending` takes also those whose time has not come.

        What is told stays to be told until `delivered`."""
        for event in extra:
            self.raise_event(event, moment.at)
        if self._periodic_at <= moment.at:
            self.raise_event(PERIODIC, moment.at)
        if self.work.changed:
            self.raise_event(VALUE_CHANGE, moment.at)
        for completion in self.work.completions:
            for event in completion.events:
                self.raise_event(event, moment.at)
        ready = (event for event, at in self.work.events.items() if all_pending or at <= moment.at)
        told = dict.fromkeys((*self.retry.events, *ready)) or {PERIODIC: None}
        if any(event.code == SCHEDULE_INFORM for event in told):
            told[SCHEDULED] = None
        self.tree.put("DeviceInfo.UpTime", str(self.uptime_seconds(moment.at)))
        self.tree.put("Time.CurrentLocalTime", moment.wall.strftime("%Y-%m-%dT%H:%M:%SZ"))
        return in_order(told)

    def uptime_seconds(self, now: float) -> int:
        return max(0, int((now - self._booted_at) / (self.timing.time_scale or 1.0)))

    def delivered(self, events: Sequence[Event], changed: set[str]) -> None:
        """The InformResponse came: these need not be told again."""
        for event in events:
            self.work.events.pop(event, None)
        self.work.changed -= changed

    def end_session(self, outcome: Outcome, events: Sequence[Event], retry_after: float | None, now: float) -> None:
        """Plan the retry of a failed session (§3.2.1.1), or the next periodic Inform."""
        if PERIODIC in events or self._periodic_at <= now:
            self.plan_periodic(now)
        if outcome is Outcome.COMPLETED:
            self.retry = _Retry()
            return
        self.work.events.pop(CONNECTION_REQUEST, None)
        repeated = tuple(event for event in events if event != CONNECTION_REQUEST)
        if not repeated and not self.work.events:
            self.retry = _Retry()
            return
        count = self.retry.count + 1
        low = _RETRY_FIRST_SECONDS * 2 ** min(count - 1, _RETRY_MOST_DOUBLINGS)
        wait = self.random.uniform(low, 2 * low) if retry_after is None else retry_after
        self.retry = _Retry(count, now + self.scaled(wait), repeated)

    def do_after_session(self, now: float) -> None:
        """The reboots and resets that the session's RPCs asked for."""
        wanted, self.work.after_session = self.work.after_session, []
        for each in wanted:
            match each:
                case Reboot(command_key=None):
                    self.restart(now)
                case Reboot(command_key=str() as key):
                    self.restart(now, Event("M Reboot", key))
                case FactoryReset():
                    self.factory_reset(now)


def in_order(events: Iterable[Event]) -> tuple[Event, ...]:
    """Each event once, by number, `M` and `X` events last; as many as an Inform may have."""
    return tuple(sorted(dict.fromkeys(events), key=_code_order))[:MOST_EVENTS]


def _code_order(event: Event) -> tuple[int, str]:
    number = event.code.partition(" ")[0]
    return (int(number), "") if number.isdigit() else (MOST_EVENTS, event.code)

"""One emulated CPE: its state, and its sessions and transfers over real HTTP.

cpe = Cpe(CpeOptions(url=acs.url, model=load_model("tr098", leaves=130)))
report = cpe.run_session()              # 0 BOOTSTRAP, 1 BOOT
report = cpe.run_session(["2 PERIODIC"])
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.core.clock import now
from agent.core.errors import ConfigError, DeviceError
from agent.sim.cpe.behaviour import Behaviour
from agent.sim.cpe.device import Device, Timing
from agent.sim.cpe.http_auth import Auth, Authenticator
from agent.sim.cpe.identity import Identity
from agent.sim.cpe.job_results import Fetched, JobEnd, JobFault, end_job, upload_content
from agent.sim.cpe.jobs import Completion, DuOperation, Job, JobKind, JobState
from agent.sim.cpe.model import Model
from agent.sim.cpe.records import CpeStatus, Event, SessionReport
from agent.sim.cpe.requests import check_requests
from agent.sim.cpe.session import Session
from agent.sim.cpe.session_run import SessionRun, present
from agent.sim.cpe.soap import CWMP_NAMESPACES, can_be_told
from agent.sim.cpe.transfers import fetch, send
from agent.sim.cpe.tree import ParameterTree
from agent.sim.cpe.wire import Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class CpeOptions:
    """What a CPE is made of. `username` and `password` are for the ACS; `@SERIAL@` in them is the serial number."""

    url: str
    model: Model
    number: int = 0
    seed: str = ""
    username: str = ""
    password: str = ""
    connection_request_url: str = ""
    connection_request_username: str = ""
    connection_request_password: str = ""
    interval_seconds: int | None = None
    """PeriodicInformInterval; None: the model's."""
    upload_method: str = "PUT"
    wire: Wire = field(default_factory=Wire)
    behaviour: Behaviour = field(default_factory=Behaviour)
    timing: Timing = field(default_factory=Timing)


class Cpe:
    """A device. The synchronous calls are for tests, from a thread without an event loop; a fleet uses the others."""

    def __init__(self, options: CpeOptions, *, starts_in_seconds: float = 0.0) -> None:
        """Switched on then; 0 BOOTSTRAP and 1 BOOT wait to be told. ConfigError for options that make no sense."""
        check_requests(options.behaviour.extra_requests)
        if options.wire.cwmp_version not in CWMP_NAMESPACES:
            raise ConfigError(f"CWMP version {options.wire.cwmp_version!r}: {', '.join(CWMP_NAMESPACES)} are known")
        self.options = options
        self.identity = Identity.of(options.model.origin, options.number, options.seed)
        tree = ParameterTree(options.model, self.identity, self._factory())
        self.device = Device(
            self.identity,
            tree,
            behaviour=options.behaviour,
            timing=options.timing,
            seed=options.seed,
            now=now() + starts_in_seconds,
        )
        self.wire = options.wire
        self.in_session = False
        self.last_report: SessionReport | None = None
        self._completed = 0
        self._failed = 0
        self._complaints: tuple[str, ...] = ()
        self._authenticator: Authenticator | None = None

    def _factory(self) -> dict[str, str]:
        options = self.options
        server = options.model.root + "ManagementServer."
        found = {
            "URL": options.url,
            "Username": options.username.replace("@SERIAL@", self.serial_number),
            "Password": options.password.replace("@SERIAL@", self.serial_number),
            "ConnectionRequestURL": options.connection_request_url,
            "ConnectionRequestUsername": options.connection_request_username,
            "ConnectionRequestPassword": options.connection_request_password,
        }
        if options.interval_seconds is not None:
            found["PeriodicInformInterval"] = str(options.interval_seconds)
        return {server + name: value for name, value in found.items()}

    @property
    def serial_number(self) -> str:
        return self.identity.serial_number

    @property
    def device_id(self) -> str:
        """OUI-ProductClass-SerialNumber, percent-encoded."""
        return self.identity.device_id

    @property
    def online(self) -> bool:
        """Switched on, and not booting."""
        return self.device.online_at <= now()

    @property
    def behaviour(self) -> Behaviour:
        return self.device.behaviour

    def behave(self, behaviour: Behaviour) -> None:
        """Behave like that from now on; ConfigError for one that asks for requests that no CPE makes."""
        check_requests(behaviour.extra_requests)
        self.device.behaviour = behaviour

    def gap_seconds(self) -> float:
        """Between two connection requests that it accepts, real seconds."""
        return self.device.scaled(self.behaviour.connection_request_gap_seconds)

    @property
    def tree(self) -> ParameterTree:
        return self.device.tree

    def value(self, below_root: str) -> str:
        """A parameter's value by its name below the root (`DeviceInfo.SoftwareVersion`); empty if there is none."""
        return self.tree.get(below_root)

    def run_session(self, events: Iterable[str | Event] = ()) -> SessionReport:
        """One session now, with these events and all that wait, reboots and back-off or not; 2 PERIODIC without any."""
        return asyncio.run(self.session(events, all_pending=True))

    def run_jobs(self) -> tuple[Completion, ...]:
        """Do all transfers and deployment operations that wait, whatever their delay; the next session tells it."""
        return asyncio.run(self._all_jobs())

    async def _all_jobs(self) -> tuple[Completion, ...]:
        found = []
        for job in tuple(self.device.work.jobs):
            await self.job(job)
            found.append(next(each for each in self.device.work.completions if each.job is job))
        return tuple(found)

    async def session(self, events: Iterable[str | Event] = (), *, all_pending: bool = False) -> SessionReport:
        """One session with these events and those that are due. DeviceError when the CPE is in a session already."""
        if self.in_session:
            raise DeviceError(f"{self.serial_number} is in a session")
        device = self.device
        extra = [Event(each) if isinstance(each, str) else each for each in events]
        moment = present()
        told = device.begin_session(moment, extra, all_pending=all_pending)
        session = Session(device, told, self.wire.cwmp_version, moment)
        run = SessionRun(session, self.value("ManagementServer.URL"), self.wire, self._credentials())
        self.in_session = True
        try:
            report = await run.run()
        finally:
            self.in_session = False
        device.end_session(report.outcome, report.events, report.retry_after_seconds, now())
        # Last: a reboot forgets the back-off.
        device.do_after_session(now())
        self._note(report)
        return report

    def _credentials(self) -> Authenticator:
        if self._authenticator is None or not self.wire.remembers_nonce:
            username, password = self.value("ManagementServer.Username"), self.value("ManagementServer.Password")
            auth = self.wire.auth if username else Auth.NONE
            self._authenticator = Authenticator(auth, username, password)
        return self._authenticator

    def _note(self, report: SessionReport) -> None:
        self.last_report = report
        self._completed += report.completed
        self._failed += not report.completed
        self._complaints = report.complaints or self._complaints

    async def job(self, job: Job) -> None:
        """Do one transfer or deployment operation, and leave the news of it for the next session."""
        job.state = JobState.UNDER_WAY
        started = present().wall
        brought: Fetched | JobFault | None = None
        if job.kind is JobKind.UPLOAD:
            upload = upload_content(self.device, job)
            brought = await send(job.place, upload, self.wire, self.options.upload_method)
        elif job.operation is not DuOperation.UNINSTALL and (job.operation is None or job.place.url):
            brought = await fetch(job.place, self.wire)
        end_job(self.device, job, JobEnd(brought, started), present())

    def change(self, name: str, value: str) -> None:
        """Change a parameter as a subscriber would; by its full name, or its name below the root.

        DeviceError when there is no such parameter, ConfigError for what XML cannot hold."""
        if not can_be_told(value):
            raise ConfigError(f"{name}: no message can tell that value")
        full = name if name.startswith(self.tree.root) else self.tree.root + name
        node = self.tree.node(full)
        if node is None or node.kind is None:
            raise DeviceError(f"no parameter {full}")
        self.device.change(full, value, now())

    def status(self) -> CpeStatus:
        """What a fleet tells of it."""
        device, report = self.device, self.last_report
        return CpeStatus(
            serial_number=self.serial_number,
            device_id=self.device_id,
            model=self.options.model.name,
            software_version=self.value("DeviceInfo.SoftwareVersion"),
            connection_request_url=self.value("ManagementServer.ConnectionRequestURL"),
            online=self.online,
            in_session=self.in_session,
            sessions_completed=self._completed,
            sessions_failed=self._failed,
            rpcs_answered=device.rpcs_answered,
            retry_count=device.retry.count,
            last_outcome=report.outcome if report else None,
            last_events=tuple(event.code for event in report.events) if report else (),
            complaints=self._complaints,
            due_seconds=max(0.0, device.session_due() - now()),
        )

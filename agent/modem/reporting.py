"""What a pass tells the database and the operator: states, events, logs. Built here, written by the Recorder."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass, replace

from agent.core.clock import Instant, now, wall
from agent.core.errors import AgentError
from agent.core.identifiers import Serial
from agent.modem.actions import Action
from agent.modem.at.redaction import redact
from agent.modem.model import DataSession, Desired, Hardware, IpSettings, ModemState, Observed, Route, Rule
from agent.modem.observer import proxy_is_up
from agent.modem.planner import Plan
from agent.modem.ports import LogEntry, ModemReport, Recorder
from agent.modem.service import alternative_name

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 30.0
"""A report that says nothing new is still written this often, for `last_seen`."""


def describe(action: Action) -> str:
    """An action in one line, for logs and `lastmile plan`; secrets and long texts are left out."""
    shown = [
        f"{field.name}={_brief(value)}"
        for field in dataclasses.fields(action)
        if field.repr and (value := getattr(action, field.name)) not in (None, frozenset(), (), "")
    ]
    return " ".join((type(action).__name__, *shown))


def _brief(value: object) -> str:
    match value:
        case Rule(family=family, priority=priority, uid=uid, table=table):
            return f"v{family} pref {priority} uid {uid} lookup {table}"
        case Route(family=family, table=table, link_index=None):
            return f"v{family} unreachable table {table}"
        case Route(family=family, table=table, link_index=link_index):
            return f"v{family} default link {link_index} table {table}"
        case IpSettings(interface=interface):
            return str(interface)
        case DataSession(client_id=client_id):
            return f"client {client_id}"
        case frozenset() | tuple():
            return "[" + ", ".join(sorted(_brief(each) for each in value)) + "]"
        case _:
            return str(value)


@dataclass(slots=True)
class Reporter:
    """Reports of one modem; remembers the last one so that nothing is written twice."""

    recorder: Recorder
    _last: ModemReport | None = None
    _last_at: Instant = float("-inf")

    def report(
        self, desired: Desired, observed: Observed, decided: Plan, failure: AgentError | None, *, sample: bool
    ) -> None:
        """Tell how the modem stands after a pass."""
        reason = decided.reason if failure is None else f"{decided.reason}: {failure}"
        self._send(_report(desired, observed, decided.state, reason, sample=sample))

    def silent(self, desired: Desired, hardware: Hardware, *, recovering: bool) -> None:
        """Tell of a modem that is believed to sit in its slot but has not said a word yet."""
        observed = Observed(hardware=hardware)
        state = ModemState.RECOVERING if recovering else ModemState.DETECTED
        self._send(
            _report(desired, observed, state, "the modem has not answered since it was plugged in", sample=False)
        )

    def _send(self, report: ModemReport) -> None:
        last = self._last
        unchanged = (
            last is not None and replace(report, at=last.at, rx_bytes=last.rx_bytes, tx_bytes=last.tx_bytes) == last
        )
        if unchanged and not report.sample and now() - self._last_at < HEARTBEAT_SECONDS:
            return
        if last is None or (last.state, last.reason) != (report.state, report.reason):
            logger.info(
                "modem state",
                extra={"MODEM": report.serial, "STATE": report.state.value, "REASON": report.reason},
            )
        self._last, self._last_at = replace(report, sample=False), now()
        self.recorder.report(report)

    def urc(self, serial: Serial | None, line: str) -> None:
        self.recorder.log(
            LogEntry(serial=serial, at=wall(), channel="urc", command="", response=redact(line), outcome="info")
        )

    def exchange(
        self, serial: Serial | None, channel: str, command: str, answer: str, outcome: str, seconds: float
    ) -> None:
        """One command and its answer, redacted."""
        self.recorder.log(
            LogEntry(
                serial=serial,
                at=wall(),
                channel=channel,
                command=command,
                response=answer,
                outcome=outcome,
                duration_seconds=seconds,
            )
        )

    def action(self, serial: Serial, action: Action, failure: AgentError | None) -> None:
        self.recorder.log(
            LogEntry(
                serial=serial,
                at=wall(),
                channel="agent",
                command=describe(action),
                response="" if failure is None else str(failure),
                outcome="ok" if failure is None else "error",
            )
        )

    def event(self, serial: Serial, name: str, text: str) -> None:
        """Something an operator should know of."""
        logger.warning(name, extra={"MODEM": serial, "REASON": text})
        self.recorder.log(
            LogEntry(serial=serial, at=wall(), channel="agent", command=name, response=text, outcome="info")
        )


def _report(desired: Desired, observed: Observed, state: ModemState, reason: str, *, sample: bool) -> ModemReport:
    identity, sim, bearer, link = observed.identity, observed.sim, observed.bearer, observed.link
    hardware, registration = observed.hardware, observed.cell.registration
    known = observed.responsive
    return ModemReport(
        serial=desired.serial,
        at=wall(),
        state=state,
        reason=reason,
        slot=hardware.slot if hardware is not None else None,
        path=f"/dev/modems/{desired.serial}" if hardware is not None else None,
        interface=alternative_name(desired) if link is not None else None,
        imei=identity.imei if identity is not None else None,
        iccid=sim.iccid if sim is not None else None,
        imsi=sim.imsi if sim is not None else None,
        model=identity.model if identity is not None else None,
        revision=identity.revision if identity is not None else None,
        operator=registration.operator if known else None,
        access_technology=registration.access_technology.value if known else None,
        registration=(registration.eps if registration.eps.registered else registration.ps).value if known else None,
        signal=observed.cell.signal,
        wan_address=str(bearer.ipv4.interface.ip) if bearer is not None and bearer.ipv4 is not None else None,
        wan_address_ipv6=str(bearer.ipv6.interface.ip) if bearer is not None and bearer.ipv6 is not None else None,
        proxy_running=proxy_is_up(observed),
        rx_bytes=link.rx_bytes if link is not None else None,
        tx_bytes=link.tx_bytes if link is not None else None,
        sample=sample and bearer is not None,
    )

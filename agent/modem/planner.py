"""The decision: from what is observed and what is wanted to what is done next. Pure.

One pass observes, plans and executes; passes repeat until the plan is empty. A pass may be cut off after any action:
the next one observes afresh and goes on from there, so no action relies on an earlier pass having run to its end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.core.clock import Instant
from agent.modem.actions import (
    Action,
    EnableRadio,
    EnterPin,
    Recover,
    RecoveryStep,
    ReleaseSession,
    ReportErrorsAsText,
    ReportPacketEvents,
    ReportRegistration,
    SelectOperatorAutomatically,
    SilenceEcho,
    StartBearer,
    SwitchToQmi,
    SwitchToRawIp,
)
from agent.modem.health import Health, HealthPolicy, Verdict, due_step, observe_verdict
from agent.modem.model import (
    Desired,
    Hardware,
    ModemState,
    Observed,
    SimState,
    UnitState,
)
from agent.modem.service import plan_service, plan_tear_down

QMI_MODE = 0
FULL_FUNCTIONALITY = 1
URC_WITH_LOCATION = 2
EVENT_REPORTS = (2, 1)
AUTOMATIC = 0
USABLE_SIMS = frozenset({SimState.READY, SimState.PIN2_REQUIRED, SimState.PUK2_REQUIRED})

SIM_REASONS = {
    SimState.ABSENT: "no SIM card in the modem",
    SimState.PUK_REQUIRED: "the SIM is blocked and wants its PUK: unblock it in a phone",
    SimState.LOCKED_TO_PHONE: "the SIM is locked to another device",
    SimState.LOCKED_TO_NETWORK: "the modem is locked to another network",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is wanted, with what only the machine could add to it."""

    desired: Desired
    proxy_text: str | None = None
    """The proxy's wanted configuration; None while no resolver is known for it."""
    pin_tried: bool = False
    """Whether the wanted PIN has been tried on the SIM that is in the modem."""
    mode_switched: bool = False
    """Whether this modem was switched to QMI a short while ago."""
    health: HealthPolicy = HealthPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do now, in order, and how the modem stands."""

    actions: tuple[Action, ...]
    state: ModemState
    reason: str
    health: Health


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One stage's share of the plan."""

    actions: tuple[Action, ...]
    state: ModemState
    reason: str
    verdict: Verdict
    mildest: RecoveryStep = RecoveryStep.REREGISTER
    """The first recovery step that can help against this."""


def plan(observed: Observed, intent: Intent, health: Health, now: Instant) -> Plan:
    """Decide one pass. An empty tuple of actions means that nothing is left to do."""
    desired = intent.desired
    if not desired.enabled:
        return Plan(
            actions=plan_tear_down(observed, desired),
            state=ModemState.OFFLINE,
            reason="disabled by the operator",
            health=Health(),
        )
    step = _modem_step(observed, intent)
    if step.verdict is Verdict.WELL and observed.probe is None and health.ailing:
        # What stands again after a recovery step is well when something passes, and not before.
        step = replace(step, state=ModemState.DEGRADED, reason="connected; not probed yet", verdict=Verdict.PENDING)
    judged = observe_verdict(health, step.verdict, now, intent.health)
    service = plan_service(observed, desired, intent.proxy_text)
    stepped, recovery = due_step(
        judged, now, intent.health, mildest=step.mildest, connected=observed.bearer is not None
    )
    if recovery is not None:
        return Plan(
            actions=(*service, _recover(recovery, observed)),
            state=ModemState.RECOVERING,
            reason=f"{step.reason}: {recovery.value.replace('_', ' ')}",
            health=stepped,
        )
    if stepped.quarantined and step.verdict in (Verdict.FAILED, Verdict.PENDING):
        return Plan(
            actions=service,
            state=ModemState.QUARANTINED,
            reason=f"recovery did not help: {step.reason}",
            health=stepped,
        )
    state = step.state
    if stepped.steps and step.verdict in (Verdict.FAILED, Verdict.PENDING):
        state = ModemState.RECOVERING
    return Plan(actions=(*service, *step.actions), state=state, reason=step.reason, health=stepped)


# -- the modem itself ------------------------------------------------------------------------------------------------


def _modem_step(observed: Observed, intent: Intent) -> _Step:
    """The first stage that is not yet reached, from the bus up to the probe."""
    if observed.hardware is None:
        return _Step(actions=(), state=ModemState.OFFLINE, reason="not plugged in", verdict=Verdict.BLOCKED)
    if not observed.responsive:
        # With a bearer it is no modem that still boots: it has gone mute.
        mute = observed.bearer is not None
        return _Step(
            actions=(),
            state=ModemState.DEGRADED if mute else ModemState.INITIALISING,
            reason="the AT port does not answer",
            verdict=Verdict.FAILED if mute else Verdict.PENDING,
            mildest=RecoveryStep.RESET_USB,
        )
    for stage in (_configuration_step, _sim_step, _control_step, _registration_step, _bearer_step):
        step = stage(observed, observed.hardware, intent)
        if step is not None:
            return step
    return _service_step(observed, intent)


def _configuration_step(observed: Observed, hardware: Hardware, intent: Intent) -> _Step | None:
    found = observed.configuration
    actions: list[Action] = []
    if found.echo:
        actions.append(SilenceEcho())
    if found.error_mode not in (None, 2):
        actions.append(ReportErrorsAsText())
    if found.usbnet not in (None, QMI_MODE):
        if intent.mode_switched:
            return _Step(
                actions=tuple(actions),
                state=ModemState.DEGRADED,
                reason=f"the modem stays in USB mode {found.usbnet} although it was switched to QMI",
                verdict=Verdict.FAILED,
                mildest=RecoveryStep.RESET_USB,
            )
        return _Step(
            actions=(*actions, SwitchToQmi()),
            state=ModemState.INITIALISING,
            reason="the modem is not in QMI mode: switching it over",
            verdict=Verdict.PENDING,
        )
    if not hardware.complete:
        return _Step(
            actions=tuple(actions),
            state=ModemState.DETECTED,
            reason="waiting for the modem's QMI port and network link",
            verdict=Verdict.PENDING,
        )
    if found.functionality not in (None, FULL_FUNCTIONALITY):
        actions.append(EnableRadio())
    if not actions:
        return None
    return _Step(
        actions=tuple(actions),
        state=ModemState.INITIALISING,
        reason="setting the modem up",
        verdict=Verdict.PENDING,
    )


def _sim_step(observed: Observed, hardware: Hardware, intent: Intent) -> _Step | None:
    del hardware
    sim = observed.sim
    if sim is not None and sim.state in USABLE_SIMS:
        return None
    if sim is None or sim.state in (SimState.BUSY, SimState.UNKNOWN):
        return _Step(
            actions=(),
            state=ModemState.INITIALISING,
            reason="the SIM is not ready yet",
            verdict=Verdict.PENDING,
        )
    if sim.state is SimState.FAILURE:
        return _Step(
            actions=(),
            state=ModemState.SIM_BLOCKED,
            reason="the SIM does not answer (SIM failure)",
            verdict=Verdict.FAILED,
            mildest=RecoveryStep.CYCLE_RADIO,
        )
    if sim.state is not SimState.PIN_REQUIRED:
        return _blocked(SIM_REASONS[sim.state])
    pin = intent.desired.pin
    if pin is None:
        return _blocked("the SIM wants a PIN: set modem.pin")
    if sim.iccid is None:
        # Without its number the try could not be remembered, and a third wrong try would lock the card.
        return _blocked("the SIM wants a PIN, but its ICCID cannot be read: the PIN is not tried")
    if intent.pin_tried:
        return _blocked("the PIN was tried on this SIM before and is not tried again: correct modem.pin or the SIM")
    return _Step(
        actions=(EnterPin(iccid=sim.iccid, pin=pin),),
        state=ModemState.INITIALISING,
        reason="entering the PIN",
        verdict=Verdict.PENDING,
    )


def _blocked(reason: str) -> _Step:
    return _Step(actions=(), state=ModemState.SIM_BLOCKED, reason=reason, verdict=Verdict.BLOCKED)


def _control_step(observed: Observed, hardware: Hardware, intent: Intent) -> _Step | None:
    del hardware, intent
    if observed.control_answers:
        return None
    return _Step(
        actions=(),
        state=ModemState.DEGRADED,
        reason="the QMI port does not answer",
        verdict=Verdict.FAILED,
        mildest=RecoveryStep.RESET_USB,
    )


def _registration_step(observed: Observed, hardware: Hardware, intent: Intent) -> _Step | None:
    del hardware, intent
    found = observed.configuration
    registration = observed.cell.registration
    actions: list[Action] = []
    if any(mode not in (None, URC_WITH_LOCATION) for mode in found.registration_reports):
        actions.append(ReportRegistration())
    if found.event_reports not in (None, EVENT_REPORTS):
        actions.append(ReportPacketEvents())
    if found.operator_mode not in (None, AUTOMATIC):
        actions.append(SelectOperatorAutomatically())
    if registration.registered and not actions:
        return None
    if observed.bearer is not None and not registration.registered:
        return _Step(
            actions=tuple(actions),
            state=ModemState.DEGRADED,
            reason="registration lost while the data connection lasts",
            verdict=Verdict.FAILED,
        )
    reason = "registration denied by the network" if registration.denied else "searching for a network"
    if registration.registered:
        reason = "registered with the network"
    return _Step(
        actions=tuple(actions),
        state=ModemState.REGISTERED if registration.registered else ModemState.SEARCHING,
        reason=reason,
        verdict=Verdict.PENDING,
    )


def _bearer_step(observed: Observed, hardware: Hardware, intent: Intent) -> _Step | None:
    actions: list[Action] = [ReleaseSession(session=session) for session in observed.stray_sessions]
    link = observed.link
    if link is not None and link.raw_ip is False and hardware.raw_ip_path is not None:
        actions.append(SwitchToRawIp(path=hardware.raw_ip_path, link_index=link.index))
    if observed.bearer is None:
        actions.append(StartBearer(apn=intent.desired.apn))
    if not actions:
        return None
    return _Step(
        actions=tuple(actions),
        state=ModemState.CONNECTING,
        reason="asking for a data connection",
        verdict=Verdict.PENDING,
    )


def _service_step(observed: Observed, intent: Intent) -> _Step:
    """Everything below stands; is the service itself good?"""
    if intent.desired.allocation is None:
        return _pending_service("connected; waiting for the database to assign a TCP port")
    if intent.desired.proxy is None:
        return _pending_service("connected; this host has no address yet for the proxy to listen on")
    if intent.proxy_text is None:
        return _pending_service("connected; no resolver is known for the proxy yet")
    if observed.link is None:
        return _Step(actions=(), state=ModemState.DEGRADED, reason="the network link is gone", verdict=Verdict.FAILED)
    if not (observed.proxy.unit is UnitState.ACTIVE and observed.proxy.listening):
        return _pending_service("connected; the proxy is being started")
    probe = observed.probe
    if probe is not None and not probe.passed:
        return _Step(
            actions=(),
            state=ModemState.DEGRADED,
            reason=f"no way through: {probe.detail}",
            verdict=Verdict.FAILED,
        )
    return _Step(actions=(), state=ModemState.ONLINE, reason="", verdict=Verdict.WELL)


def _pending_service(reason: str) -> _Step:
    # Not the modem's fault: no recovery step would help.
    return _Step(actions=(), state=ModemState.CONNECTING, reason=reason, verdict=Verdict.BLOCKED)


def _recover(step: RecoveryStep, observed: Observed) -> Recover:
    session = observed.bearer.session if observed.bearer is not None else None
    return Recover(step=step, session=session if step is RecoveryStep.RECONNECT else None)

"""What each kind of rule sees in the facts. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from agent.alert.facts import DatabaseFacts, HostFacts, ModemFacts, OverdueDevice
from agent.alert.model import Rule, RuleKind, Seen, Sighting, Subject, SubjectKind
from agent.modem.model import ModemState

STALE_SECONDS = 90.0
"""What an agent that was silent for so long has said last is not believed any more."""
SIGHTINGS_MOST = 100
"""Of one rule that are alerts of their own; the rest is one more."""
REST = "the rest"
_CONNECTED = (ModemState.ONLINE, ModemState.DEGRADED)
_REFUSALS = (
    "no way through",
    "operator determined barring",
    "not subscribed",
    "service option",
    "rejected by the network",
    "rejected by the gateway",
    "authentication failed",
    "registration denied",
)
"""What a carrier's refusal looks like: a card without credit is told nothing else."""

MODEM_KINDS = frozenset(
    {
        RuleKind.MODEM_OFFLINE,
        RuleKind.MODEM_QUARANTINED,
        RuleKind.MODEM_OUT_OF_CREDIT,
        RuleKind.SIGNAL_BELOW,
        RuleKind.ADDRESS_UNCHANGED,
    }
)


def see_modems(rule: Rule, modems: Iterable[ModemFacts], known: frozenset[Subject], at: datetime) -> Seen:
    """The modems that a rule of MODEM_KINDS is about. `known`: those that there are alerts of already."""
    sightings, unknown = [], set()
    for modem in modems:
        if rule.hosts is not None and modem.host not in rule.hosts:
            continue
        subject = Subject(kind=SubjectKind.MODEM, name=modem.serial, host=modem.host)
        if at - modem.host_seen_at > timedelta(seconds=STALE_SECONDS):
            unknown.add(subject)
            continue
        found = _judge(rule, modem, at, known=subject in known)
        if found is not None:
            summary, value = found
            sightings.append(Sighting(subject=subject, summary=f"Modem {modem.serial}: {summary}", value=value))
    return Seen(sightings=_bounded(sightings, known, "modems"), unknown=frozenset(unknown))


def _judge(rule: Rule, modem: ModemFacts, at: datetime, *, known: bool) -> tuple[str, float | None] | None:
    """What is to be said of the modem; None: nothing."""
    if not modem.enabled:
        return None
    match rule.kind:
        case RuleKind.MODEM_OFFLINE:
            if modem.status in (*_CONNECTED, ModemState.QUARANTINED):
                return None
            words = modem.status.value.replace("_", " ")
            return (f"{words}, {modem.reason}" if modem.reason else words), None
        case RuleKind.MODEM_QUARANTINED:
            return (
                (f"quarantined, {modem.reason or 'recovery did not help'}", None)
                if modem.status is ModemState.QUARANTINED
                else None
            )
        case RuleKind.MODEM_OUT_OF_CREDIT:
            return _judge_credit(rule, modem)
        case RuleKind.SIGNAL_BELOW:
            return _judge_signal(rule, modem, known=known)
        case RuleKind.ADDRESS_UNCHANGED:
            return _judge_address(rule, modem, at)
        case _:
            raise ValueError(f"{rule.kind.value} is not about modems")


def _judge_credit(rule: Rule, modem: ModemFacts) -> tuple[str, float | None] | None:
    if modem.status is ModemState.ONLINE or not modem.present:
        return None
    if modem.rsrp_dbm is None or modem.rsrp_dbm < rule.number("rsrp_dbm"):
        return None
    if not any(refusal in modem.reason for refusal in _REFUSALS):
        return None
    return (
        f"the carrier lets nothing through although the signal is good ({modem.reason}); is the card out of credit?",
        None,
    )


def _judge_signal(rule: Rule, modem: ModemFacts, *, known: bool) -> tuple[str, float | None] | None:
    if modem.status not in _CONNECTED:
        return None
    extra = rule.number("hysteresis_db") if known else 0.0
    for name, value, unit in (
        ("rsrp_dbm", modem.rsrp_dbm, "dBm"),
        ("rsrq_db", modem.rsrq_db, "dB"),
        ("sinr_db", modem.sinr_db, "dB"),
    ):
        limit = rule.parameters[name]
        if limit is not None and value is not None and value < limit + extra:
            word = name.partition("_")[0].upper()
            return f"{word} is {value:g} {unit}, the limit is {limit:g} {unit}", value
    return None


def _judge_address(rule: Rule, modem: ModemFacts, at: datetime) -> tuple[str, float | None] | None:
    if modem.rotated_at is None or modem.wan_address is None or modem.wan_address != modem.address_before:
        return None
    if at - modem.rotated_at > timedelta(hours=rule.number("hours")):
        return None
    return f"still has the address {modem.wan_address} after it was reconnected", None


def see_hosts(rule: Rule, hosts: Iterable[HostFacts], at: datetime) -> Seen:
    """Hosts whose agent was not heard of."""
    limit = timedelta(seconds=rule.number("seconds"))
    return Seen(
        sightings=tuple(
            Sighting(
                subject=Subject(kind=SubjectKind.HOST, name=host.name, host=host.name),
                summary=f"The agent on {host.name} was last heard of at {host.seen_at:%Y-%m-%d %H:%M} UTC; "
                f"it looks after {_counted(host.modems, 'modem')}",
            )
            for host in hosts
            if at - host.seen_at > limit and (rule.hosts is None or host.name in rule.hosts)
        )
    )


def see_controllers(rule: Rule, modems: Iterable[ModemFacts]) -> Seen:
    """USB controllers that more modems hang on than their endpoints allow."""
    per_modem, budget = rule.number("endpoints_of_modem"), rule.number("endpoints_of_controller")
    # A slot begins with its bus, and each controller has one bus at the speed of these modems.
    buses = Counter(
        (modem.host, modem.slot.partition("-")[0])
        for modem in modems
        if modem.present and modem.slot and (rule.hosts is None or modem.host in rule.hosts)
    )
    return Seen(
        sightings=tuple(
            Sighting(
                subject=Subject(kind=SubjectKind.HOST, name=f"{host} USB bus {bus}", host=host),
                summary=f"{_counted(count, 'modem')} on USB bus {bus} of {host} take about {count * per_modem:g} "
                f"endpoints, its controller has {budget:g}",
                value=count * per_modem,
            )
            for (host, bus), count in sorted(buses.items())
            if count * per_modem > budget
        )
    )


def see_devices(overdue: Sequence[OverdueDevice], total: int, known: frozenset[Subject]) -> Seen:
    """Devices that should have informed; `total` of them, some of which are `overdue`."""
    sightings = [
        Sighting(
            subject=Subject(kind=SubjectKind.DEVICE, name=device.device_id),
            summary=f"Device {device.device_id} was last heard of at {device.last_inform:%Y-%m-%d %H:%M} UTC",
        )
        for device in overdue
    ]
    return Seen(sightings=_bounded(sightings, known, "devices", total))


def see_faults(rule: Rule, faults: int) -> Seen:
    """Too many new faults."""
    if faults <= rule.number("faults"):
        return Seen()
    summary = f"{_counted(faults, 'new fault')} of devices in {rule.number('minutes'):g} minutes"
    return Seen(sightings=(_of_fleet("faults", summary, faults),))


def see_queue(rule: Rule, tasks: int) -> Seen:
    """Too many tasks that are due and wait."""
    if tasks <= rule.number("tasks"):
        return Seen()
    return Seen(sightings=(_of_fleet("tasks", f"{_counted(tasks, 'task')} are due and wait for their devices", tasks),))


def see_database(rule: Rule, facts: DatabaseFacts) -> Seen:
    """A database that answers, but is in trouble."""
    found = []
    percent = 100 * facts.connections_used / max(1, facts.connections_most)
    if percent > rule.number("connections_percent"):
        text = f"{facts.connections_used} of PostgreSQL's {facts.connections_most} connections are in use"
        found.append(_of_fleet("database connections", text, round(percent, 1)))
    if facts.transaction_seconds > rule.number("transaction_seconds"):
        text = f"A transaction has been open in PostgreSQL for {facts.transaction_seconds / 60:.0f} minutes"
        found.append(_of_fleet("database transaction", text, facts.transaction_seconds))
    return Seen(sightings=tuple(found))


def _of_fleet(name: str, summary: str, value: float) -> Sighting:
    return Sighting(subject=Subject(kind=SubjectKind.FLEET, name=name), summary=summary, value=float(value))


def _bounded(
    sightings: Sequence[Sighting], known: frozenset[Subject], what: str, total: int | None = None
) -> tuple[Sighting, ...]:
    """Those that have alerts already come first, so that a crowd does not make alerts come and go."""
    ordered = sorted(sightings, key=lambda each: (each.subject not in known, each.subject.name))
    more = (len(sightings) if total is None else total) - SIGHTINGS_MOST
    if more <= 0:
        return tuple(ordered)
    rest = _of_fleet(f"{REST} of the {what}", f"{more} more {what} of which the same is true", more)
    return (*ordered[:SIGHTINGS_MOST], rest)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"

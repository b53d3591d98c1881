"""What the rules of each kind can be told: names, ranges, defaults. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.alert.model import RuleKind


class ParameterError(ValueError):
    """A rule was given what its kind does not take; the text says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One number that a rule can be told."""

    name: str
    title: str
    """For people."""
    default: float | None
    """None: it is not looked at."""
    least: float
    most: float
    unit: str
    text: str
    optional: bool = False
    """Whether it may be left unset."""


PARAMETERS: Mapping[RuleKind, tuple[Parameter, ...]] = {
    RuleKind.MODEM_OFFLINE: (),
    RuleKind.MODEM_QUARANTINED: (),
    RuleKind.MODEM_OUT_OF_CREDIT: (
        Parameter(
            name="rsrp_dbm",
            title="RSRP",
            default=-115.0,
            least=-140.0,
            most=-40.0,
            unit="dBm",
            text="With a weaker signal than this the signal may be the reason.",
        ),
    ),
    RuleKind.SIGNAL_BELOW: (
        Parameter(
            name="rsrp_dbm",
            title="RSRP",
            default=-118.0,
            least=-140.0,
            most=-40.0,
            unit="dBm",
            text="Received power below which a signal is weak.",
            optional=True,
        ),
        Parameter(
            name="rsrq_db",
            title="RSRQ",
            default=None,
            least=-40.0,
            most=0.0,
            unit="dB",
            text="Received quality below which a signal is bad.",
            optional=True,
        ),
        Parameter(
            name="sinr_db",
            title="SINR",
            default=None,
            least=-30.0,
            most=40.0,
            unit="dB",
            text="Signal to noise below which a signal is bad.",
            optional=True,
        ),
        Parameter(
            name="hysteresis_db",
            title="Hysteresis",
            default=3.0,
            least=0.0,
            most=20.0,
            unit="dB",
            text="How much better than the limit it must be again.",
        ),
    ),
    RuleKind.ADDRESS_UNCHANGED: (
        Parameter(
            name="hours",
            title="Told for",
            default=24.0,
            least=1.0,
            most=168.0,
            unit="h",
            text="How long after a reconnect it is still told of.",
        ),
    ),
    RuleKind.HOST_SILENT: (
        Parameter(
            name="seconds",
            title="Silence",
            default=90.0,
            least=30.0,
            most=86_400.0,
            unit="s",
            text="Time without a heartbeat of the agent.",
        ),
    ),
    RuleKind.ENDPOINT_BUDGET: (
        Parameter(
            name="endpoints_of_modem",
            title="Endpoints of a modem",
            default=14.0,
            least=1.0,
            most=31.0,
            unit="",
            text="USB endpoints that one modem takes.",
        ),
        Parameter(
            name="endpoints_of_controller",
            title="Endpoints of a controller",
            default=96.0,
            least=1.0,
            most=4096.0,
            unit="",
            text="USB endpoints that a host controller has.",
        ),
    ),
    RuleKind.DEVICE_NOT_SEEN: (
        Parameter(
            name="intervals",
            title="Inform intervals",
            default=3.0,
            least=1.0,
            most=100.0,
            unit="",
            text="Inform intervals of the device that may pass in silence.",
        ),
        Parameter(
            name="seconds",
            title="Silence",
            default=900.0,
            least=60.0,
            most=2_592_000.0,
            unit="s",
            text="Least silence, whatever the interval.",
        ),
    ),
    RuleKind.FAULT_RATE: (
        Parameter(
            name="faults",
            title="Faults",
            default=50.0,
            least=1.0,
            most=1e9,
            unit="",
            text="More new faults than this are too many.",
        ),
        Parameter(
            name="minutes",
            title="Within",
            default=60.0,
            least=1.0,
            most=1440.0,
            unit="min",
            text="The time in which they came.",
        ),
    ),
    RuleKind.QUEUE_DEPTH: (
        Parameter(
            name="tasks",
            title="Tasks",
            default=1000.0,
            least=1.0,
            most=1e9,
            unit="",
            text="More tasks that are due than this are too many.",
        ),
    ),
    RuleKind.DATABASE: (
        Parameter(
            name="connections_percent",
            title="Connections",
            default=90.0,
            least=1.0,
            most=100.0,
            unit="%",
            text="Share of PostgreSQL's connections that may be in use.",
        ),
        Parameter(
            name="transaction_seconds",
            title="Open transaction",
            default=3600.0,
            least=60.0,
            most=604_800.0,
            unit="s",
            text="How long a transaction may be open: meanwhile nothing old can be cleaned up.",
        ),
    ),
}


def fill_parameters(kind: RuleKind, given: Mapping[str, Any]) -> dict[str, float | None]:
    """Every parameter of the kind: as given, else its default. Raises ParameterError."""
    known = {each.name: each for each in PARAMETERS[kind]}
    if strangers := sorted(given.keys() - known.keys()):
        names = ", ".join(known) or "none"
        raise ParameterError(f"{kind.value} has no parameter {strangers[0][:40]!r}; there are: {names}")
    filled = {name: _check(each, given.get(name, each.default)) for name, each in known.items()}
    limits = [name for name, each in known.items() if each.optional]
    if limits and all(filled[name] is None for name in limits):
        raise ParameterError(f"{kind.value} must look at something: set one of {', '.join(limits)}")
    return filled


def _check(parameter: Parameter, value: Any) -> float | None:
    if value is None:
        if parameter.optional:
            return None
        raise ParameterError(f"{parameter.name} must be a number")
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # not a number
        raise ParameterError(f"{parameter.name} must be a number")
    if not parameter.least <= value <= parameter.most:
        raise ParameterError(f"{parameter.name} must be from {parameter.least:g} to {parameter.most:g}")
    return float(value)

"""The adapters that a modem's household works with, in one bundle, put together by `agent.cli`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.modem.health import HealthPolicy
from agent.modem.ports import (
    AtPortOpener,
    DeviceLinks,
    Links,
    PinMemory,
    Prober,
    ProxyHost,
    ProxyRenderer,
    Qmi,
    Recorder,
    RecordExchange,
    Routing,
    SessionMemory,
    UsbBus,
    Wishes,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Deadlines and intervals, seconds."""

    at_seconds: float = 5.0
    qmi_seconds: float = 20.0
    open_seconds: float = 5.0
    look_seconds: float = 45.0
    unwell_look_seconds: float = 10.0
    """Between two looks at a modem that is on its way up or ailing; URCs come sooner."""
    probe_seconds: float = 5.0
    refresh_seconds: float = 300.0
    """How long what hardly ever changes (modes, the bearer's settings) is believed without being read again."""
    operator_selection_seconds: float = 180.0
    radio_cycle_seconds: float = 5.0
    """How long the radio stays off, so that the network forgets the modem's address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Everything outside the decisions."""

    at_ports: AtPortOpener
    qmi_for: Callable[[RecordExchange], Qmi]
    """A modem's own client; what they have in common (the bound on processes) is shared behind it."""
    links: Links
    routing: Routing
    proxies: ProxyHost
    renderer: ProxyRenderer
    prober: Prober
    usb: UsbBus
    device_links: DeviceLinks
    sessions: SessionMemory
    pins: PinMemory
    recorder: Recorder
    wishes: Wishes


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """How the agent behaves; replaced as a whole when the settings are read again."""

    timing: Timing = Timing()
    health: HealthPolicy = HealthPolicy()

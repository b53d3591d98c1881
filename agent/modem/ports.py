"""What the modem's household asks of the machine and of the store; the adapters are given by `agent.cli`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from agent.core.clock import Deadline
from agent.core.identifiers import Iccid, Serial, Slot
from agent.modem.actions import ApplyRouting, ConfigureLink
from agent.modem.at.responses import AtResponse
from agent.modem.model import (
    Address,
    Allocation,
    DataSession,
    Desired,
    Hardware,
    IpSettings,
    LinkState,
    ModemState,
    Probe,
    ProxyState,
    Registration,
    RoutingState,
    Rule,
    Signal,
    Sim,
)


class AtPort(Protocol):
    """An open AT port, owned by one thread of its own; every method may be called from any thread."""

    def command(self, text: str, deadline: Deadline) -> AtResponse:
        """Send one command line (without its line end) and return its final answer.

        Raises DeadlineExceeded, TransientError (port lost), CmeError or CmsError (the modem said no)."""

    def close(self) -> None:
        """Give the port up; never waits for a port that hangs."""

    @property
    def echo_seen(self) -> bool:
        """Whether the modem echoed the last command."""


class AtPortOpener(Protocol):
    """Opens AT ports exclusively, in a thread that can be abandoned."""

    def open(self, node: str, deadline: Deadline, on_urc: Callable[[str], None]) -> AtPort:
        """Open and return the port; `on_urc` is called from the port's thread with each unsolicited line.

        Raises DeadlineExceeded when the open hangs (the thread is abandoned), TransientError otherwise."""

    def forget(self, node: str) -> None:
        """Another device is behind `node` now, or the one there was reset: opens of it are worth a try again."""


class Qmi(Protocol):
    """One modem's QMI control channel. All methods raise QmiError, DeadlineExceeded or TransientError."""

    def start_network(self, node: str, *, apn: str, family: int, deadline: Deadline) -> DataSession:
        """Start, or adopt on NoEffect; the client id stays allocated. On failure the client id is given back."""

    def stop_network(self, node: str, session: DataSession, deadline: Deadline) -> None:
        """Stop the session and give its client id back; a session that is already gone is no error."""

    def release(self, node: str, session: DataSession, deadline: Deadline) -> None:
        """Give a client id back without touching the bearer."""

    def connected(self, node: str, session: DataSession, deadline: Deadline) -> bool:
        """Whether the session's packet service is up; False also when the modem no longer knows the client id."""

    def settings(self, node: str, session: DataSession, deadline: Deadline) -> IpSettings | None:
        """Current address settings; None when there are none (`OutOfCall`)."""

    def packet_statistics(self, node: str, session: DataSession, deadline: Deadline) -> tuple[int, int]:
        """(rx bytes, tx bytes) of the session."""

    def serving_system(self, node: str, deadline: Deadline) -> Registration: ...

    def signal(self, node: str, deadline: Deadline) -> Signal: ...

    def card_status(self, node: str, deadline: Deadline) -> Sim: ...

    def imei(self, node: str, deadline: Deadline) -> str | None: ...

    def set_raw_ip(self, node: str, deadline: Deadline) -> None:
        """`--wda-set-data-format` to raw-ip, on the modem's side."""

    def hangups_in_a_row(self, node: str) -> int:
        """How many calls in a row ended because the control channel hung up."""

    def restart_proxy(self, deadline: Deadline) -> int:
        """End the multiplexer that all modems share; the next call starts another. Returns how many were ended."""


RecordExchange = Callable[[str, str, str, float], None]
"""(command, answer, outcome, seconds) of one exchange with a modem, redacted; outcome is ok, error or timeout."""


class Links(Protocol):
    """Network links, by index."""

    def observe(self, index: int, raw_ip_path: str | None) -> LinkState | None:
        """The link's state; None when there is no such link."""

    def switch_to_raw_ip(self, index: int, raw_ip_path: str) -> None: ...

    def configure(self, wanted: ConfigureLink) -> None: ...


class Routing(Protocol):
    """Policy rules and the modems' tables."""

    def observe(self, allocation: Allocation, link_index: int | None) -> RoutingState: ...

    def apply(self, changes: ApplyRouting) -> None: ...

    def ensure_host_rules(self) -> bool:
        """Make the host's own rules exist; True when something had to be changed."""

    def purge(self, keep: Iterable[Allocation], uids: range, tables: range) -> tuple[Rule, ...]:
        """Delete the rules (and the tables behind them) of uids within `uids` that no kept allocation has."""


class ProxyHost(Protocol):
    """The modems' proxies on this machine. `serial` names the instance."""

    def observe(self, serial: Serial, listen: Address, tcp_port: int) -> ProxyState: ...

    def write(self, serial: Serial, uid: int, text: str) -> None:
        """Check for hazards (ConfigError when the text would open the proxy), then write atomically."""

    def start(self, serial: Serial, uid: int) -> None: ...

    def reload(self, serial: Serial) -> None: ...

    def restart(self, serial: Serial, uid: int) -> None: ...

    def stop(self, serial: Serial) -> None: ...

    def known(self) -> Sequence[Serial]:
        """Every instance that has a configuration file or runs."""

    def forget(self, serial: Serial) -> None:
        """Stop the instance and remove what was made for it."""


class ProxyRenderer(Protocol):
    """Text of a modem's proxy configuration."""

    def render(self, desired: Desired, nameservers: tuple[Address, ...]) -> str: ...


class Prober(Protocol):
    """Looks through a modem's own table: the probe's sockets belong to the modem's uid."""

    def probe(self, uid: int, nameservers: tuple[Address, ...], deadline: Deadline) -> Probe: ...


class UsbBus(Protocol):
    """Resets of a device on its bus."""

    def reset(self, hardware: Hardware) -> None: ...

    def cycle_power(self, hardware: Hardware) -> bool:
        """False when this machine has no way to switch the port's power."""


class DeviceLinks(Protocol):
    """`/dev/modems/<serial>/{at,qmi}`."""

    def make(self, serial: Serial, hardware: Hardware) -> None: ...

    def remove(self, serial: Serial) -> None: ...

    def keep_only(self, serials: Iterable[Serial]) -> None: ...


class SessionMemory(Protocol):
    """Data sessions of this boot, so that a restarted agent adopts what it finds (kept under run_dir)."""

    def fetch(self, serial: Serial) -> DataSession | None: ...

    def save(self, serial: Serial, session: DataSession | None) -> None: ...


class PinMemory(Protocol):
    """PIN tries, remembered before they are made, and for ever unless they succeed (kept under state_dir)."""

    def tried(self, iccid: Iccid, pin: str) -> bool:
        """Whether this PIN was tried on this SIM and is not known to have been right."""

    def remember(self, iccid: Iccid, pin: str) -> None:
        """On return the try is on stable storage."""

    def accept(self, iccid: Iccid, pin: str) -> None:
        """The SIM took this PIN: after the next power cycle it may be entered again."""


class HotplugSource(Protocol):
    """Where modems appear and go: one code path for events and enumeration. `scan` and `wake` from any thread."""

    def scan(self) -> tuple[Hardware, ...]:
        """Every modem that is there now, complete or not."""

    def wait(self, timeout_seconds: float) -> frozenset[Slot]:
        """Slots that had an event; empty when the time has passed. Also returns when `wake` was called."""

    def wake(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One command and its answer, or an event, for `modem_logs`; secrets are already redacted."""

    serial: Serial | None
    at: datetime
    channel: str
    """at, qmi, urc or agent"""
    command: str
    response: str
    outcome: str
    """ok, error, timeout or info"""
    duration_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemReport:
    """A modem's state after a pass, for `modems` (and `modem_samples` when `sample`)."""

    serial: Serial
    at: datetime
    state: ModemState
    reason: str
    slot: Slot | None
    path: str | None
    """`/dev/modems/<serial>` while the modem is there."""
    interface: str | None
    """The link's own stable name."""
    imei: str | None = None
    iccid: str | None = None
    imsi: str | None = None
    model: str | None = None
    revision: str | None = None
    operator: str | None = None
    access_technology: str | None = None
    registration: str | None = None
    signal: Signal = field(default_factory=Signal)
    wan_address: str | None = None
    wan_address_ipv6: str | None = None
    proxy_running: bool = False
    rx_bytes: int | None = None
    tx_bytes: int | None = None
    sample: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRequest:
    """A row of `modem_commands` that this host claimed, as it stands there: nothing in it is trusted."""

    id: int
    serial: str
    kind: str
    argument: dict[str, Any]
    deadline: Deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """The answer that goes into the same row."""

    id: int
    succeeded: bool
    result: dict[str, Any]
    error_code: str | None = None
    error_message: str | None = None


class Recorder(Protocol):
    """Takes what is to be written to the database; never blocks, never raises: what cannot be written waits on disk."""

    def log(self, entry: LogEntry) -> None: ...

    def report(self, report: ModemReport) -> None: ...

    def finish(self, result: CommandResult) -> None: ...


class Wishes(Protocol):
    """What is wanted of this host's modems: from the database, or from disk while it is away."""

    @property
    def complete(self) -> bool:
        """Whether `known` really knows every modem of this host: read from the database once, or from disk."""

    def desired(self, serial: Serial) -> Desired | None:
        """None for a modem that the database has not met yet and cannot be asked now."""

    def register(self, serial: Serial, slot: Slot, imei: str | None) -> Desired | None:
        """Meet a modem: its row and its allocation are made when missing. None while the database is away."""

    def known(self) -> tuple[Desired, ...]:
        """Every modem of this host."""

    def home_slot(self, serial: Serial) -> Slot | None:
        """The slot in which the modem of this serial was last seen."""

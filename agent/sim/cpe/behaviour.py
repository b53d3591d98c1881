"""How a CPE behaves badly: lasting traits, and mishaps that happen once. Values only; `answering` acts on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from agent.sim.cpe.dialect import Dialect


class MishapKind(Enum):
    """What goes wrong with one answer to an RPC."""

    FAULT = "fault"
    """Answers with the fault code of the mishap."""
    MALFORMED = "malformed"
    """Answers with XML that ends too early."""
    EMPTY = "empty"
    """Answers with an empty POST."""
    CUT = "cut"
    """Crashes: closes TCP in the middle of the answer."""
    DROP = "drop"
    """Sends the whole answer, closes the connection, and does not read on."""
    HANG = "hang"
    """Never answers; holds the connection until the ACS closes it or the CPE's own deadline passes."""
    REBOOT = "reboot"
    """Reboots instead of answering; the next session says 1 BOOT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """A mishap; `method` None: with any RPC."""

    kind: MishapKind
    code: int = 9002
    method: str | None = None


class Trigger(Enum):
    """A request that some firmware does not bear."""

    PARTIAL_PATH = "partial_path"
    """GetParameterValues of a path that ends in a dot."""
    EMPTY_PATH = "empty_path"
    """GetParameterNames with an empty path."""
    UNKNOWN_NAME = "unknown_name"
    """A name that the CPE does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """A CPE that does everything right by default. Fault codes are those of TR-069 A6 table 65."""

    dialects: frozenset[Dialect] = frozenset()
    answer_delay_seconds: float = 0.0
    """Before every message after the Inform; real seconds, no `time_scale`."""
    every: int = 0
    """`every_mishap` happens to every that many-th RPC; 0: never."""
    every_mishap: Mishap = field(default_factory=lambda: Mishap(kind=MishapKind.FAULT))
    on_method: Mapping[str, Mishap] = field(default_factory=dict)
    """By RPC name, such as a crash on GetRPCMethods."""
    on_trigger: Mapping[Trigger, Mishap] = field(default_factory=dict)
    name_faults: Mapping[str, int] = field(default_factory=dict)
    """Fault codes by parameter name: 9005 makes a name bad though GetParameterNames tells it."""
    most_names: int | None = None
    """GetParameterValues of more names, or a partial path with more parameters, is answered with 9004."""
    most_answer_bytes: int | None = None
    """A longer answer becomes 9004."""
    strict_types: bool = True
    """A value whose xsi:type is another than the parameter's is refused with 9006."""
    set_status: int = 0
    """Status of SetParameterValues, AddObject and DeleteObject; 1: committed, applied later."""
    does_vouchers: bool = False
    """GetOptions and SetVouchers; without, they are answered with 9000."""
    extra_requests: tuple[str, ...] = ()
    """The CPE's own requests in every session: GetRPCMethods, RequestDownload, Kicked, AutonomousTransferComplete."""
    duplicate_inform: bool = False
    """After the InformResponse a second session is opened with the same Inform; then the first goes on."""
    deaf: bool = False
    """Connection requests are accepted, and no session follows."""
    busy_in_session: bool = True
    """A connection request during a session is answered with 503; else the session follows after it."""
    connection_request_gap_seconds: float = 0.0
    """A connection request sooner after the last accepted one is answered with 503; scaled by `time_scale`."""

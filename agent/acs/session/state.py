"""What a session must remember between two messages. It lies in a row of the database, so that any worker can go on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from agent.acs.discovery import Discovery
from agent.acs.soap.versions import CwmpVersion


class Phase(StrEnum):
    """Where a session stands."""

    INIT = "init"
    """No Inform yet."""
    PROCESS = "process"
    """It is our turn to ask, or to end."""
    PENDING_RPC = "pending_rpc"
    """The CPE owes us an answer."""
    COMMIT = "commit"
    """Nothing is left to ask; what was learned is being saved."""
    END = "end"


class Purpose(StrEnum):
    """Why an RPC was sent."""

    LIST_NAMES = "list_names"
    READ_VALUES = "read_values"
    TASK = "task"


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """The RPC that the CPE is answering."""

    purpose: Purpose
    rpc_id: str
    task: int | None = None
    attempts: int = 0
    """Tries of the task before this one."""
    kind: str = ""
    arguments: dict[str, Any] | None = None
    resent: int = 0

    def render(self) -> dict[str, Any]:
        return {
            "purpose": self.purpose.value,
            "rpc_id": self.rpc_id,
            "task": self.task,
            "attempts": self.attempts,
            "kind": self.kind,
            "arguments": self.arguments,
            "resent": self.resent,
        }

    @classmethod
    def parse(cls, given: dict[str, Any]) -> Self:
        return cls(**{**given, "purpose": Purpose(given["purpose"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """One session with one CPE."""

    version: CwmpVersion
    """Namespace of the Inform: every answer is in it."""
    phase: Phase = Phase.INIT
    root: str | None = None
    """`Device.` or `InternetGatewayDevice.`, as the Inform showed."""
    counter: int = 0
    """RPCs sent; the next one's id is made of it."""
    in_flight: InFlight | None = None
    discovery: Discovery | None = None
    collected: dict[str, str] | None = None
    """Values that a task has read so far; None when there are too many to keep."""
    counted: int = 0
    """How many they are, those that are not kept too."""
    tried: tuple[int, ...] = ()
    """Tasks that were put off in this session."""

    def render(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "version": self.version.value,
            "phase": self.phase.value,
            "root": self.root,
            "counter": self.counter,
            "in_flight": self.in_flight.render() if self.in_flight else None,
            "discovery": self.discovery.render() if self.discovery else None,
            "collected": self.collected,
            "counted": self.counted,
            "tried": list(self.tried),
        }

    @classmethod
    def parse(cls, given: dict[str, Any]) -> Self:
        """What `render` made."""
        return cls(
            version=CwmpVersion(given["version"]),
            phase=Phase(given["phase"]),
            root=given["root"],
            counter=given["counter"],
            in_flight=InFlight.parse(given["in_flight"]) if given["in_flight"] else None,
            discovery=Discovery.parse(given["discovery"]) if given["discovery"] else None,
            collected=given["collected"],
            counted=given.get("counted", 0),
            tried=tuple(given["tried"]),
        )

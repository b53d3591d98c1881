"""What can be done to an emulated CPE while it runs, by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from agent.core.clock import now
from agent.core.errors import ConfigError
from agent.sim.cpe.behaviour import Mishap, MishapKind
from agent.sim.cpe.cpe import Cpe
from agent.sim.cpe.device import NEVER
from agent.sim.cpe.records import Event
from agent.sim.cpe.requests import check_requests

_MOST_TIMES = 1000


def _session(cpe: Cpe, *events: str) -> None:
    for code in events or ("2 PERIODIC",):
        cpe.device.raise_event(Event(code), now())
    cpe.device.retry.at = now()


def _reboot(cpe: Cpe) -> None:
    cpe.device.restart(now())


def _factory_reset(cpe: Cpe) -> None:
    cpe.device.factory_reset(now())


def _change(cpe: Cpe, name: str, value: str) -> None:
    cpe.change(name, value)


def _behave(cpe: Cpe, **traits: Any) -> None:
    cpe.behave(dataclasses.replace(cpe.behaviour, **traits))


def _wire(cpe: Cpe, **traits: Any) -> None:
    cpe.wire = dataclasses.replace(cpe.wire, **traits)


def _mishap(cpe: Cpe, kind: str, code: int = 9002, method: str | None = None, times: int = 1) -> None:
    if not 1 <= times <= _MOST_TIMES:
        raise ConfigError(f"{times} times: 1 to {_MOST_TIMES} is wanted")
    cpe.device.mishaps.extend([Mishap(kind=MishapKind(kind), code=code, method=method)] * times)


def _request(cpe: Cpe, method: str) -> None:
    check_requests([method])
    cpe.device.work.requests.append(method)
    cpe.device.raise_event(Event("2 PERIODIC"), now())


def _unplug(cpe: Cpe) -> None:
    cpe.device.online_at = NEVER


def _plug(cpe: Cpe) -> None:
    cpe.device.restart(now())


COMMANDS: Mapping[str, Callable[..., None]] = {
    "session": _session,
    "reboot": _reboot,
    "factory_reset": _factory_reset,
    "change": _change,
    "behave": _behave,
    "wire": _wire,
    "mishap": _mishap,
    "request": _request,
    "unplug": _unplug,
    "plug": _plug,
}
"""`session(*events)` now, `reboot()`, `factory_reset()`, `change(name, value)` as a subscriber,
`behave(**fields)` and `wire(**fields)` until changed again, `mishap(kind, code, method, times)` with the next answers,
`request(method)` of the CPE's own in a session now, `unplug()` the power, `plug()` it in again."""


def run_command(cpe: Cpe, name: str, /, *arguments: Any, **named: Any) -> None:
    """Do it; ConfigError when there is no such command or its arguments make no sense."""
    command = COMMANDS.get(name)
    if command is None:
        raise ConfigError(f"no command {name!r}; there are {', '.join(sorted(COMMANDS))}")
    try:
        command(cpe, *arguments, **named)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {error}") from error

"""What needs somebody's attention, the worst first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.modem.model import ModemState
from agent.store.device_rows import DeviceCounts, DeviceState
from agent.store.rows import HostRow, ModemRow
from agent.web.pages.formats import counted, duration
from agent.web.pages.tones import tone_of
from agent.web.pages.way import ADVICE, look

SILENT_AFTER = timedelta(seconds=90)
SLOW_AFTER = timedelta(minutes=5)
"""A modem that is on its way for longer is worth a look."""
ONE_BY_ONE = 3
"""So many modems of one trouble are told one by one; more are told together."""
_RANK = {"bad": 0, "warn": 1, "busy": 2, "off": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """One thing to look at."""

    tone: str
    title: str
    state: str
    """The state that it is about; empty when it is about something else."""
    what: str
    advice: str
    path: str
    """Where there is more; empty when nowhere."""


def concerns(
    *, modems: Sequence[ModemRow], hosts: Sequence[HostRow], devices: DeviceCounts, faults: int, at: datetime
) -> tuple[Concern, ...]:
    """Everything that needs attention at this time."""
    found = [*_of_hosts(hosts, at), *_of_modems(modems, hosts, at), *_of_devices(devices, faults)]
    return tuple(sorted(found, key=lambda each: _RANK[each.tone]))


def _of_hosts(hosts: Sequence[HostRow], at: datetime) -> Iterable[Concern]:
    for host in hosts:
        if at - host.last_seen > SILENT_AFTER:
            yield Concern(
                tone="bad",
                title=f"Agent on {host.name}",
                state="silent",
                what=f"Last heard of {duration(at - host.last_seen)} ago; its {counted(host.modems, 'modem')} may be "
                "in another state than shown.",
                advice=f"Proxies go on. On {host.name}: `systemctl status lastmile-agent`, then `lastmile doctor`.",
                path="",
            )
        for notice in host.notices:
            yield Concern(tone="warn", title=f"Notice of {host.name}", state="", what=notice, advice="", path="")


def _of_modems(modems: Sequence[ModemRow], hosts: Sequence[HostRow], at: datetime) -> Iterable[Concern]:
    silent = {host.name for host in hosts if at - host.last_seen > SILENT_AFTER}
    ailing: dict[tuple[str, str], list[ModemRow]] = {}
    for modem in modems:
        tone = _tone(modem, at)
        if tone and modem.host not in silent:
            ailing.setdefault((tone, modem.status.value), []).append(modem)
    for (tone, status), group in ailing.items():
        if len(group) > ONE_BY_ONE:
            yield Concern(
                tone=tone,
                title=f"{len(group)} modems",
                state=status,
                what="; ".join(sorted({look(modem).what.rstrip(".") for modem in group})[:3]) + ".",
                advice=_shared_advice(group),
                path=f"/modems?status={status}",
            )
            continue
        for modem in group:
            way = look(modem)
            since = f" For {duration(at - modem.changed_at)}." if at > modem.changed_at else ""
            yield Concern(
                tone=tone,
                title=f"Modem {modem.serial}",
                state=status,
                what=f"{way.what}{since}",
                advice=ADVICE[way.stuck] if way.stuck is not None else "",
                path=f"/modems/{modem.serial}",
            )


def _shared_advice(group: Sequence[ModemRow]) -> str:
    stages = {look(modem).stuck for modem in group}
    stage = stages.pop() if len(stages) == 1 else None
    return ADVICE[stage] if stage is not None else ""


def _tone(modem: ModemRow, at: datetime) -> str:
    if not modem.enabled:
        return ""
    if modem.status is ModemState.OFFLINE:
        return "warn"
    tone = tone_of(modem.status)
    if tone == "busy":
        return "warn" if at - modem.changed_at > SLOW_AFTER else ""
    return tone if tone in ("bad", "warn") else ""


def _of_devices(devices: DeviceCounts, faults: int) -> Iterable[Concern]:
    held = devices.in_state(DeviceState.HELD)
    if held:
        yield Concern(
            tone="warn",
            title=f"{counted(held, 'device')} {'waits' if held == 1 else 'wait'} to be let in",
            state="",
            what="Until somebody accepts them they get no configuration.",
            advice="Accept those that you know, refuse the others.",
            path="/devices?state=held",
        )
    if faults:
        yield Concern(
            tone="warn",
            title=f"{counted(faults, 'fault')} of devices",
            state="",
            what="What a device has refused waits until the cause is gone or the fault is deleted.",
            advice="",
            path="/faults",
        )

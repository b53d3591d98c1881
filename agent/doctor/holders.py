"""Who has the modems' ports open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.doctor.findings import AS_ROOT, Finding, Findings, failure, hint, listed, ok, unknown, warning

QMI_PROGRAMS = ("qmi-proxy", "qmicli")
"""They hold QMI ports for the agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that has a port open."""

    pid: int
    name: str
    node: str
    slot: str
    is_agent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderFacts:
    """Of all processes when `complete`, else of this user's only."""

    holders: tuple[Holder, ...]
    agents: tuple[int, ...]
    """Processes that are agents of this machine's network, whoever started them."""
    complete: bool
    modemmanager_runs: bool


def judge_holders(facts: HolderFacts) -> Findings:
    """ports.agents, ports.holders, ports.modemmanager"""
    return (_agents(facts), *_holders(facts), _modemmanager(facts))


def _agents(facts: HolderFacts) -> Finding:
    match facts.agents:
        case ():
            return hint("ports.agents", "no agent runs on this host", "systemctl start lastmile-agent")
        case (pid,):
            return ok("ports.agents", f"one agent runs (process {pid})")
        case pids:
            return failure(
                "ports.agents",
                f"several agents run (processes {listed(pids)}): they fight over the modems",
                f"kill {pids[-1]}, or the one that is not systemd's: systemctl status lastmile-agent",
            )


def _holders(facts: HolderFacts) -> Iterator[Finding]:
    strangers = [each for each in facts.holders if not each.is_agent and each.name not in QMI_PROGRAMS]
    for pid in dict.fromkeys(each.pid for each in strangers):
        mine = [each for each in strangers if each.pid == pid]
        name = mine[0].name
        nodes = listed(sorted({f"{each.node} ({each.slot})" for each in mine}), most=3)
        mend = "systemctl disable --now ModemManager" if name == "ModemManager" else f"end it: kill {pid}"
        yield failure("ports.holders", f"{name} (process {pid}) has {nodes} open", mend)
    if not facts.complete:
        yield unknown("ports.holders", "whether other users' programs hold the modems' ports", AS_ROOT)
    elif not strangers:
        yield ok("ports.holders", "nobody but the agent has a modem's port open")


def _modemmanager(facts: HolderFacts) -> Finding:
    if not facts.modemmanager_runs:
        return ok("ports.modemmanager", "ModemManager does not run")
    if any(each.name == "ModemManager" for each in facts.holders):
        return warning(
            "ports.modemmanager",
            "ModemManager runs, and uses modems of lastmile",
            "systemctl disable --now ModemManager",
        )
    return hint(
        "ports.modemmanager",
        "ModemManager runs; the udev rule keeps it away from our modems",
        "when it has no modem of its own here: systemctl disable --now ModemManager",
    )


def lastmile_command(words: Sequence[str]) -> str | None:
    """The subcommand of a command line of lastmile (`agent`, `web`, …); None when it is another program's."""
    names = [word.rpartition("/")[2] for word in words]
    starts = [index for index, name in enumerate(names[:_START_WORDS_MOST]) if name == "lastmile" or name in _MODULES]
    if not starts or (names[starts[0]] in _MODULES and (starts[0] == 0 or words[starts[0] - 1] != "-m")):
        return None
    rest = iter(words[starts[0] + 1 :])
    for word in rest:
        if word == "--config":
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return None


_MODULES = ("agent", "agent.cli.main")
_START_WORDS_MOST = 5
"""Interpreter, its options, and the name of what it runs."""

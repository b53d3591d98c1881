"""Rules and routes of 30 modems from nothing: our way beside `ip -batch`, in a fresh network namespace.

Times are the best of several turns, in milliseconds; each makes the same 60 rules and 120 routes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from agent.host.netlink import NetlinkChannel
from agent.host.routes import NetlinkRouting
from agent.modem.actions import ApplyRouting
from agent.modem.model import Allocation, Route
from agent.modem.routing import LINK_METRIC, UNREACHABLE_METRIC, modem_routes, modem_rules
from tests.bench.figures import Figure, milliseconds
from tests.bench.processes import run_milliseconds
from tests.host.netns import fresh_namespace, ip, link_index, peer

NAME = "routing"
MODEMS = 30
TURNS = 7
GOAL_MS = 50.0
PRIORITY = 2000
ALLOCATIONS = [Allocation(tcp_port=3128 + n, uid=70_000 + n, table=20_000 + n) for n in range(MODEMS)]


def run() -> list[Figure]:
    with fresh_namespace(), peer("wwan0"):
        ip("link", "set", "wwan0", "up")
        index = link_index("wwan0")
        changes = [_changes(each, index) for each in ALLOCATIONS]
        channel = NetlinkChannel()
        routing = NetlinkRouting(channel)
        batch = {family: _batch_text(family, "wwan0") for family in ("-4", "-6")}
        one_by_one = _best(lambda: _one_by_one(routing, changes), routing)
        in_threads = _best(lambda: _each_in_a_thread(routing, changes), routing)
        ip_batch = _best(lambda: _ip_batch(batch), routing)
        _one_by_one(routing, changes)
        observing = milliseconds(lambda: [routing.observe(allocation, index) for allocation in ALLOCATIONS])
        channel.close()
    return [
        _figure("30 modems from nothing", one_by_one, f"{one_by_one / ip_batch:.1f} times ip -batch", GOAL_MS),
        _figure("the same, a thread for each modem", in_threads, f"{in_threads / ip_batch:.1f} times", GOAL_MS),
        _figure("beside: ip -batch", ip_batch, "two processes, one for each family"),
        _figure("reading back what 30 modems have", observing, "once"),
    ]


def _figure(name: str, value: float, note: str, goal: float | None = None) -> Figure:
    return Figure(benchmark=NAME, name=name, value=value, unit="ms", goal=goal, note=note)


def _changes(allocation: Allocation, index: int) -> ApplyRouting:
    by_link = {Route(family=family, table=allocation.table, link_index=index, metric=LINK_METRIC) for family in (4, 6)}
    return ApplyRouting(
        add_rules=modem_rules(allocation, PRIORITY), add_routes=modem_routes(allocation, None, None) | by_link
    )


def _batch_text(family: str, link: str) -> str:
    lines = []
    for each in ALLOCATIONS:
        lines += [
            f"route replace unreachable default metric {UNREACHABLE_METRIC} table {each.table}",
            f"route replace default dev {link} metric {LINK_METRIC} table {each.table}",
            f"rule add uidrange {each.uid}-{each.uid} lookup {each.table} pref {PRIORITY}",
        ]
    return "\n".join(lines) + "\n"


def _best(turn: Callable[[], None], routing: NetlinkRouting) -> float:
    """The shortest of several turns, each from nothing and checked to have done all of it."""
    shortest = float("inf")
    for _ in range(TURNS):
        routing.purge([], range(70_000, 70_000 + MODEMS), range(20_000, 20_000 + MODEMS))
        started = time.perf_counter()
        turn()
        shortest = min(shortest, time.perf_counter() - started)
        for each in ALLOCATIONS:
            state = routing.observe(each, None)
            if (len(state.rules), len(state.routes)) != (2, 4):
                raise AssertionError(f"not everything was made: {state}")
    return shortest * 1000


def _one_by_one(routing: NetlinkRouting, changes: list[ApplyRouting]) -> None:
    for each in changes:
        routing.apply(each)


def _each_in_a_thread(routing: NetlinkRouting, changes: list[ApplyRouting]) -> None:
    threads = [threading.Thread(target=routing.apply, args=(each,)) for each in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


def _ip_batch(texts: dict[str, str]) -> None:
    """One process for each family, since a batch has one family throughout."""
    for family, text in texts.items():
        run_milliseconds(["ip", family, "-batch", "-"], text)

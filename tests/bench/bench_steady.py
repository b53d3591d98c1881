"""What the agent costs while nothing happens: 30 modems online, the product's own intervals, over 90 s and more.

The window is two health intervals, so that it holds exactly two looks at every modem. Only the batching at the start
is hurried; it is over before the window begins.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass

from agent.cli.playground import Playground, wait_until
from agent.core.settings.schema import HealthSettings
from tests.bench.figures import Figure
from tests.bench.ground import (
    bench_ground,
    modem_logs,
    online,
    proxy_in_use,
    proxy_pids,
    start_agent,
)
from tests.bench.ground import settings as overrides
from tests.bench.processes import Usage, processes_named, total_seconds, usage

NAME = "steady"
MODEMS = 30
ONLINE_SECONDS = 120.0
GOAL_PERCENT = 3.0
GOAL_MB = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """What was used in the window, in CPU seconds but where said."""

    seconds: float
    agent: Usage
    own: float
    children: float
    qmi_proxy: float
    proxies: float
    proxy_rss_mb: float
    proxy_own_mb: float
    runs: int
    exchanges: int


def run() -> list[Figure]:
    interval = HealthSettings().interval_seconds
    hurried = overrides(
        hotplug={"collect_seconds": 1.0, "batch_size": 10, "batch_interval_seconds": 2.0},
        health={"interval_seconds": interval},
    )
    with bench_ground(modems=MODEMS, profile="demo", overrides=hurried) as playground:
        pid = start_agent(playground)
        wait_until(lambda: online(playground) == MODEMS, ONLINE_SECONDS, "all modems are online")
        time.sleep(interval / 2)
        window = _watch(playground, pid, 2 * interval)
        assert online(playground) == MODEMS, "not all modems stayed online"
    return _figures(window)


def _watch(playground: Playground, pid: int, seconds: float) -> _Window:
    qmi_proxies = processes_named("qmi-proxy", playground.farm.info.network_namespace)
    proxies = proxy_pids(playground)
    said = len(modem_logs(playground))
    started, before = time.monotonic(), usage(pid)
    proxy_before, qmi_before = total_seconds(proxies), total_seconds(qmi_proxies)
    time.sleep(seconds)
    after = usage(pid)
    seconds = time.monotonic() - started
    time.sleep(2.0)  # until the outbox has written what was said in the window
    spoken = modem_logs(playground)[said:]
    proxy_usage = [usage(each) for each in proxies]
    return _Window(
        seconds=seconds,
        agent=after,
        own=after.own_seconds - before.own_seconds,
        children=after.children_seconds - before.children_seconds,
        qmi_proxy=total_seconds(qmi_proxies) - qmi_before,
        proxies=sum(each.own_seconds for each in proxy_usage) - proxy_before,
        proxy_rss_mb=max(each.rss_mb for each in proxy_usage),
        proxy_own_mb=max(each.own_memory_mb for each in proxy_usage),
        runs=sum(row[1] == "qmi" for row in spoken),
        exchanges=sum(row[1] == "at" for row in spoken),
    )


def _figures(window: _Window) -> list[Figure]:
    def percent(name: str, seconds: float, note: str = "", goal: float | None = None) -> Figure:
        value = seconds / window.seconds * 100
        return Figure(benchmark=NAME, name=name, value=value, unit="%", note=note, goal=goal)

    def memory(name: str, value: float, note: str = "", goal: float | None = None) -> Figure:
        return Figure(benchmark=NAME, name=name, value=value, unit="MB", note=note, goal=goal)

    whole = window.own + window.children
    return [
        percent("agent with its children", whole, f"of one core, over {window.seconds:.0f} s", GOAL_PERCENT),
        percent("of it: the agent itself", window.own, f"{window.own / whole:.0%}"),
        percent("of it: qmicli", window.children, f"{window.runs} runs; {window.exchanges} AT exchanges beside them"),
        percent("beside: qmi-proxy", window.qmi_proxy),
        percent("beside: 30 proxies, idle", window.proxies, proxy_in_use()),
        memory("agent's RSS", window.agent.rss_mb, f"{window.agent.threads} threads", GOAL_MB),
        memory("of it: shared with nobody", window.agent.own_memory_mb),
        memory("beside: a bare interpreter's RSS", _interpreter_mb()),
        memory("beside: one proxy's RSS", window.proxy_rss_mb, f"{window.proxy_own_mb:.1f} MB shared with nobody"),
    ]


def _interpreter_mb() -> float:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bare:
        time.sleep(0.3)
        found = usage(bare.pid).rss_mb
        bare.communicate(b"\n", timeout=10)
    return found

"""One modem, from its first udev event until a client's HTTP request through its proxy is answered.

The emulated modem's own delays are none here (profile `instant`), so nothing is subtracted: what the emulation costs
in CPU is in the figures. Every turn plugs in a modem that nobody has met before.
"""

from __future__ import annotations

import time
from functools import partial

from agent.cli.playground import Playground, wait_until
from agent.core.clock import Deadline
from tests.bench.figures import Figure, median, milliseconds, spread
from tests.bench.ground import UdevEar, ask, await_answer, bench_ground, modem_logs, online, proxy_in_use, start_agent
from tests.bench.ground import settings as overrides
from tests.bench.processes import run_milliseconds

NAME = "plug"
TURNS = 7
TURNS_AS_SHIPPED = 3
TURN_SECONDS = 30.0
GOAL_MS = 300.0
FIRST_TCP_PORT = 3128


def run() -> list[Figure]:
    with bench_ground(modems=0, profile="instant", overrides=overrides(hotplug={"collect_seconds": 0})) as playground:
        start_agent(playground)
        times = _plug(playground, TURNS)
        shares = _shares(playground, TURNS)
        request_ms = median([_request(playground) for _ in range(5)])
        qmicli_ms = median([_qmicli(playground) for _ in range(5)])
    with bench_ground(modems=0, profile="instant", overrides={}) as playground:
        start_agent(playground)
        shipped = _plug(playground, TURNS_AS_SHIPPED)
    whole = median(times)
    return [
        _figure("event to proxy, collect_seconds = 0", whole, f"{spread(times, 'ms')}; {proxy_in_use()}", GOAL_MS),
        _figure("event to proxy, as shipped (collect_seconds = 2)", median(shipped), spread(shipped, "ms")),
        _figure("of it: waiting for the AT port's answers", shares["at"], f"average of {TURNS} modems"),
        _figure("of it: qmicli runs", shares["qmi"], f"{shares['qmi_runs']:.0f} runs for each modem"),
        _figure("beside: one bare qmicli run", qmicli_ms, f"event to proxy is {whole / qmicli_ms:.1f} times that"),
        _figure("beside: a later request through the proxy", request_ms),
    ]


def _figure(name: str, value: float, note: str = "", goal: float | None = None) -> Figure:
    return Figure(benchmark=NAME, name=name, value=value, unit="ms", goal=goal, note=note)


def _plug(playground: Playground, turns: int) -> list[float]:
    """Milliseconds of each turn."""
    host = playground.farm.info.host_address
    times = []
    with UdevEar(playground) as ear:
        for number in range(turns):
            modem = playground.farm.plug()
            assert modem.slot is not None
            answered_at, _ = await_answer(host, FIRST_TCP_PORT + number, Deadline.after(TURN_SECONDS))
            times.append((answered_at - ear.first_at[modem.slot]) * 1000)
            wait_until(partial(_all_online, playground, number + 1), TURN_SECONDS, "the modem is online")
            # The passes that follow are over, and so is the batch: five seconds belong to each.
            time.sleep(5.0)
    return times


def _all_online(playground: Playground, modems: int) -> bool:
    return online(playground) == modems


def _shares(playground: Playground, modems: int) -> dict[str, float]:
    """Average milliseconds of each modem's way up, by channel: until its proxy was started, inclusive."""
    served: set[str] = set()
    found = {"at": 0.0, "qmi": 0.0, "qmi_runs": 0.0}
    for serial, channel, command, _, seconds in modem_logs(playground):
        if serial in served:
            continue
        if channel in found:
            found[channel] += seconds * 1000
            found["qmi_runs"] += channel == "qmi"
        if serial is not None and channel == "agent" and command.startswith("StartProxy"):
            served.add(serial)
    return {name: value / modems for name, value in found.items()}


def _request(playground: Playground) -> float:
    return milliseconds(lambda: ask(playground.farm.info.host_address, FIRST_TCP_PORT))


def _qmicli(playground: Playground) -> float:
    node = playground.farm.modem(1).qmi_node
    command = ["qmicli", "-p", "--device-open-qmi", "-d", str(node), "--dms-get-ids"]
    entering = run_milliseconds(playground.farm.command(["true"]))
    return run_milliseconds(playground.farm.command(command)) - entering

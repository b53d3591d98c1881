"""Thirty modems at once: from the first udev event until a client is answered through the last of the proxies.

The modems are those of the profile `demo`. A modem's own time, which no agent can shorten, is what the profile says:
boot, then registration (the QMI port is ready meanwhile), then the data connection; each modem's times differ by up
to `jitter`, so the slowest of thirty takes longer. It is not subtracted but multiplied: the goal is 1.5 times a
modem's own time, plus the batching (collect_seconds, and batch_interval_seconds for every batch but the first).
That is measured twice: as shipped, where the batching is most of the time, and without batching, where thirty
threads really work at once. The farm plugs modems in one after another, which takes it a second or two: each modem's
time begins with its own first event, and the time of all thirty is allowed what passes between the first modem's first
event and the last one's.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from agent.cli.playground import Playground, wait_until
from agent.core.clock import Deadline
from agent.core.settings.schema import HotplugSettings
from agent.sim.ec25.profile import DEMO
from tests.bench.bench_plug import FIRST_TCP_PORT
from tests.bench.figures import Figure
from tests.bench.ground import UdevEar, await_answer, bench_ground, online, proxy_in_use, start_agent
from tests.bench.ground import settings as overrides

NAME = "thirty"
MODEMS = 30
MOST_SECONDS = 120.0
LOOK_SECONDS = 0.05
FACTOR = 1.5


def run() -> list[Figure]:
    own = own_seconds()
    shipped = HotplugSettings()
    batches = -(-MODEMS // shipped.batch_size)
    batching = shipped.collect_seconds + (batches - 1) * shipped.batch_interval_seconds
    with bench_ground(modems=0, profile="demo", overrides={}) as playground:
        start_agent(playground)
        by_batches = _plug_all(playground, MODEMS)
    unbatched = overrides(hotplug={"collect_seconds": 0, "batch_size": MODEMS})
    with bench_ground(modems=0, profile="demo", overrides=unbatched) as playground:
        start_agent(playground)
        alone = _plug_all(playground, 1)
        at_once = _plug_all(playground, MODEMS)
    return [
        _figure("30 at once, as shipped", by_batches.last, FACTOR * own + batching, f"{batching:.0f} s is batching"),
        _figure(
            "30 at once, without batching",
            at_once.last,
            FACTOR * own + at_once.plugging,
            f"{at_once.plugging:.1f} s of it the farm was still plugging in; {proxy_in_use()}",
        ),
        _figure(
            "the slowest of them, since its own event",
            at_once.slowest,
            FACTOR * own,
            f"{at_once.slowest / own:.2f} times a modem's own time",
        ),
        _figure("beside: one modem alone", alone.last, note="same agent, same profile"),
        _figure(
            "beside: a modem's own time by its profile", own, note=f"up to {own * (1 + DEMO.jitter):.1f} s by chance"
        ),
    ]


def own_seconds() -> float:
    """From power to a data connection, as the profile has it."""
    return DEMO.boot_seconds + max(DEMO.register_seconds, DEMO.qmi_seconds) + DEMO.connect_seconds


def _figure(name: str, seconds: float, goal: float | None = None, note: str = "") -> Figure:
    return Figure(benchmark=NAME, name=name, value=seconds, unit="s", goal=goal, note=note)


class _Turn:
    """What one plugging took, in seconds."""

    def __init__(self, events: dict[str, float], slots: dict[str, str], answered: list[tuple[float, str]]) -> None:
        first = min(events.values())
        self.last = max(at for at, _ in answered) - first
        self.plugging = max(events.values()) - first
        self.slowest = max(at - events[slots[address]] for at, address in answered)


def _plug_all(playground: Playground, modems: int) -> _Turn:
    """Plug in that many new modems, and wait for all of their proxies."""
    farm = playground.farm
    before = len(farm.status())
    host = farm.info.host_address
    with UdevEar(playground) as ear, ThreadPoolExecutor(modems) as clients:
        deadline = Deadline.after(MOST_SECONDS)
        ports = range(FIRST_TCP_PORT + before, FIRST_TCP_PORT + before + modems)
        waiting = [clients.submit(await_answer, host, port, deadline, LOOK_SECONDS) for port in ports]
        for _ in range(modems):
            farm.plug()
        answered = [each.result() for each in waiting]
        slots = {address: each.slot or "" for each in farm.status() for address in each.addresses}
        turn = _Turn(dict(ear.first_at), slots, answered)
    wait_until(lambda: online(playground) == before + modems, MOST_SECONDS, "all modems are online")
    return turn

"""Beside ModemManager in the lab's VM: attach to connected, for one modem and for thirty, with it and with lastmile.

Each side has a clean VM of the same image, and a farm of its own with the same kind of modems. The time begins before
the farm is told to plug the first modem in, and a link counts when the guest's kernel tells of its IPv4 address: an
event, so that nothing in the guest polls while it is measured. That is where ModemManager with NetworkManager ends;
lastmile goes on, so its proxies' answers and its database's rows are shown too. What no daemon can shorten is measured
in a VM without any: USB/IP, the kernel's drivers and udev, until every modem has its link.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.cli.playground import Overrides
from agent.core.clock import Deadline
from agent.core.settings.schema import ProxySettings
from agent.sim import kernel
from agent.sim.farm import FarmClient
from tests.bench.figures import Figure
from tests.bench.ground import await_answer
from tests.bench.ground import settings as overrides
from tests.lab.channel import RemoteCommand
from tests.lab.grounds import lab_ground, package_under_test
from tests.lab.image import Image, obtain_image
from tests.lab.product import Product
from tests.lab.vm import LabVm

NAME = "modemmanager"
PROFILE = "instant"
MODEMS = 30
PLUG_SECONDS = 240.0
SIDE_SECONDS = 1200.0
CALM_SECONDS = 120.0
CALM_SHARE = 0.1
LOOK_SECONDS = 0.5
GOAL_ALONE = 0.5
GOAL_TOGETHER = 0.25
"""Shares of what ModemManager with NetworkManager takes, for one modem and for thirty."""
_CONNECTION = (
    "nmcli connection add type gsm ifname '*' con-name lte gsm.apn internet connection.autoconnect yes "
    "connection.multi-connect multiple ipv6.method ignore"
)
_LINK = re.compile(r"^\[LINK\]\d+: (wwan\d+):", re.MULTILINE)
_ADDRESS = re.compile(r"^\[ADDR\]\d+: (wwan\d+)\s+inet ", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a plugging took, in seconds since it began, each time until the last of the modems had it."""

    links: float
    """The kernel's network link."""
    addresses: float
    cpu: float
    """Seconds of CPU that the guest spent until then; it has two processors."""
    told: float | None
    """Until the side itself calls all of them connected: NetworkManager's devices, lastmile's rows. None: not within
    `PLUG_SECONDS` more."""
    answered: tuple[float, ...] | None = None
    """When a client was first answered through each proxy, in order, of those that did; None where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Both turns of one side."""

    alone: Turn
    together: Turn


class LinkEar:
    """Hears in the guest which links come and get an IPv4 address, by the kernel's own messages."""

    def __init__(self, vm: LabVm) -> None:
        self.links: dict[str, float] = {}
        """When each link's first message came, on this machine's monotonic clock."""
        self.addresses: dict[str, float] = {}
        self._rest = ""
        self._command = RemoteCommand(
            vm.channel, "exec ip -o monitor label link address", SIDE_SECONDS, None, self._listen
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._command.signal(signal.SIGTERM)

    def forget(self) -> None:
        """Begin anew; no link may be about to come."""
        self.links.clear()
        self.addresses.clear()

    def _listen(self, stream: str, data: bytes) -> None:
        came = time.monotonic()
        whole, _, self._rest = (self._rest + data.decode(errors="replace")).rpartition("\n")
        for pattern, times in ((_LINK, self.links), (_ADDRESS, self.addresses)):
            for name in pattern.findall(whole):
                times.setdefault(name, came)


def run() -> list[Figure]:
    image, _ = obtain_image()
    floor = _nobody(image)
    theirs = _modemmanager(image)
    shipped = _lastmile(image, {})
    unbatched = _lastmile(image, overrides(hotplug={"collect_seconds": 0, "batch_size": MODEMS}))
    figures = []
    for modems, share, turns in (
        (1, GOAL_ALONE, [side.alone for side in (floor, theirs, shipped, unbatched)]),
        (MODEMS, GOAL_TOGETHER, [side.together for side in (floor, theirs, shipped, unbatched)]),
    ):
        nobody, beside, *ours = turns
        words = "1 modem" if modems == 1 else f"{modems} modems"
        figures += [
            _figure(f"{words}: links alone, no daemon", nobody.links, note=f"{nobody.cpu:.1f} s of CPU in the guest"),
            _figure(f"{words}: ModemManager with NetworkManager", beside.addresses, note=_note(beside, beside, modems)),
        ]
        goal = share * beside.addresses  # of the same run: machines differ, and hours
        for how, turn in zip(("as shipped", "without batching"), ours, strict=True):
            figures.append(
                _figure(f"{words}: lastmile, {how}", turn.addresses, goal, _note(turn, beside, modems)),
            )
    return figures


def _note(turn: Turn, beside: Turn, modems: int) -> str:
    words = [f"links {turn.links:.1f} s", f"{turn.cpu:.1f} s of CPU in the guest"]
    words.append("never told" if turn.told is None else f"told {turn.told:.1f} s")
    if turn.answered is not None:
        answered, last = len(turn.answered), max(turn.answered, default=0.0)
        words.append(f"{answered} of {modems} proxies answered, the last after {last:.1f} s")
        words.append(f"{turn.addresses / beside.addresses:.2f} times ModemManager's")
    return "; ".join(words)


def _figure(name: str, seconds: float, goal: float | None = None, note: str = "") -> Figure:
    return Figure(benchmark=NAME, name=name, value=seconds, unit="s", goal=goal, note=note)


# -- the sides


def _nobody(image: Image) -> Side:
    """The kernel and udev only: no address ever comes, the links are all there is."""
    with lab_ground(image, profile=PROFILE) as ground:
        return _both(ground, lambda ear: ear.links, lambda count: True)


def _modemmanager(image: Image) -> Side:
    with lab_ground(image, profile=PROFILE) as ground:
        ground.sh("systemctl unmask ModemManager NetworkManager", timeout=120)
        ground.sh("systemctl start ModemManager NetworkManager", timeout=120)
        ground.sh(_CONNECTION, timeout=60)
        return _both(ground, lambda ear: ear.addresses, lambda count: _connected(ground) == count)


def _connected(ground: Product) -> int:
    """How many modems NetworkManager calls connected."""
    return ground.sh("nmcli -t -f TYPE,STATE device", timeout=60).out.split().count("gsm:connected")


def _lastmile(image: Image, settings: Overrides) -> Side:
    with lab_ground(image, profile=PROFILE, overrides=settings) as ground:
        ground.configure()
        ground.install(package_under_test())
        ground.wait(
            lambda: "agent started" in ground.journal("-u", "lastmile-agent", "-n", "50"), 120, "the agent started"
        )
        return _both(ground, lambda ear: ear.addresses, lambda count: _online(ground) == count, proxies=True)


def _online(ground: Product) -> int:
    """How many modems lastmile's database calls online."""
    counted = "SELECT count(*) FROM modems WHERE status = 'online'"
    return int(ground.sh(f'psql -XAtq lastmile -c "{counted}"', timeout=30).out)


# -- one side


def _both(
    ground: Product,
    counted: Callable[[LinkEar], dict[str, float]],
    tells: Callable[[int], bool],
    *,
    proxies: bool = False,
) -> Side:
    """One new modem, which goes again; then thirty others at once."""
    assert isinstance(ground.machine, LabVm)
    farm = ground.farm
    assert farm is not None
    first = ProxySettings().tcp_port_first
    with LinkEar(ground.machine) as ear:
        _calm(ground)
        alone = _plug(ground, ear, 1, counted, tells, first if proxies else None)
        farm.unplug(1)
        ground.wait(lambda: "wwan" not in ground.sh("ip -br link").out, 60, "the modem's link is gone", every=1.0)
        if proxies:
            ground.wait(lambda: _online(ground) == 0, 60, "the modem is offline", every=1.0)
        _calm(ground)
        ear.forget()
        together = _plug(ground, ear, MODEMS, counted, tells, first + 1 if proxies else None)
    assert farm.failures() == (), farm.failures()
    return Side(alone=alone, together=together)


def _plug(
    ground: Product,
    ear: LinkEar,
    modems: int,
    counted: Callable[[LinkEar], dict[str, float]],
    tells: Callable[[int], bool],
    first_tcp_port: int | None,
) -> Turn:
    """Plug in that many new modems and wait until they are all connected."""
    farm = ground.farm
    assert farm is not None
    cpu = _cpu_seconds(ground)
    began = time.monotonic()
    with _clients(farm, modems) as clients:
        ports = [] if first_tcp_port is None else range(first_tcp_port, first_tcp_port + modems)
        deadline = Deadline.after(PLUG_SECONDS)
        waiting = [clients.submit(await_answer, farm.info.host_address, port, deadline, LOOK_SECONDS) for port in ports]
        for _ in range(modems):
            farm.plug()
        ground.wait(lambda: len(counted(ear)) == modems, PLUG_SECONDS, f"{modems} modems are connected", every=0.02)
        cpu = _cpu_seconds(ground) - cpu
        told = _until(lambda: tells(modems), began)
        answered = sorted(each.result()[0] - began for each in waiting if each.exception() is None)
    return Turn(
        links=max(ear.links.values()) - began,
        addresses=max(counted(ear).values()) - began,
        cpu=cpu,
        told=told,
        answered=None if first_tcp_port is None else tuple(answered),
    )


def _until(condition: Callable[[], bool], began: float) -> float | None:
    """Seconds since `began` when it holds; None when it does not within `PLUG_SECONDS` from now: a result too."""
    deadline = Deadline.after(PLUG_SECONDS)
    while not condition():
        if deadline.passed:
            return None
        time.sleep(LOOK_SECONDS)
    return time.monotonic() - began


@contextmanager
def _clients(farm: FarmClient, count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads in the network namespace of the LAN's clients."""
    namespace = Path(farm.info.network_namespace)

    def enter() -> None:
        handle = os.open(namespace, os.O_RDONLY)
        try:
            kernel.setns(handle, kernel.CLONE_NEWNET)
        finally:
            os.close(handle)

    with ThreadPoolExecutor(count, initializer=enter) as clients:
        yield clients


def _cpu_seconds(ground: Product) -> float:
    """What all processors of the guest have worked since its start, in seconds."""
    fields = ground.sh("head -1 /proc/stat").out.split()[1:]
    user, nice, system, _, _, irq, softirq = (int(each) for each in fields[:7])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _calm(ground: Product) -> None:
    """Wait until the guest has nothing to do: what was started has settled."""

    def idle() -> bool:
        before, began = _cpu_seconds(ground), time.monotonic()
        time.sleep(3.0)
        return _cpu_seconds(ground) - before < CALM_SHARE * (time.monotonic() - began)

    ground.wait(idle, CALM_SECONDS, "the guest is calm")

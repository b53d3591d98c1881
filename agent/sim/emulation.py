"""The emulated farm as it runs in its own process: a host, its modems, and what can be asked of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent.core.errors import ConfigError
from agent.sim.carrier import Carrier
from agent.sim.ec25.profile import Profile
from agent.sim.faults import begin_fault, clear_faults
from agent.sim.host import Host
from agent.sim.modem import EmulatedModem
from agent.sim.transport import PtyTransport, Transport
from agent.sim.usbip.transport import UsbipTransport

_MOST_MODEMS = 200


TRANSPORTS = ("pty", "usbip")


def make_transport(kind: str, name: str, directory: Path) -> Transport:
    """`pty`: the emulated host that the demo and most tests run in; `usbip`: a virtual machine, over its network."""
    if kind == "usbip":
        return UsbipTransport(name)
    return PtyTransport(name, Host(name, directory))


class Emulation:
    """Everything of one farm. What changes the bus happens one at a time."""

    def __init__(self, name: str, directory: Path, profile: Profile, pid: int, transport: str = "pty") -> None:
        self._name = name
        self._profile = profile
        self._pid = pid
        self._transport = make_transport(transport, name, directory)
        self._modems: dict[int, EmulatedModem] = {}
        self._busy = asyncio.Lock()

    async def call(self, method: str, arguments: Mapping[str, Any]) -> Any:
        """Do what a control client asks; ConfigError for what makes no sense."""
        handler = {
            "info": self._info,
            "status": self._status,
            "plug": self._plug,
            "unplug": self._unplug,
            "replug": self._replug,
            "fault": self._fault,
            "clear": self._clear,
            "leaks": self._leaks,
            "carrier_log": self._carrier_log,
            "urc": self._urc,
        }.get(method)
        return await (self._transport.call(method) if handler is None else handler(arguments))

    async def start(self) -> None:
        """Be ready for modems."""
        await self._transport.start()

    async def add(self, count: int) -> None:
        """Plug in that many new modems."""
        for _ in range(count):
            await self._plug({})

    async def close(self) -> None:
        """Unplug everything and take the namespaces away."""
        async with self._busy:
            for modem in self._modems.values():
                modem.returning = False
                if modem.slot is not None:
                    await modem.unplug(announce=False)
                await modem.carrier.close()
            await self._transport.close()

    def _find(self, number: int) -> EmulatedModem:
        if number not in self._modems:
            raise ConfigError(f"no modem {number}; there are 1 to {len(self._modems)}")
        return self._modems[number]

    def _free_slot(self, wanted: str | None) -> str:
        taken = {modem.slot for modem in self._modems.values()}
        if wanted is None:
            return next(
                slot for number in range(1, _MOST_MODEMS + 1) if (slot := self._transport.slot(number)) not in taken
            )
        slot = self._transport.parse_slot(wanted)
        if slot in taken:
            raise ConfigError(f"slot {slot} is taken")
        return slot

    async def _info(self, _: Mapping[str, Any]) -> Any:
        return asdict(self._transport.info(self._pid))

    async def _status(self, _: Mapping[str, Any]) -> Any:
        return [asdict(modem.status()) for _, modem in sorted(self._modems.items())]

    async def _plug(self, arguments: Mapping[str, Any]) -> Any:
        """A new modem, in `slot` or the first free one."""
        async with self._busy:
            slot = self._free_slot(arguments.get("slot"))
            index = len(self._modems) + 1
            if index > _MOST_MODEMS:
                raise ConfigError(f"a farm has at most {_MOST_MODEMS} modems")
            name = f"lm-{self._name}-c{index}"
            carrier = Carrier(index, name, self._transport.roamer, self._profile.detach_seconds)
            await carrier.start()
            modem = self._transport.make_modem(index, carrier, self._profile, self._busy)
            self._modems[index] = modem
            await modem.plug(slot)
            return asdict(modem.status())

    async def _unplug(self, arguments: Mapping[str, Any]) -> Any:
        async with self._busy:
            modem = self._find(arguments["modem"])
            if modem.slot is None and not modem.returning:
                raise ConfigError(f"modem {modem.index} is not plugged in")
            modem.returning = False
            if modem.slot is not None:
                await modem.unplug()
            return asdict(modem.status())

    async def _replug(self, arguments: Mapping[str, Any]) -> Any:
        """Out where it is, in again in `slot`, or where it was."""
        async with self._busy:
            modem = self._find(arguments["modem"])
            modem.returning = False
            if modem.slot is not None:
                await modem.unplug()
            await modem.plug(self._free_slot(arguments.get("slot") or modem.home_slot))
            return asdict(modem.status())

    async def _fault(self, arguments: Mapping[str, Any]) -> Any:
        async with self._busy:
            modem = self._find(arguments["modem"])
            await begin_fault(modem, arguments["name"], arguments.get("arguments", {}), self._find)
            return asdict(modem.status())

    async def _clear(self, arguments: Mapping[str, Any]) -> Any:
        async with self._busy:
            modem = self._find(arguments["modem"])
            await clear_faults(modem, arguments.get("name"))
            return asdict(modem.status())

    async def _leaks(self, arguments: Mapping[str, Any]) -> Any:
        found = [asdict(leak) for leak in self._transport.leaks.leaks()]
        if arguments.get("forget"):
            self._transport.leaks.forget()
        return found

    async def _carrier_log(self, arguments: Mapping[str, Any]) -> Any:
        return [asdict(event) for event in self._find(arguments["modem"]).carrier.events]

    async def _urc(self, arguments: Mapping[str, Any]) -> Any:
        """Have a modem say something unasked."""
        self._find(arguments["modem"]).firmware.urc(str(arguments["text"]))
        return None

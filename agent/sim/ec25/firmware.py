"""The firmware of an emulated EC25: power, SIM, radio, registration and bearers, one state behind all ports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum

from agent.sim.ec25.bearers import (
    IPV6_DISALLOWED,
    NO_SERVICE,
    POWERED_DOWN,
    RELEASED,
    BearerChange,
    BearerRefused,
    Bearers,
    CarrierLink,
    network_refusal,
)
from agent.sim.ec25.clockwork import Clockwork
from agent.sim.ec25.contexts import Context
from agent.sim.ec25.profile import Profile
from agent.sim.ec25.radio import Measurement, Radio
from agent.sim.ec25.sim_card import CardLock, SimCard

REVISION = "EC25EUXGAR08A17M1G"


class Power(Enum):
    """Whether the processor runs."""

    OFF = "off"
    BOOTING = "booting"
    ON = "on"


class Functionality(IntEnum):
    """`AT+CFUN` (3GPP TS 27.007 §8.2)."""

    MINIMUM = 0
    FULL = 1
    FLIGHT = 4


class Change(Enum):
    """What the QMI services are told of."""

    REGISTRATION = "registration"
    CARD = "card"
    FUNCTIONALITY = "functionality"


class Stat(IntEnum):
    """`<stat>` of `+CREG` (3GPP TS 27.007 §7.2)."""

    IDLE = 0
    HOME = 1
    SEARCHING = 2
    DENIED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """What the modem asks of the world around it."""

    reboot: Callable[[], None]
    """Leave the bus, and come back after the profile's time."""
    power_off: Callable[[], None]
    """Leave the bus for good."""


class Firmware:
    """State and behaviour; the ports are views of it."""

    def __init__(
        self, *, imei: str, sim: SimCard, seed: int, profile: Profile, carrier: CarrierLink, owner: Owner
    ) -> None:
        self.imei = imei
        self.sim = sim
        self.profile = profile
        self.radio = Radio(seed)
        self.bearers = Bearers(carrier, self._bearer_changed)
        self.power = Power.OFF
        self.qmi_ready = False
        self.functionality = Functionality.FULL
        self.stat = Stat.IDLE
        self.usbnet = 0
        self.error_format = 1
        self.registration_reports = {"+CREG": 0, "+CGREG": 0, "+CEREG": 0}
        self.packet_reports = False
        self.message_format = 0
        self.message_stores: tuple[str, ...] = ("ME", "ME", "ME")
        self.character_set = "GSM"
        self.denied = False
        self.deregistered = False
        """Told by `AT+COPS=2` to stay off the network."""
        self.refusal: int | None = None
        """ESM cause with which the network refuses every bearer; None: it accepts."""
        self.contexts = {1: Context()}
        """By PDP context and profile number: AT and QMI see the same ones."""
        self.on_urc: list[Callable[[str], None]] = []
        self.on_bearer: list[Callable[[BearerChange], None]] = []
        self.on_change: list[Callable[[Change], None]] = []
        self._owner = owner
        self._carrier = carrier
        self.clockwork = Clockwork(seed ^ 0xABCD, profile.jitter)
        self._registering: asyncio.TimerHandle | None = None
        self._powered_at = 0.0
        self._registered_at: float | None = None
        self._detached_at: float | None = None

    # -- power

    def power_on(self) -> None:
        """Boot; the ports answer when the profile says."""
        self.power = Power.BOOTING
        self.functionality = Functionality.FULL
        self.error_format = 1
        self.registration_reports = dict.fromkeys(self.registration_reports, 0)
        self.packet_reports = False
        self.message_format, self.character_set = 0, "GSM"
        self.deregistered = False
        self._powered_at = self.clockwork.now
        self.sim.power_cycle()
        self.clockwork.after(self.profile.boot_seconds, self._booted)

    def _booted(self) -> None:
        self.power = Power.ON
        self.urc("RDY")
        self.urc("+CFUN: 1")
        self._announce_sim()
        self.clockwork.after(self.profile.qmi_seconds, self._qmi_is_ready)
        self.evaluate()

    def _qmi_is_ready(self) -> None:
        self.qmi_ready = True

    def _announce_sim(self) -> None:
        if not self.sim.present:
            self.urc("+CPIN: NOT INSERTED")
            return
        self.urc(f"+CPIN: {self.sim.lock.value}")
        self.urc("+QUSIM: 1")
        if self.sim.lock is CardLock.NONE:
            self.clockwork.after(self.profile.sim_seconds, self._phone_book_read)

    def _card_changed(self) -> None:
        self._announce_sim()
        self._tell(Change.CARD)
        self.evaluate()

    def _tell(self, change: Change) -> None:
        for listener in self.on_change:
            listener(change)

    def _phone_book_read(self) -> None:
        self.urc("+QIND: SMS DONE")
        self.urc("+QIND: PB DONE")

    async def power_off(self) -> None:
        """Everything stops where it is."""
        self.clockwork.stop()
        self.power, self.qmi_ready = Power.OFF, False
        self._detach()
        await self.bearers.end_all(POWERED_DOWN, by_network=False)

    def reboot(self) -> None:
        """`AT+CFUN=1,1`."""
        self.clockwork.after(0.3, self._owner.reboot)

    def shut_down(self) -> None:
        """`AT+QPOWD`."""
        self.clockwork.after(0.05, lambda: self.urc("POWERED DOWN"))
        self.clockwork.after(0.3, self._owner.power_off)

    # -- SIM

    def enter_pin(self, pin: str) -> bool:
        """`AT+CPIN="pin"`; unlocks or costs a try."""
        accepted = self.sim.enter_pin(pin)
        if accepted:
            self._card_changed()
        elif self.sim.lock is CardLock.PUK:
            self._tell(Change.CARD)
        return accepted

    def enter_puk(self, puk: str, new_pin: str) -> bool:
        """`AT+CPIN="puk","new pin"`."""
        accepted = self.sim.enter_puk(puk, new_pin)
        if accepted:
            self._card_changed()
        return accepted

    def power_card(self, *, on: bool) -> None:
        """Take the card's power away, or give it back."""
        if on:
            self.sim.power_cycle()
            self._announce_sim()
        else:
            self.sim.powered = False
        self._tell(Change.CARD)
        self.evaluate()

    def sim_changed(self) -> None:
        """The card was taken out, put in or blocked."""
        if self.power is Power.ON:
            self.urc(f"+QUSIM: {int(self.sim.present)}")
            self._announce_sim()
            self._tell(Change.CARD)
        self.evaluate()

    # -- network

    @property
    def registered(self) -> bool:
        return self.stat is Stat.HOME

    @property
    def operator(self) -> str | None:
        """The operator's name, once the modem knows it."""
        if self._registered_at is None or self.clockwork.now - self._registered_at < self.profile.operator_seconds:
            return None
        return self.radio.cell.operator

    def measure(self) -> Measurement | None:
        """The signal now; None without radio or signal."""
        if self.functionality is not Functionality.FULL:
            return None
        return self.radio.measure(self.clockwork.now - self._powered_at)

    def set_functionality(self, functionality: Functionality) -> None:
        """`AT+CFUN` or the DMS operating mode."""
        was, self.functionality = self.functionality, functionality
        if was is Functionality.MINIMUM and functionality is Functionality.FULL:
            self.sim.power_cycle()
            self._announce_sim()
            self._tell(Change.CARD)
        if was is not functionality:
            self._tell(Change.FUNCTIONALITY)
        self.evaluate()

    def evaluate(self) -> None:
        """Bring the registration in line with power, radio, SIM, signal and the network's mind."""
        able = self.power is Power.ON and self.functionality is Functionality.FULL and self.sim.usable
        able = able and not self.deregistered
        wanted = Stat.HOME if able and not self.denied else Stat.DENIED if able else Stat.IDLE
        if able and not self.radio.heard:
            wanted = Stat.SEARCHING
        if self._registering is not None and wanted in (Stat.HOME, Stat.DENIED):
            return
        self._stop_searching()
        if wanted is self.stat:
            return
        if wanted in (Stat.HOME, Stat.DENIED):
            self._move(Stat.SEARCHING)
            self._registering = self.clockwork.after(self.profile.register_seconds, self._search_ended)
        else:
            self._move(wanted)

    def _stop_searching(self) -> None:
        if self._registering is not None:
            self.clockwork.forget(self._registering)
            self._registering = None

    def _search_ended(self) -> None:
        self._registering = None
        self._move(Stat.DENIED if self.denied else Stat.HOME)

    def reregister(self) -> None:
        """`AT+COPS`: leave the network and look for it again."""
        if self._registering is None and self.stat is not Stat.IDLE:
            self._move(Stat.IDLE)
        self.evaluate()

    def choose_operator(self, *, deregistered: bool) -> None:
        """`AT+COPS=2`, or 0: automatic again."""
        self.deregistered = deregistered
        self.evaluate()

    def _move(self, stat: Stat) -> None:
        if stat is self.stat:
            return
        if stat is Stat.HOME:
            self.stat, self._registered_at = stat, self.clockwork.now
            self._carrier.attached(None if self._detached_at is None else self.clockwork.now - self._detached_at)
        else:
            was_registered = self.registered
            self.stat = stat
            if was_registered:
                self._detach()
                self.clockwork.spawn(self.bearers.end_all(NO_SERVICE, by_network=False))
        for name, mode in self.registration_reports.items():
            if mode:
                self.urc(f"{name}: {self.registration_text(mode)}")
        self._tell(Change.REGISTRATION)

    def _detach(self) -> None:
        self._stop_searching()
        if self._registered_at is not None:
            self._registered_at, self._detached_at = None, self.clockwork.now
        if self.power is Power.OFF:
            self.stat = Stat.IDLE

    def registration_text(self, mode: int) -> str:
        """What follows `+CREG: ` in a URC of that mode."""
        if mode < 2 or not self.registered:
            return str(int(self.stat))
        cell = self.radio.cell
        # The circuit-switched domain's CREG has the access technology too on this family.
        return f'{int(self.stat)},"{cell.tac:X}","{cell.cell_id:X}",7'

    # -- bearers

    async def start_bearer(self, client: int | None, family: int, apn: str) -> int:
        """Ask the network for a bearer; the packet data handle. Raises BearerRefused or AlreadyStarted."""
        if not self.registered:
            raise BearerRefused(NO_SERVICE)
        if self.bearers.settings(family) is None:
            await asyncio.sleep(self.profile.connect_seconds)
            if not self.registered:
                raise BearerRefused(NO_SERVICE)
            if self.refusal is not None:
                raise BearerRefused(network_refusal(self.refusal))
            if family == 6 and not self.profile.ipv6:
                raise BearerRefused(IPV6_DISALLOWED)
        return await self.bearers.start(client, family, apn)

    def drop(self) -> None:
        """The network ends every bearer."""
        self.clockwork.spawn(self.bearers.end_all(RELEASED, by_network=True))

    def _bearer_changed(self, change: BearerChange) -> None:
        if change.by_network and self.packet_reports:
            self.urc("+CGEV: NW PDN DEACT 1")
        elif change.settings_changed:
            pass
        elif self.packet_reports and self.power is Power.ON:
            self.urc(f"+CGEV: ME PDN {'ACT' if change.connected else 'DEACT'} 1")
        for listener in self.on_bearer:
            listener(change)

    def urc(self, text: str) -> None:
        """Say something nobody asked for."""
        for listener in self.on_urc:
            listener(text)

"""An emulated modem's firmware and ports, without a farm."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sim.carrier_addresses import settings_for
from agent.sim.ec25.at_channel import AtChannel
from agent.sim.ec25.bearers import BearerSettings, Traffic
from agent.sim.ec25.firmware import Firmware, Owner
from agent.sim.ec25.profile import INSTANT, Profile
from agent.sim.ec25.qmi_port import QmiPort
from agent.sim.ec25.radio import LTE_BANDS, Selection
from agent.sim.ec25.sim_card import SimCard


@dataclass
class PaperCarrier:
    """A carrier that only remembers."""

    generation: int = 0
    away: list[float | None] = field(default_factory=list)
    open_addresses: set[str] = field(default_factory=set)

    def attached(self, away_seconds: float | None) -> None:
        self.away.append(away_seconds)

    def renumber(self) -> None:
        self.generation += 1

    def lease(self, family: int) -> BearerSettings:
        return settings_for(1, self.generation, family)

    async def open(self, settings: BearerSettings) -> None:
        self.open_addresses.add(str(settings.interface.ip))

    async def shut(self, settings: BearerSettings) -> None:
        self.open_addresses.discard(str(settings.interface.ip))

    def traffic(self) -> Traffic:
        return Traffic(rx_bytes=7)


class Bench:
    """A booted modem with its AT port open."""

    def __init__(self, profile: Profile = INSTANT, pin: str | None = None, *, present: bool = True) -> None:
        self.carrier = PaperCarrier()
        self.requests: list[str] = []
        self.heard = bytearray()
        sim = SimCard(iccid="8949010000000000001", imsi="262010000000001", pin=pin, present=present)
        owner = Owner(
            reboot=lambda: self.requests.append("reboot"), power_off=lambda: self.requests.append("power_off")
        )
        self.firmware = Firmware(
            imei="867586040000010", sim=sim, seed=1, profile=profile, carrier=self.carrier, owner=owner
        )
        self.at = AtChannel(self.firmware, self.heard.extend, urcs=True)
        self.firmware.power_on()

    async def settle(self, seconds: float = 0.02) -> None:
        await asyncio.sleep(seconds)

    async def ask(self, line: str) -> str:
        self.heard.clear()
        self.at.receive(line.encode() + b"\r")
        await self.settle()
        return self.heard.decode("latin-1")


def on_bench(test: Callable[[Bench], Awaitable[None]], profile: Profile = INSTANT, pin: str | None = None) -> None:
    """Run a test on a bench whose modem has booted."""

    async def work() -> None:
        bench = Bench(profile, pin)
        await bench.settle()
        await test(bench)
        await bench.firmware.power_off()

    asyncio.run(work())


def test_boot_says_its_urcs_and_echo_is_on() -> None:
    async def test(bench: Bench) -> None:
        assert bench.heard.startswith(b"\r\nRDY\r\n\r\n+CFUN: 1\r\n\r\n+CPIN: READY\r\n\r\n+QUSIM: 1\r\n")
        assert b"+QIND: PB DONE" in bench.heard
        assert await bench.ask("AT") == "AT\r\r\nOK\r\n"
        assert await bench.ask("ATE0") == "ATE0\r\r\nOK\r\n"
        assert await bench.ask("AT+CSQ;+CPIN?") == "\r\n+CSQ: 20,99\r\n\r\n+CPIN: READY\r\n\r\nOK\r\n"

    on_bench(test)


def test_a_modem_that_boots_is_silent() -> None:
    async def work() -> None:
        bench = Bench(replace(INSTANT, boot_seconds=60))
        assert await bench.ask("AT") == ""
        await bench.firmware.power_off()

    asyncio.run(work())


@pytest.mark.parametrize(("mode", "answer"), [(0, "ERROR"), (1, "+CME ERROR: 10"), (2, "+CME ERROR: SIM not inserted")])
def test_errors_come_as_cmee_says(mode: int, answer: str) -> None:
    async def test(bench: Bench) -> None:
        bench.firmware.sim.present = False
        await bench.ask(f"ATE0;+CMEE={mode}")
        assert await bench.ask("AT+CPIN?") == f"\r\n{answer}\r\n"
        assert await bench.ask("AT+NONSENSE") == "\r\nERROR\r\n"

    on_bench(test)


def test_the_right_pin_unlocks_and_registration_follows() -> None:
    async def test(bench: Bench) -> None:
        await bench.ask("ATE0;+CMEE=2")
        assert "SIM PIN" in await bench.ask("AT+CPIN?")
        assert not bench.firmware.registered
        assert "incorrect password" in await bench.ask('AT+CPIN="0000"')
        assert '"SC",2,10' in await bench.ask("AT+QPINC?")
        assert "OK" in await bench.ask('AT+CPIN="4711"')
        await bench.settle()
        assert bench.firmware.registered

    on_bench(test, pin="4711")


def test_registration_is_reported_in_the_mode_asked_for() -> None:
    async def test(bench: Bench) -> None:
        await bench.ask("ATE0")
        assert "+CREG: 0,1\r\n" in await bench.ask("AT+CREG?")
        await bench.ask("AT+CEREG=2;+CREG=1")
        cell = bench.firmware.radio.cell
        assert f'+CEREG: 2,1,"{cell.tac:X}","{cell.cell_id:X}",7' in await bench.ask("AT+CEREG?")
        heard = await bench.ask("AT+CFUN=4")
        assert "+CREG: 0\r\n" in heard
        assert "+CEREG: 0\r\n" in heard
        heard = await bench.ask("AT+CFUN=1")
        assert "+CREG: 2\r\n" in heard
        assert "+CREG: 1\r\n" in heard

    on_bench(test)


def test_denied_registration_has_no_service() -> None:
    async def test(bench: Bench) -> None:
        bench.firmware.denied = True
        bench.firmware.evaluate()
        await bench.settle()
        assert "+CEREG: 0,3" in await bench.ask("AT+CEREG?")
        assert "+COPS: 0\r\n" in await bench.ask("AT+COPS?")
        assert "No Service" in await bench.ask("AT+QNWINFO")

    on_bench(test)


def test_a_modem_told_to_leave_the_network_stays_away_until_it_is_told_to_look_again() -> None:
    async def test(bench: Bench) -> None:
        await bench.settle()
        assert "OK" in await bench.ask("AT+COPS=2")
        assert "+COPS: 2\r\n" in await bench.ask("AT+COPS?")
        bench.firmware.evaluate()
        await bench.settle()
        assert "+CEREG: 0,0" in await bench.ask("AT+CEREG?")
        assert "OK" in await bench.ask("AT+COPS=0")
        await bench.settle()
        assert "+CEREG: 0,1" in await bench.ask("AT+CEREG?")

    on_bench(test)


def test_losing_the_signal_while_searching_ends_the_search() -> None:
    async def test(bench: Bench) -> None:
        await bench.ask("AT+CFUN=4")
        bench.at.receive(b"AT+CFUN=1\r")
        bench.firmware.radio.silent = True
        bench.firmware.evaluate()
        await bench.settle(0.2)
        assert not bench.firmware.registered
        assert "+CSQ: 99,99" in await bench.ask("AT+CSQ")
        bench.firmware.radio.silent = False
        bench.firmware.evaluate()
        await bench.settle(0.2)
        assert bench.firmware.registered

    on_bench(test, replace(INSTANT, register_seconds=0.05))


def test_a_dropped_bearer_is_announced_and_its_packets_stop() -> None:
    async def test(bench: Bench) -> None:
        await bench.ask("AT+CGEREP=2,1")
        await bench.firmware.start_bearer(1, 4, "internet")
        assert bench.carrier.open_addresses == {str(settings_for(1, 0, 4).interface.ip)}
        assert str(settings_for(1, 0, 4).interface.ip) in await bench.ask("AT+CGPADDR=1")
        bench.heard.clear()
        bench.firmware.drop()
        await bench.settle()
        assert b"+CGEV: NW PDN DEACT 1" in bench.heard
        assert bench.carrier.open_addresses == set()

    on_bench(test)


def test_a_bearer_ends_with_its_last_holder() -> None:
    async def test(bench: Bench) -> None:
        first = await bench.firmware.start_bearer(1, 4, "internet")
        second = await bench.firmware.start_bearer(2, 4, "internet")
        assert first != second
        assert not await bench.firmware.bearers.stop(2, first)
        assert await bench.firmware.bearers.stop(1, first)
        assert bench.firmware.bearers.settings(4) is not None
        await bench.firmware.bearers.release(2)
        assert not bench.firmware.bearers.families

    on_bench(test)


def test_the_carrier_hears_how_long_the_modem_was_away() -> None:
    async def test(bench: Bench) -> None:
        await bench.ask("AT+CFUN=4")
        await bench.settle(0.1)
        await bench.ask("AT+CFUN=1")
        first, second = bench.carrier.away
        assert first is None
        assert second is not None
        assert 0.1 <= second < 5

    on_bench(test)


def test_reset_and_power_down_are_asked_of_the_world() -> None:
    async def test(bench: Bench) -> None:
        await bench.ask("AT+CFUN=1,1")
        await bench.settle(0.4)
        await bench.ask("AT+QPOWD")
        await bench.settle(0.4)
        assert bench.requests == ["reboot", "power_off"]
        assert b"POWERED DOWN" in bench.heard

    on_bench(test)


def test_one_byte_at_a_time_says_the_same() -> None:
    async def test(bench: Bench) -> None:
        await bench.settle(0.5)
        bench.heard.clear()
        bench.at.receive(b"ATI\r")
        await bench.settle(0.5)
        assert bench.heard.startswith(b"ATI\r\r\nQuectel\r\nEC25\r\nRevision: ")
        assert bench.heard.endswith(b"\r\n\r\nOK\r\n")

    on_bench(test, replace(INSTANT, at_chunk_bytes=1))


def test_hung_and_garbled_ports() -> None:
    async def test(bench: Bench) -> None:
        bench.at.garbled = True
        assert await bench.ask("ATI") != "ATI\r\r\nQuectel\r\nEC25\r\nRevision: EC25EUXGAR08A17M1G\r\n\r\nOK\r\n"
        bench.at.hung = True
        assert await bench.ask("AT") == ""
        bench.at.hung = bench.at.garbled = False
        assert "OK" in await bench.ask("AT")

    on_bench(test)


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_no_bytes_upset_the_ports(chunks: list[bytes]) -> None:
    async def test(bench: Bench) -> None:
        qmi = QmiPort(bench.firmware, bench.heard.extend)
        for chunk in chunks:
            bench.at.receive(chunk)
            bench.at.receive(b"AT" + chunk + b"\r")
            qmi.receive(chunk)
            qmi.receive(b"\x01" + len(chunk + b"12").to_bytes(2, "little") + chunk)
        qmi.close()

    async def work() -> None:
        bench = Bench()
        await asyncio.sleep(0)
        await test(bench)
        await bench.firmware.power_off()

    asyncio.run(work())


def test_signal_drifts_slowly_and_the_same_way_for_the_same_seed() -> None:
    async def test(bench: Bench) -> None:
        radio = bench.firmware.radio
        values = [radio.measure(second) for second in range(600)]
        assert values == [radio.measure(second) for second in range(600)]
        levels = [value.rsrp_dbm for value in values if value is not None]
        assert max(levels) - min(levels) >= 5
        assert all(abs(later - earlier) <= 2 for earlier, later in itertools.pairwise(levels))

    on_bench(test)


def test_the_clock_is_right_once_a_network_told_it() -> None:
    async def test(bench: Bench) -> None:
        await bench.settle()
        told = (await bench.ask("AT+CCLK?")).partition('"')[2].partition('"')[0]
        now = datetime.now(UTC)
        assert abs(datetime.strptime(f"{told}00", "%y/%m/%d,%H:%M:%S%z") - now) < timedelta(seconds=5)
        await bench.ask("AT+CFUN=4")
        assert '"80/01/06' in await bench.ask("AT+CCLK?")

    on_bench(test)


def test_the_pin_can_be_switched_off_and_on_and_counts_its_tries() -> None:
    async def test(bench: Bench) -> None:
        assert "OK" in await bench.ask('AT+CPIN="4711"')
        assert "+CLCK: 1" in await bench.ask('AT+CLCK="SC",2')
        assert "+CME ERROR: 16" in await bench.ask('AT+CLCK="SC",0,"0000"')
        assert '"SC",2,10' in await bench.ask("AT+QPINC?")
        assert "OK" in await bench.ask('AT+CLCK="SC",0,"4711"')
        assert "+CLCK: 0" in await bench.ask('AT+CLCK="SC",2')
        assert "OK" in await bench.ask('AT+CLCK="SC",1,"1234"')
        bench.firmware.sim.power_cycle()
        assert "SIM PIN" in await bench.ask("AT+CPIN?")

    on_bench(test, pin="4711")


def test_the_store_of_messages_is_there_and_empty() -> None:
    async def test(bench: Bench) -> None:
        await bench.ask("ATE0")
        assert await bench.ask("AT+CPMS?") == '\r\n+CPMS: "ME",0,255,"ME",0,255,"ME",0,255\r\n\r\nOK\r\n'
        assert "+CPMS: 0,50,0,50,0,255\r\n" in await bench.ask('AT+CPMS="SM","SM"')
        assert await bench.ask("AT+CMGL=4") == "\r\nOK\r\n"
        assert "ERROR" in await bench.ask('AT+CPMS="XY"')
        await bench.ask("AT+CMGF=1")
        assert "+CMGF: 1" in await bench.ask("AT+CMGF?")

    on_bench(test)


def test_a_modem_locked_to_a_band_without_a_cell_searches_until_it_is_unlocked() -> None:
    async def test(bench: Bench) -> None:
        await bench.settle()
        radio = bench.firmware.radio
        radio.selection = Selection(lte_bands=LTE_BANDS & ~(1 << radio.cell.band - 1))
        bench.firmware.evaluate()
        await bench.settle()
        assert "+CEREG: 0,2" in await bench.ask("AT+CEREG?")
        assert "+CSQ: 99,99" in await bench.ask("AT+CSQ")
        radio.selection = Selection()
        bench.firmware.evaluate()
        await bench.settle()
        assert "+CEREG: 0,1" in await bench.ask("AT+CEREG?")

    on_bench(test)

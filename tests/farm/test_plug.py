"""From plug to proxy, and back."""

from __future__ import annotations

import pytest

from agent.modem.model import ModemState
from tests.farm.conftest import MakeFarmyard
from tests.farm.harness import SEND_EVERYTHING

pytestmark = pytest.mark.farm


def test_a_modem_that_is_plugged_in_soon_serves_clients_with_its_own_address(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2)
    first, second = yard.wait_online(1, 2)
    assert yard.browse(first) == first.wan_address
    assert yard.browse(second) == second.wan_address
    assert yard.browse(first, scheme="socks5h") == first.wan_address
    assert first.wan_address != second.wan_address
    asked = [event.detail for event in yard.farm.carrier_log(1) if event.kind == "dns"]
    assert any("whoami.test" in name for name in asked), "the proxy's DNS did not leave by its modem"
    assert yard.farm.leaks() == ()
    listed = {modem["serial"]: modem for modem in yard.status_json()}
    assert listed[first.serial]["state"] == "online"
    assert listed[first.serial]["proxy_address"] == first.proxy_address
    assert listed[first.serial]["wan_address"] == yard.farm.modem(1).addresses[0]
    assert yard.farm.failures() == ()


def test_an_unplugged_modem_lets_nothing_out_and_comes_back_in_any_slot_on_its_own_tcp_port(
    make_farmyard: MakeFarmyard,
) -> None:
    yard = make_farmyard(modems=2)
    before, _ = yard.wait_online(1, 2)
    yard.farm.unplug(1)
    yard.wait_state(before.serial, ModemState.OFFLINE)
    assert yard.browse(before) is None
    sent = yard.sends_as_proxy(before, SEND_EVERYTHING)
    assert sent.stdout.count("refused") == 6, sent.stdout + sent.stderr
    assert yard.farm.leaks() == ()
    yard.farm.replug(1, "2-1.3")
    after = yard.wait_state(before.serial, ModemState.ONLINE)
    assert (after.slot, after.proxy_address, after.uid) == ("2-1.3", before.proxy_address, before.uid)
    assert yard.browse(after) == after.wan_address
    assert yard.farm.leaks() == ()


def test_a_modem_that_vanishes_without_a_word_is_missed_by_the_rescan(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard()
    (row,) = yard.wait_online(1)
    yard.farm.fault(1, "vanish", announce=False)
    yard.wait_state(row.serial, ModemState.OFFLINE)
    yard.farm.replug(1)
    yard.wait_online(1)


def test_thirty_at_once_come_up_and_nothing_leaks(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=30, profile="demo", hotplug={"batch_size": 10, "batch_interval_seconds": 1.0})
    rows = yard.wait_online(*range(1, 31), seconds=90)
    assert len({row.proxy_address for row in rows}) == 30
    assert len({row.uid for row in rows}) == 30
    for row in rows[::6]:
        assert yard.browse(row) == row.wan_address
    assert yard.farm.leaks() == ()
    assert yard.farm.failures() == ()


def test_two_modems_with_one_address_do_not_get_in_each_others_way(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2, agent=False)
    yard.farm.fault(2, "same_address", other=1)
    yard.playground.start_agent()
    first, second = yard.wait_online(1, 2)
    assert first.wan_address == second.wan_address
    for number, row in ((1, first), (2, second)):
        seen = len([event for event in yard.farm.carrier_log(number) if event.kind == "http"])
        assert yard.browse(row) == row.wan_address
        assert len([event for event in yard.farm.carrier_log(number) if event.kind == "http"]) == seen + 1
    assert yard.farm.leaks() == ()


def test_two_modems_with_one_imei_are_kept_apart_and_reported(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=1, agent=False)
    clone = yard.farm.plug()
    yard.farm.fault(clone.modem, "same_imei", other=1)
    yard.playground.start_agent()
    imei = yard.serial(1)
    yard.wait_for(lambda: len(yard.fleet.fetch_modems()) == 2, "two modems")
    serials = {row.serial for row in yard.fleet.fetch_modems()}
    assert imei in serials
    (other,) = serials - {imei}
    assert other.startswith(f"{imei}_")
    rows = [yard.wait_state(serial, ModemState.ONLINE) for serial in (imei, other)]
    assert rows[0].proxy_address != rows[1].proxy_address
    assert any(entry.command == "duplicate identity" for entry in yard.logs(other))


def test_dns_and_udp_leave_by_the_right_modem(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2)
    first, _ = yard.wait_online(1, 2)
    before = len(yard.farm.carrier_log(2))
    sent = yard.sends_as_proxy(first, SEND_EVERYTHING)
    assert sent.stdout.count("sent AF_INET ") == 3, sent.stdout + sent.stderr
    assert sent.stdout.count("refused AF_INET6") == 3
    yard.wait_for(lambda: any(event.kind == "dns" for event in yard.farm.carrier_log(1)), "DNS at the first carrier")
    # The second modem's own probes go on; nothing of the first one's uid is among them.
    strangers = [event for event in yard.farm.carrier_log(2)[before:] if event.source == first.wan_address]
    assert strangers == []
    assert yard.farm.leaks() == ()

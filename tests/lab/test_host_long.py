"""The long form: thirty emulated EC25s on Debian's kernel, through what happens to a host in a year.

One machine goes through its life: each test goes on where the one before it ended. `make test-vm` runs it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.grounds import lab_ground, package_under_test
from tests.lab.image import Image
from tests.lab.product import Modem, Product
from tests.packaging.repack import with_version

pytestmark = [pytest.mark.vm_long, pytest.mark.root, pytest.mark.timeout(3600)]
MODEMS = int(os.environ.get("LASTMILE_LAB_MODEMS", "30"))
"""Fewer for a machine that cannot emulate two processors for thirty; said in the output."""
ONLINE_SECONDS = 1200.0
"""Thirty share two emulated processors with whatever else the machine does; on a quiet one it takes two minutes."""
SLOW = 32 * 1024
"""Bytes a second of a client that is to be busy for a while: thirty of them share an emulated processor."""
OUTAGE_SECONDS = 120.0
"""How long PostgreSQL is away."""


@pytest.fixture(scope="module")
def host(warm_image: Image) -> Iterator[Product]:
    """A machine of its own for this file."""
    with lab_ground(warm_image, profile="demo", memory_mib=4096) as product:
        product.configure()
        yield product


@pytest.fixture(scope="module")
def given(host: Product) -> dict[str, Modem]:
    """Rows by serial as they were first seen; filled by the first test."""
    return {}


@pytest.fixture(autouse=True)
def nothing_leaks(host: Product) -> Iterator[None]:
    yield
    assert host.farm is not None
    assert host.farm.failures() == ()
    theirs = [leak for leak in host.farm.leaks() if leak.source.startswith("10.64.")]
    assert theirs == [], "a modem's address left by the uplink"


def same_numbers(rows: list[Modem], given: dict[str, Modem]) -> None:
    """Every modem has the TCP port, the uid and the table that it first got."""
    assert {row.serial: row.numbers for row in rows} == {row.serial: row.numbers for row in given.values()}


def say(text: str) -> None:
    print(f"\n{text}", flush=True)


def test_from_nothing_to_thirty_online(host: Product, given: dict[str, Modem]) -> None:
    assert host.farm is not None
    package = package_under_test()
    began = time.monotonic()
    for _ in range(MODEMS):
        host.farm.plug()
    host.wait(lambda: len(host.farm.guest().attached) == MODEMS, 120, "30 modems on the bus")  # type: ignore[union-attr]
    host.install(package)
    installed = time.monotonic()
    rows = host.wait_online(MODEMS, ONLINE_SECONDS)
    say(f"installed after {installed - began:.0f} s, {MODEMS} online {time.monotonic() - installed:.0f} s later")
    given.update({row.serial: row for row in rows})
    for what in ("proxy_port", "uid", "fib_table"):
        assert len({getattr(row, what) for row in rows}) == MODEMS
    assert host.browses(rows) == []


def test_a_replug_costs_the_others_no_byte(host: Product, given: dict[str, Modem]) -> None:
    assert host.farm is not None
    one, *others = host.farm.status()
    downloads = [host.download(given[each.imei], size=20 * SLOW, bytes_per_second=SLOW) for each in others]
    host.farm.unplug(one.modem)
    host.wait(lambda: host.modem(one.imei).status == "offline", 120, "the modem is offline")
    host.farm.replug(one.modem)
    for download in downloads:
        download.finish(600)
    same_numbers(host.wait_online(MODEMS, ONLINE_SECONDS), given)


def test_a_power_outage_changes_nothing(host: Product, given: dict[str, Modem]) -> None:
    assert host.farm is not None
    before = host.database_now()
    host.farm.outage()
    host.machine.hard_reset()  # type: ignore[attr-defined]
    host.machine.wait_booted(timeout=300)
    booted = time.monotonic()
    # The rows outlive the outage: what they say counts when the agent has said it anew.
    rows = host.wait_online(MODEMS, ONLINE_SECONDS, since=before)
    say(f"after a power outage: {MODEMS} online {time.monotonic() - booted:.0f} s after the boot")
    same_numbers(rows, given)
    assert host.browses(rows) == []
    assert host.sh("systemctl --failed --no-legend").out == ""


def test_a_usb_reset_touches_one(host: Product, given: dict[str, Modem]) -> None:
    serial = min(given)
    slot = host.modem(serial).slot
    others = [row for row in given.values() if row.serial != serial][:5]
    pids = {row.serial: host.sh(f"systemctl show -P MainPID 3proxy@{row.serial}").out for row in given.values()}
    downloads = [host.download(row, size=10 * SLOW, bytes_per_second=SLOW) for row in others]
    host.sh(f"lastmile modem reset {serial}", timeout=180)
    for download in downloads:
        download.finish(600)
    same_numbers(host.wait_online(MODEMS, ONLINE_SECONDS), given)
    assert host.modem(serial).slot == slot
    again = {row.serial: host.sh(f"systemctl show -P MainPID 3proxy@{row.serial}").out for row in given.values()}
    assert again == pids


def test_modemmanager_beside_us_keeps_its_hands_off(host: Product, given: dict[str, Modem]) -> None:
    host.sh("systemctl unmask ModemManager && systemctl start ModemManager", timeout=120)
    host.sh("udevadm trigger --subsystem-match=tty --subsystem-match=usbmisc --subsystem-match=net; udevadm settle")
    time.sleep(30)  # it probes new ports for so long
    assert "No modems were found" in host.sh("mmcli -L", timeout=60).out
    held = host.sh("ls -l /proc/$(pidof ModemManager)/fd").out
    assert "ttyUSB" not in held
    assert "cdc-wdm" not in held
    rows = host.wait_online(MODEMS, ONLINE_SECONDS)
    same_numbers(rows, given)
    assert host.browses(rows[:5]) == []
    host.sh("systemctl stop ModemManager && systemctl mask ModemManager", timeout=120)


def test_a_killed_and_an_upgraded_agent_interrupt_nobody(
    host: Product, given: dict[str, Modem], tmp_path: Path
) -> None:
    rows = list(given.values())[:5]
    pids = {row.serial: host.sh(f"systemctl show -P MainPID 3proxy@{row.serial}").out for row in given.values()}
    downloads = [host.download(row, size=150 * SLOW, bytes_per_second=SLOW) for row in rows]
    host.sh("systemctl kill --signal=KILL --kill-whom=main lastmile-agent.service")
    host.wait(
        lambda: host.sh("systemctl is-active lastmile-agent", check=False).out == "active\n", 120, "the agent is back"
    )
    assert all(download.running for download in downloads)
    host.install(with_version(package_under_test(), "99.0.0~lab1", tmp_path))
    assert host.sh("lastmile version", timeout=60).out.startswith("lastmile")
    assert host.sh("dpkg-query -W -f '${Version}' lastmile").out == "99.0.0~lab1"
    for download in downloads:
        download.finish(600)
    same_numbers(host.wait_online(MODEMS, ONLINE_SECONDS), given)
    again = {row.serial: host.sh(f"systemctl show -P MainPID 3proxy@{row.serial}").out for row in given.values()}
    assert again == pids


def test_two_minutes_without_postgresql(host: Product, given: dict[str, Modem]) -> None:
    assert host.farm is not None
    host.sh("systemctl stop postgresql@15-main")
    began = time.monotonic()
    changed = host.farm.status()[0]
    before = changed.addresses[0]
    host.farm.fault(changed.modem, "address_change")
    row = given[changed.imei]
    wanted = host.farm.modem(changed.modem).addresses[0]
    assert wanted != before
    host.wait(lambda: host.fetch(row) == wanted, 120, "the proxy answers with the new address", every=3)
    assert all(host.fetch(each) for each in list(given.values())[:5])
    time.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - began)))
    host.sh("systemctl start postgresql@15-main", timeout=120)
    host.wait(lambda: host.modem(changed.imei).wan_address == wanted, 180, "the row has caught up", every=2)
    same_numbers(host.wait_online(MODEMS, ONLINE_SECONDS), given)
    written = host.sh(
        "psql -XAtq lastmile -c \"SELECT count(*) FROM modem_logs WHERE at > now() - interval '4 minutes'\""
    ).out
    assert int(written) > 0


def test_the_journal_and_the_status_tell_the_story(host: Product, given: dict[str, Modem]) -> None:
    told = host.sh("journalctl --no-pager -u lastmile-agent -o cat --since=-2h", timeout=120).out
    for words in ("agent started", "modem admitted", "modem is gone", "agent stopped; proxies keep running"):
        assert words in told
    assert "Traceback" not in told
    shown = host.sh("lastmile status", timeout=120).out
    for row in given.values():
        assert row.serial in shown
    assert shown.count("online") == MODEMS


def test_purged_it_leaves_nothing(host: Product) -> None:
    host.sh("DEBIAN_FRONTEND=noninteractive apt-get purge -y lastmile 2>&1", timeout=400)
    assert host.leftovers() == []

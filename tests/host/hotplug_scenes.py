"""Scenes of modems coming and going, each run in a process of its own: `hotplug_scenes.py BED SCENE`.

BED is `umockdev` (under umockdev-wrapper) or a directory that is bind-mounted on /sys here, within the network and
mount namespaces that the caller has made.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from agent.core.errors import TransientError
from agent.core.identifiers import Slot
from agent.host.hotplug import EVENTS_AT_ONCE, UdevHotplug
from agent.host.sysfs_glance import glance
from agent.modem.model import Hardware
from tests.host.sysfs_tree import Bed, DirectoryBed, Entry, Plug, UmockdevBed

USB_IDS = ("2c7c:0125", "2c7c:0121")
SLOT = Slot("1-1.2")
FIRST = Plug(slot="1-1.2")
SECOND = Plug(slot="1-1.4", first_tty=4, wdm=1, ifindex=8)
WAIT_SECONDS = 5.0


def next_slots(hotplug: UdevHotplug, wanted: set[str]) -> None:
    """Wait until each wanted slot had an event; no other may have one."""
    missing = set(wanted)
    ends = time.monotonic() + WAIT_SECONDS
    while missing:
        assert time.monotonic() < ends, f"no event for {missing}"
        slots = set(hotplug.wait(ends - time.monotonic()))
        assert slots <= wanted, slots
        missing -= slots


def nothing_is_there(hotplug: UdevHotplug, bed: Bed) -> None:
    assert hotplug.scan() == ()
    started = time.monotonic()
    assert hotplug.wait(0.3) == frozenset()
    assert 0.25 < time.monotonic() - started < 2


def a_modem_is_plugged_in(hotplug: UdevHotplug, bed: Bed) -> None:
    bed.add(FIRST.entries())
    next_slots(hotplug, {"1-1.2"})
    path = f"/sys{FIRST.device_path}"
    assert hotplug.scan() == (
        Hardware(
            slot=SLOT,
            usb_id="2c7c:0125",
            syspath=path,
            usb_serial=None,
            at_node="/dev/ttyUSB2",
            qmi_node="/dev/cdc-wdm0",
            link_index=7,
            raw_ip_path=f"{path}/1-1.2:1.4/net/wwan0/qmi/raw_ip",
        ),
    )
    assert hotplug.scan()[0].complete


def a_modem_was_there_before(hotplug: UdevHotplug, bed: Bed) -> None:
    bed.add(FIRST.entries())
    late = UdevHotplug(USB_IDS)
    assert [modem.complete for modem in late.scan()] == [True]
    late.close()


def what_is_left_to_others_is_no_modem(hotplug: UdevHotplug, bed: Bed) -> None:
    bed.add([*FIRST.entries(), *SECOND.entries()])
    with_less = UdevHotplug(USB_IDS, [SLOT])
    assert [modem.slot for modem in with_less.scan()] == ["1-1.4"]
    with_less.close()


def ports_appear_one_by_one(hotplug: UdevHotplug, bed: Bed) -> None:
    entries = list(FIRST.entries())
    ports = [entry for entry in entries if entry.subsystem != "usb"]
    bed.add(entry for entry in entries if entry.subsystem == "usb")
    seen = []
    for port in ports:
        (modem,) = hotplug.scan()
        seen.append((modem.at_node is not None, modem.qmi_node is not None, modem.link_index is not None))
        assert not modem.complete
        bed.add([port])
        next_slots(hotplug, {"1-1.2"})
    assert seen == [(False, False, False)] * 3 + [(True, False, False)] * 2 + [(True, True, False)]
    assert hotplug.scan()[0].complete


def a_modem_is_unplugged(hotplug: UdevHotplug, bed: Bed) -> None:
    bed.add(FIRST.entries())
    next_slots(hotplug, {"1-1.2"})
    assert len(hotplug.scan()) == 1
    while hotplug.wait(0.1):
        pass
    bed.remove(FIRST.entries())
    next_slots(hotplug, {"1-1.2"})
    while hotplug.wait(0.1):
        pass
    assert hotplug.scan() == ()


def a_modem_moves_to_another_slot(hotplug: UdevHotplug, bed: Bed) -> None:
    bed.add(FIRST.entries())
    hotplug.scan()
    bed.remove(FIRST.entries())
    moved = replace(SECOND, first_tty=11, wdm=5, ifindex=23)
    bed.add(moved.entries())
    next_slots(hotplug, {"1-1.2", "1-1.4"})
    while hotplug.wait(0.1):
        pass
    (modem,) = hotplug.scan()
    assert (modem.slot, modem.at_node, modem.qmi_node, modem.link_index) == (
        "1-1.4",
        "/dev/ttyUSB13",
        "/dev/cdc-wdm5",
        23,
    )


def two_modems_are_told_apart(hotplug: UdevHotplug, bed: Bed) -> None:
    bed.add(SECOND.entries())
    bed.add(FIRST.entries())
    next_slots(hotplug, {"1-1.2", "1-1.4"})
    modems = hotplug.scan()
    assert [(modem.slot, modem.at_node, modem.link_index) for modem in modems] == [
        ("1-1.2", "/dev/ttyUSB2", 7),
        ("1-1.4", "/dev/ttyUSB6", 8),
    ]


def other_devices_are_no_modems(hotplug: UdevHotplug, bed: Bed) -> None:
    bed.add(replace(FIRST, usb_id="2c7c:6026").entries())
    bed.add(replace(SECOND, usb_id="0403:0125").entries())
    bed.add([Entry(path="/devices/virtual/net/tap7", subsystem="net", attributes={"ifindex": "99"})])
    assert hotplug.scan() == ()


def the_other_product_is_a_modem(hotplug: UdevHotplug, bed: Bed) -> None:
    bed.add(replace(FIRST, usb_id="2c7c:0121").entries())
    assert [modem.usb_id for modem in hotplug.scan()] == ["2c7c:0121"]


def constant_serials_are_none(hotplug: UdevHotplug, bed: Bed) -> None:
    bed.add(replace(FIRST, usb_serial="0123456789ABCDEF").entries())
    bed.add(replace(SECOND, usb_serial="c0ffee17").entries())
    assert [modem.usb_serial for modem in hotplug.scan()] == [None, "c0ffee17"]


def interface_order_counts_and_not_numbers(hotplug: UdevHotplug, bed: Bed) -> None:
    """ttyUSB9 before ttyUSB10, and one interface further on where RNDIS takes the first two."""
    shifted = ("e0", "0a", "ff", "ff", "ff", "ff")
    plug = replace(FIRST, first_tty=8, tty_interfaces=(2, 3, 4, 5), classes=shifted, qmi_interface=None)
    bed.add(plug.entries())
    bed.add([Entry(path=f"{plug.device_path}/1-1.2:1.0/ttyUSB0/tty/ttyUSB0", subsystem="tty", node="ttyUSB0")])
    (modem,) = hotplug.scan()
    assert (modem.at_node, modem.qmi_node, modem.link_index) == ("/dev/ttyUSB10", None, None)


def a_wake_ends_the_wait(hotplug: UdevHotplug, bed: Bed) -> None:
    started = time.monotonic()
    threading.Timer(0.2, hotplug.wake).start()
    assert hotplug.wait(WAIT_SECONDS) == frozenset()
    assert 0.15 < time.monotonic() - started < 3
    hotplug.wake()
    hotplug.wake()
    assert hotplug.wait(WAIT_SECONDS) == frozenset()
    assert time.monotonic() - started < 3
    started = time.monotonic()
    hotplug.wait(0.2)
    assert time.monotonic() - started > 0.15


def waiting_costs_nothing(hotplug: UdevHotplug, bed: Bed) -> None:
    before = time.process_time()
    hotplug.wait(1.0)
    assert time.process_time() - before < 0.05


def events_off_the_usb_end_no_wait(hotplug: UdevHotplug, bed: Bed) -> None:
    bed.add([Entry(path="/devices/virtual/tty/tty63", subsystem="tty", node="tty63")])
    started = time.monotonic()
    assert hotplug.wait(0.4) == frozenset()
    assert time.monotonic() - started > 0.35


def a_closed_source_says_so(hotplug: UdevHotplug, bed: Bed) -> None:
    hotplug.close()
    hotplug.close()
    hotplug.wake()
    try:
        hotplug.wait(1)
    except TransientError:
        return
    raise AssertionError("waited on a closed source")


def devices_vanish_while_they_are_looked_at(hotplug: UdevHotplug, bed: Bed) -> None:
    """Another process plugs and unplugs as fast as it can; a scan sees some of it, and never fails."""
    assert isinstance(bed, DirectoryBed)
    churn = subprocess.Popen([sys.executable, __file__, sys.argv[1], "churn"])
    complete = partial = absent = 0
    ends = time.monotonic() + 4
    while time.monotonic() < ends:
        modems = hotplug.scan()
        hotplug.wait(0)
        absent += not modems
        complete += any(modem.complete for modem in modems)
        partial += any(not modem.complete for modem in modems)
    churn.send_signal(signal.SIGKILL)
    churn.wait(5)
    assert min(complete, partial, absent) > 0, (complete, partial, absent)


def a_burst_is_taken_in_bounded_bites(hotplug: UdevHotplug, bed: Bed) -> None:
    assert isinstance(bed, DirectoryBed)
    (entry, *_) = FIRST.entries()
    for _ in range(EVENTS_AT_ONCE + 500):
        bed.tell(entry, "change")
    assert hotplug.wait(WAIT_SECONDS) == {SLOT}
    assert hotplug.wait(WAIT_SECONDS) == {SLOT}
    assert hotplug.wait(0.1) == frozenset()


def lost_events_mark_every_slot(hotplug: UdevHotplug, bed: Bed) -> None:
    assert isinstance(bed, DirectoryBed)
    for entry in FIRST.entries():
        bed.show(entry)
    hotplug.scan()
    with socket.socket(fileno=os.dup(hotplug._monitor.fileno())) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    for _ in range(500):
        bed.tell(Entry(path="/devices/virtual/tty/tty63", subsystem="tty", node="tty63"), "change")
    for entry in reversed(list(FIRST.entries())):
        bed.hide(entry)
    for entry in SECOND.entries():
        bed.show(entry)
    assert hotplug.wait(WAIT_SECONDS) == {"1-1.2", "1-1.4"}
    assert hotplug.wait(0.1) == frozenset()


def thirty_modems_are_scanned_quickly(hotplug: UdevHotplug, bed: Bed) -> None:
    assert isinstance(bed, DirectoryBed)
    for n in range(30):
        plug = Plug(slot=f"1-{n // 7 + 1}.{n % 7 + 1}", first_tty=4 * n, wdm=n, ifindex=100 + n)
        for entry in plug.entries():
            bed.show(entry)
    before = time.process_time()
    modems = hotplug.scan()
    spent = time.process_time() - before
    print(f"{spent * 1000:.1f} ms for {len(modems)} modems")
    assert [modem.complete for modem in modems] == [True] * 30
    assert spent < 0.5


def thirty_modems_are_hardly_looked_at_while_nothing_happens(hotplug: UdevHotplug, bed: Bed) -> None:
    assert isinstance(bed, DirectoryBed)
    for n in range(30):
        for entry in Plug(slot=f"1-{n // 7 + 1}.{n % 7 + 1}", first_tty=4 * n, wdm=n, ifindex=100 + n).entries():
            bed.show(entry)
    costs = []
    for _ in range(4):
        before = time.process_time()
        modems = hotplug.scan()
        costs.append(time.process_time() - before)
        assert [modem.complete for modem in modems] == [True] * 30
    assert min(costs[1:]) < costs[0] / 3, costs


def a_change_that_no_event_told_of_is_seen(hotplug: UdevHotplug, bed: Bed) -> None:
    """Also when everything comes back under the names that it had, and so nothing in a listing shows it."""
    assert isinstance(bed, DirectoryBed)
    assert hotplug.scan() == ()
    for entry in FIRST.entries():
        bed.show(entry)
    assert [modem.link_index for modem in hotplug.scan()] == [FIRST.ifindex]
    before, again = glance(), replace(FIRST, ifindex=99)
    while True:
        for entry in reversed(list(FIRST.entries())):
            bed.hide(entry)
        for entry in again.entries():
            bed.show(entry)
        # A directory may give an inode number again, and count time in milliseconds; sysfs does not.
        if {each[:2] for each in glance() ^ before} == {each[:2] for each in before}:
            break
    assert [modem.link_index for modem in hotplug.scan()] == [99]
    for entry in reversed(list(again.entries())):
        bed.hide(entry)
    assert hotplug.scan() == ()


def what_an_event_tells_of_is_read_again(hotplug: UdevHotplug, bed: Bed) -> None:
    """A device is listed before it is whole; its event comes after that, and nothing comes or goes any more."""
    assert isinstance(bed, DirectoryBed)
    for entry in FIRST.entries():
        bed.show(entry)
    *_, link = FIRST.entries()
    index = Path(f"/sys{link.path}", "ifindex")
    index.unlink()
    assert [modem.complete for modem in hotplug.scan()] == [False]
    index.write_text(link.attributes["ifindex"])
    bed.tell(link, "add")
    assert hotplug.wait(WAIT_SECONDS) == {SLOT}
    assert [modem.complete for modem in hotplug.scan()] == [True]


def churn(bed: DirectoryBed) -> None:
    while True:
        bed.add(FIRST.entries())
        time.sleep(0.002)
        bed.remove(FIRST.entries())


ANYWHERE: tuple[Callable[[UdevHotplug, Bed], None], ...] = (
    nothing_is_there,
    a_modem_is_plugged_in,
    a_modem_was_there_before,
    what_is_left_to_others_is_no_modem,
    ports_appear_one_by_one,
    a_modem_is_unplugged,
    a_modem_moves_to_another_slot,
    two_modems_are_told_apart,
    other_devices_are_no_modems,
    the_other_product_is_a_modem,
    constant_serials_are_none,
    interface_order_counts_and_not_numbers,
    a_wake_ends_the_wait,
    waiting_costs_nothing,
    events_off_the_usb_end_no_wait,
    a_closed_source_says_so,
)
DIRECTORY_ONLY = (
    devices_vanish_while_they_are_looked_at,
    a_burst_is_taken_in_bounded_bites,
    lost_events_mark_every_slot,
    thirty_modems_are_scanned_quickly,
    thirty_modems_are_hardly_looked_at_while_nothing_happens,
    a_change_that_no_event_told_of_is_seen,
    what_an_event_tells_of_is_read_again,
)


def main() -> None:
    kind, name = sys.argv[1:]
    bed: Bed = UmockdevBed() if kind == "umockdev" else DirectoryBed(Path(kind))
    if name == "churn":
        assert isinstance(bed, DirectoryBed)
        churn(bed)
    hotplug = UdevHotplug(USB_IDS)
    {scene.__name__: scene for scene in (*ANYWHERE, *DIRECTORY_ONLY)}[name](hotplug, bed)
    hotplug.close()


if __name__ == "__main__":
    main()

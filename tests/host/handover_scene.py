"""Run by test_handover.py in a mount namespace of its own: two modems in a directory that is mounted over /sys, and a
stand-in for udevd that follows the files as the rule does."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.core.identifiers import Slot
from agent.host import handover
from agent.host.handover import FOLDER, PROPERTY, hand_over
from tests.host.sysfs_tree import DirectoryBed, Plug

USB_IDS = ("2c7c:0125",)
LEFT, KEPT = Plug(slot="1-1.2"), Plug(slot="1-1.4", first_tty=4, wdm=1, ifindex=8)
DATABASE = Path("/run/udev/data")


class Udevd:
    """Notes whose a modem is when the kernel says `change`; `follows` False: as without our rule's second version."""

    def __init__(self, state_dir: Path, *, follows: bool = True) -> None:
        self._state_dir = state_dir
        self._follows = follows

    def note(self, plug: Plug) -> None:
        left = self._follows and (self._state_dir / FOLDER / plug.slot).exists()
        text = f"I:1\nE:{PROPERTY}={'left' if left else 'managed'}\nV:1\n"
        (DATABASE / f"+usb:{plug.slot}").write_text(text, encoding="ascii")

    @contextmanager
    def running(self) -> Iterator[None]:
        ended = threading.Event()

        def follow() -> None:
            while not ended.wait(0.01):
                for plug in (LEFT, KEPT):
                    uevent = Path(f"/sys{plug.device_path}/uevent")
                    if uevent.read_text(encoding="ascii") == "change":
                        uevent.write_text("DEVTYPE=usb_device\n", encoding="ascii")
                        self.note(plug)

        thread = threading.Thread(target=follow)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def detached(plug: Plug) -> bool:
    """Whether it was since the last question."""
    switch = Path(f"/sys{plug.device_path}/authorized")
    written = switch.read_text(encoding="ascii") == "1"
    switch.write_text("untouched", encoding="ascii")
    return written


def play(state_dir: Path) -> None:
    bed = DirectoryBed(Path("/sys"))
    for plug in (LEFT, KEPT):
        for entry in plug.entries():
            bed.show(entry)
        Path(f"/sys{plug.device_path}/authorized").write_text("untouched", encoding="ascii")
    slot = Slot(LEFT.slot)

    hand_over(USB_IDS, [], state_dir)
    assert not detached(LEFT), "where udev's rule was never applied, nothing is touched"

    udevd = Udevd(state_dir)
    for plug in (LEFT, KEPT):
        udevd.note(plug)
    with udevd.running():
        hand_over(USB_IDS, [slot], state_dir)
        assert [detached(LEFT), detached(KEPT)] == [True, False]
        assert (state_dir / FOLDER / slot).exists()
        hand_over(USB_IDS, [slot], state_dir)
        assert [detached(LEFT), detached(KEPT)] == [False, False]
        hand_over(USB_IDS, [], state_dir)
        assert [detached(LEFT), detached(KEPT)] == [True, False]
        assert list((state_dir / FOLDER).iterdir()) == []

    handover.SETTLE_SECONDS = 0.3
    with Udevd(state_dir, follows=False).running():
        hand_over(USB_IDS, [slot], state_dir)
        assert not detached(LEFT), "without the rule it would only lose its session"


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    play(Path(sys.argv[1]))

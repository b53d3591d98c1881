"""A VM with Debian's own kernel, restored in a second from a machine that was booted once.

with LabVm.restore(image) as vm:
    vm.run("lsusb")
    vm.hard_reset()
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.sim.farm import Farm
from tests.lab import cache
from tests.lab.channel import GuestChannel, RemoteCommand
from tests.lab.image import Image
from tests.lab.machine import MOST_FILE_BYTES, RUN_SECONDS, LabError, OnOutput, Result
from tests.lab.qemu import MEMORY_MIB, Memory, Qemu, hardware, make_overlay, version
from tests.lab.taps import Taps, farm_taps, own_taps

FORMAT = 1
"""Raised when a saved machine is made in another way."""
PREFIX = "warm-"
BOOT_SECONDS = 300.0
"""A cold boot takes 20 s, with 30 modems on a busy machine 100; the rest is for a very busy one."""
ATTACH_DAEMON = "/usr/local/lib/lab/guest_attach.py"
_ATTACH_SOURCE = Path(__file__).parents[2] / "agent/sim/usbip/guest_attach.py"
_RESTORE_SECONDS = 180.0
_TOLD_BYTES = 2000


class LabVm:
    """A running VM; `with` ends it. Its commands are those of `tests.lab.machine.Machine`."""

    def __init__(self, qemu: Qemu, taps: Taps, resources: contextlib.ExitStack) -> None:
        self.qemu = qemu
        self.taps = taps
        self._resources = resources
        self._down: str | None = None
        """The boot that was ended on purpose."""

    @classmethod
    def restore(cls, image: Image, *, farm: Farm | None = None, memory_mib: int = MEMORY_MIB) -> Self:
        """A clean machine that has booted, with the present time; on the farm's bus and networks, or on its own.

        Boots and saves one first when the cache has none. LabError when that or the restoring fails."""
        warm, _ = obtain_warm(image, memory_mib)
        with contextlib.ExitStack() as resources:
            folder = resources.enter_context(cache.scratch(image.folder.parent))
            taps = _taps(farm, resources)
            disk = folder / "disk.qcow2"
            make_overlay(warm.disk, "qcow2", disk)
            memory = Memory(path=warm.memory, mib=memory_mib, shared=False)
            qemu = Qemu(image, disk, memory, taps, folder, incoming=True)
            resources.callback(qemu.close)
            qemu.load(warm.state)
            vm = cls(qemu, taps, resources)
            with qemu.explained():
                qemu.channel.hello(_RESTORE_SECONDS)
                qemu.channel.adjust()
                if farm is not None:
                    vm.install_attach_daemon()
            vm._resources = resources.pop_all()
            return vm

    @classmethod
    def boot(cls, image: Image, *, farm: Farm | None = None, memory_mib: int = MEMORY_MIB) -> Self:
        """A machine that begins to boot from the image as built; see `wait_booted`."""
        with contextlib.ExitStack() as resources:
            folder = resources.enter_context(cache.scratch(image.folder.parent))
            taps = _taps(farm, resources)
            disk = folder / "disk.qcow2"
            make_overlay(image.disk, "raw", disk)
            memory = Memory(path=folder / "memory", mib=memory_mib, shared=True)
            qemu = Qemu(image, disk, memory, taps, folder, incoming=False)
            resources.callback(qemu.close)
            vm = cls(qemu, taps, resources)
            vm._resources = resources.pop_all()
            return vm

    def close(self) -> None:
        """End the machine as it is; nothing of it is left."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"the machine's console:\n{self.console()[-_TOLD_BYTES:]}")
        self.close()

    # -- commands and files

    @property
    def channel(self) -> GuestChannel:
        return self.qemu.channel

    def run(
        self,
        command: str,
        *,
        timeout: float = RUN_SECONDS,
        stdin: bytes | None = None,
        on_output: OnOutput | None = None,
    ) -> Result:
        """Run a bash command to its end."""
        with self.qemu.explained():
            return self.channel.run(command, timeout=timeout, stdin=stdin, on_output=on_output)

    def start(self, command: str, *, timeout: float = RUN_SECONDS) -> RemoteCommand:
        """Begin a bash command; it is killed when its time is up."""
        return self.channel.start(command, timeout=timeout)

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file, durably; folders are made."""
        self.channel.put(path, data, mode)

    def get(self, path: str, most: int = MOST_FILE_BYTES) -> bytes:
        """Read a file of at most `most` bytes."""
        return self.channel.get(path, most)

    def console(self) -> str:
        """What the machine has written to its console."""
        return self.qemu.console.read_text(errors="replace") if self.qemu.console.exists() else ""

    def install_attach_daemon(self) -> None:
        """Bring the checkout's program that plugs the emulated modems in, and run it; after a reset it runs again."""
        self.put(ATTACH_DAEMON, _ATTACH_SOURCE.read_bytes(), 0o755)
        started = self.run("systemctl restart --no-block lab-usb.service")
        if started.rc != 0:
            raise LabError(f"lab-usb.service: {started.err}")

    # -- power

    def hard_reset(self) -> None:
        """A power outage and the power's return: what the machine had not written to its disk is lost.

        Commands under way end with MachineRestarted. `wait_booted` waits for its next start."""
        self._down = self.channel.boot
        self.qemu.reset()

    def reboot(self) -> None:
        """An orderly restart, as `systemctl reboot` begins it; `wait_booted` waits for the start after it."""
        self._down = self.channel.boot
        self.channel.start("systemctl reboot --no-block")

    def power_off(self, timeout: float = 120.0) -> None:
        """An orderly stop; the machine can only be closed then."""
        self.channel.start("systemctl poweroff --no-block")
        self.qemu.wait_end(timeout)

    def wait_booted(self, timeout: float = BOOT_SECONDS) -> None:
        """Wait until systemd says that the start is over; after a reset or reboot, the next one's."""
        began = time.monotonic()
        with self.qemu.explained():
            self.channel.wait_up(timeout, after=self._down)
            self.channel.wait_booted(max(1.0, timeout - (time.monotonic() - began)))


def _taps(farm: Farm | None, resources: contextlib.ExitStack) -> Taps:
    taps = own_taps() if farm is None else farm_taps(farm.name)
    resources.callback(taps.close)
    return taps


class Warm:
    """A machine that was booted from an image and saved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = folder / "disk.qcow2"
        self.memory = folder / "memory"
        self.state = folder / "state"


def obtain_warm(image: Image, memory_mib: int = MEMORY_MIB) -> tuple[Warm, float | None]:
    """The saved machine of an image, and how long it took to make; None when the cache had it."""
    words = "\n".join([str(FORMAT), image.digest, image.build, version(), *hardware(memory_mib)])
    digest = hashlib.sha256(words.encode()).hexdigest()[:16]
    folder = image.folder.parent / f"{PREFIX}{image.digest}-{digest}"
    began = time.monotonic()
    if not cache.obtain(folder, lambda part: _boot_and_save(image, memory_mib, part)):
        return Warm(folder), None
    seconds = time.monotonic() - began
    cache.prune(folder.parent, PREFIX)
    return Warm(folder), seconds


def _boot_and_save(image: Image, memory_mib: int, folder: Path) -> None:
    warm = Warm(folder)
    taps = own_taps()
    try:
        make_overlay(image.disk, "raw", warm.disk)
        memory = Memory(path=warm.memory, mib=memory_mib, shared=True)
        qemu = Qemu(image, warm.disk, memory, taps, folder, incoming=False)
        try:
            with qemu.explained():
                qemu.channel.wait_up(BOOT_SECONDS)
                qemu.channel.wait_booted(BOOT_SECONDS)
                state = qemu.channel.run("systemctl --failed --no-legend")
                if state.out.strip():
                    raise LabError(f"units failed at the first start: {state.out}")
                settled = qemu.channel.run("sync; journalctl --sync")
                if settled.rc != 0:
                    raise LabError(f"the machine does not settle: {settled.err}")
                qemu.save(warm.state)
        finally:
            qemu.close()
    finally:
        taps.close()

"""One QEMU process: how it is started, and what it is told while it runs."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from agent.core.clock import Deadline
from tests.lab import isolation
from tests.lab.channel import GuestChannel
from tests.lab.image import Image
from tests.lab.machine import LabError
from tests.lab.qmp import Qmp
from tests.lab.taps import Taps

PROGRAM = "qemu-system-x86_64"
NEEDED = (PROGRAM, "qemu-img", "setpriv")
MEMORY_MIB = 2048
PROCESSORS = 2
MACS = ("52:54:00:d5:00:01", "52:54:00:d5:00:02", "52:54:00:d5:00:03")
CONSOLE_SOCKET = "console.sock"
_KILL_SECONDS = 10.0
_MIGRATION_SECONDS = 120.0
_SETTLE_SECONDS = 10.0
_VERSION_SECONDS = 20.0
_TOLD_BYTES = 4000

_KERNEL = (
    "console=ttyS0 root=/dev/vda quiet loglevel=4 systemd.show_status=no panic=-1 mitigations=off random.trust_cpu=on "
    "tsc=reliable net.ifnames=1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The file that is the machine's RAM. `shared`: what the machine writes goes into it; else it stays private."""

    path: Path
    mib: int = MEMORY_MIB
    shared: bool


def missing_programs() -> list[str]:
    """What running a VM needs and this machine has not."""
    return isolation.missing(NEEDED)


def acceleration() -> str:
    """How the processor is run: emulated, unless LASTMILE_LAB_ACCEL says `kvm`."""
    return os.environ.get("LASTMILE_LAB_ACCEL", "tcg,thread=multi,tb-size=512")


def version() -> str:
    """What tells this QEMU from another, whose saved machines it could not read."""
    shown = subprocess.run(
        [PROGRAM, "--version"], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=True
    ).stdout
    return shown.splitlines()[0]


def hardware(mib: int) -> list[str]:
    """The options that a saved machine and a restored one must have in common."""
    # The plainest processor is the fastest to emulate. Links in the order of their slots: the guest names them by it.
    options = ["-accel", acceleration(), "-cpu", "host" if acceleration() == "kvm" else "qemu64"]
    options += ["-smp", str(PROCESSORS), "-m", str(mib), "-machine", "q35,memory-backend=ram,usb=off,vmport=off"]
    options += ["-nodefaults", "-no-user-config", "-display", "none", "-rtc", "base=utc,clock=host"]
    options += ["-device", "virtio-blk-pci,drive=disk,addr=3", "-device", "virtio-serial-pci,addr=4"]
    options += ["-device", "virtserialport,chardev=agent,name=lab.agent", "-device", "virtio-rng-pci,addr=5"]
    for number, mac in enumerate(MACS):
        options += ["-device", f"virtio-net-pci,netdev=net{number},mac={mac},addr={6 + number},romfile="]
    return options


class Qemu:
    """A process that ends with this object, and with the process that made it, however that ends."""

    def __init__(self, image: Image, disk: Path, memory: Memory, taps: Taps, folder: Path, *, incoming: bool) -> None:
        """Start it: booting, or (`incoming`) waiting for `load`. `folder` gets the console's log."""
        self.folder = folder
        self.console = folder / "console.log"
        self._errors = folder / "qemu.log"
        # A death signal comes when the *thread* that started the process ends, so it is started by one that stays.
        self._parent = ThreadPoolExecutor(1)
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            monitor, monitor_end = _pair(ours, theirs)
            agent, agent_end = _pair(ours, theirs)
            command = ["setpriv", "--pdeathsig", "KILL", "--", PROGRAM, *hardware(memory.mib)]
            command += ["-object", f"memory-backend-file,id=ram,size={memory.mib}M,mem-path={memory.path},"]
            command[-1] += f"share={'on' if memory.shared else 'off'}"
            command += ["-kernel", str(image.kernel), "-initrd", str(image.initramfs), "-append", _KERNEL]
            # A reset loses what the guest has not handed over yet, and nothing else; the host's own crash is no matter.
            command += ["-drive", f"file={disk},format=qcow2,if=none,id=disk,cache=unsafe,discard=unmap"]
            # By a relative path: a socket's must be short, and a cache may lie deep.
            command += [
                "-chardev",
                f"socket,id=console,path={CONSOLE_SOCKET},server=on,wait=off,logfile={self.console}",
            ]
            command += ["-serial", "chardev:console"]
            command += [
                "-chardev",
                f"socket,id=monitor,fd={monitor_end.fileno()}",
                "-mon",
                "chardev=monitor,mode=control",
            ]
            command += ["-chardev", f"socket,id=agent,fd={agent_end.fileno()}"]
            for number, tap in enumerate(taps.descriptors):
                command += ["-netdev", f"tap,id=net{number},fd={tap}"]
            if incoming:
                command += ["-incoming", "defer"]
            inherited = (monitor_end.fileno(), agent_end.fileno(), *taps.descriptors)
            self._process = self._parent.submit(self._start, command, inherited, folder).result()
            ours.callback(self._end)
            self._qmp = Qmp(monitor)
            with self.explained():
                self._qmp.negotiate()
            self.channel = GuestChannel(agent)
            ours.pop_all()

    def _start(self, command: Sequence[str], descriptors: tuple[int, ...], folder: Path) -> subprocess.Popen[bytes]:
        with self._errors.open("wb") as errors:
            return subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                pass_fds=descriptors,
                start_new_session=True,
            )

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Add what QEMU and the console said last to a LabError."""
        try:
            yield
        except LabError as error:
            raise type(error)(f"{error}\n{self.last_words()}") from error

    def last_words(self) -> str:
        """The ends of QEMU's own messages and of the console."""
        found = [path.read_bytes()[-_TOLD_BYTES:] for path in (self._errors, self.console) if path.exists()]
        return "\n".join(text.decode(errors="replace") for text in found if text)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def save(self, state: Path) -> None:
        """Stop the machine and write it to `state`, its RAM apart, which is in its file; it can only be ended then."""
        self._qmp.command("stop")
        self._set_migration()
        with state.open("wb") as file:
            self._qmp.command("getfd", fdname="state", descriptors=(file.fileno(),))
            self._qmp.command("migrate", uri="fd:state")
            self._wait_migrated("postmigrate")

    def load(self, state: Path) -> None:
        """Go on where `save` has stopped."""
        self._set_migration()
        with state.open("rb") as file:
            self._qmp.command("getfd", fdname="state", descriptors=(file.fileno(),))
            self._qmp.command("migrate-incoming", uri="fd:state")
            self._wait_migrated("paused")
        self._qmp.command("cont")

    def _set_migration(self) -> None:
        capabilities = [{"capability": name, "state": True} for name in ("x-ignore-shared", "events")]
        self._qmp.command("migrate-set-capabilities", capabilities=capabilities)
        self._qmp.command("migrate-set-parameters", max_bandwidth=10**11)

    def _wait_migrated(self, status: str) -> None:
        while True:
            state = self._qmp.wait_event("MIGRATION", _MIGRATION_SECONDS)["data"]["status"]
            if state == "failed":
                raise LabError(f"the machine cannot be saved or restored\n{self.last_words()}")
            if state == "completed":
                break
        # "completed" is said a moment before the machine's own state follows.
        deadline = Deadline.after(_SETTLE_SECONDS)
        while (found := self._qmp.command("query-status")["status"]) != status:
            if deadline.passed:
                raise LabError(f"the machine is {found}, not {status}")
            time.sleep(0.01)

    def reset(self) -> None:
        """The reset button."""
        self._qmp.command("system_reset")

    def wait_end(self, timeout: float) -> None:
        """Wait until the process has ended by itself; LabError when it does not."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"the machine does not go off in {timeout:.0f} s\n{self.last_words()}") from None

    def close(self) -> None:
        """End the process, at once."""
        self._end()
        self.channel.close()
        self._qmp.close()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait(_KILL_SECONDS)
        self._parent.shutdown()


def _pair(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    near, far = socket.socketpair()
    ours.enter_context(near)
    theirs.enter_context(far)
    return near, far


def make_overlay(backing: Path, form: str, target: Path) -> None:
    """An empty disk whose unwritten parts are those of `backing`."""
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(backing), "-F", form, str(target)],
        check=True,
        timeout=_VERSION_SECONDS,
    )

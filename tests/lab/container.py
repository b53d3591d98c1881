"""The lab's system in a container (systemd-nspawn) on this machine's own kernel: up in two seconds, but without USB.

The image's file system is mounted read-only, below an overlay in memory; the network is the container's own, with one
veth (`eth0`) to a namespace without a name, where its clients are. All mounts and processes are in namespaces that go
with one process, so nothing outlives it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from agent.core.clock import Deadline
from agent.sim import kernel, links
from agent.sim.namespaces import NamespaceThread
from tests.lab import cache, isolation
from tests.lab.channel import GuestChannel, RemoteCommand
from tests.lab.image import Image
from tests.lab.isolation import ALONE
from tests.lab.machine import MOST_FILE_BYTES, RUN_SECONDS, LabError, OnOutput, Result
from tests.systemd.container import control_groups

_T = TypeVar("_T")
NEEDED = ("systemd-nspawn", "mount", *isolation.NEEDED)
BOOT_SECONDS = 180.0
ADDRESS, NEAR_ADDRESS = "10.213.0.2/24", "10.213.0.1/24"
"""Of the container's link and of its near end: as a VM's LAN has them."""
_NAME = "lab-"
_END_SECONDS = 10.0
_TOLD_BYTES = 4000

# $1 disk image, $2 machine name, $3 folder with the agent's socket, $4 descriptor of the network namespace
_BOOT = """
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd /run/lower /run/written /run/root
touch /run/network
mount --bind "/proc/self/fd/$4" /run/network
mount -o loop,ro,noload "$1" /run/lower
mount -t tmpfs -o mode=755 written /run/written
mkdir /run/written/upper /run/written/work
mount -t overlay overlay -o lowerdir=/run/lower,upperdir=/run/written/upper,workdir=/run/written/work /run/root
umount -R /sys/fs/cgroup 2>/dev/null || umount -lR /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
exec systemd-nspawn --quiet --directory=/run/root --boot --machine="$2" --register=no --keep-unit \\
    --network-namespace-path=/run/network --capability=CAP_NET_ADMIN --resolv-conf=off --timezone=off \\
    --link-journal=no --console=pipe \\
    --bind="$3:/run/lab" -- systemd.show_status=no systemd.journald.max_level_console=crit
"""


def missing_programs() -> list[str]:
    """What booting a container needs and this machine has not."""
    return isolation.missing(NEEDED)


class LabContainer:
    """A running container; `with` ends it. Its commands are those of `tests.lab.machine.Machine`."""

    def __init__(
        self, name: str, groups: list[Path], console: Path, pid: int, channel: GuestChannel, network: _Network
    ) -> None:
        self.name = name
        self.groups = groups
        """Its control groups on this machine."""
        self.pid = pid
        """Of the process that everything in the container ends with."""
        self.channel = channel
        self._console = console
        self._network = network
        self._resources = contextlib.ExitStack()

    @classmethod
    def boot(cls, image: Image) -> Self:
        """A clean container that has begun to boot (`wait_booted`); LabError when it does not."""
        name = f"{_NAME}{os.getpid()}-{secrets.token_hex(4)}"
        with contextlib.ExitStack() as resources:
            folder = resources.enter_context(cache.scratch(image.folder.parent))
            # A socket's path must be short, and a cache may lie deep.
            meeting = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix=f"{name}-")))
            listener = resources.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(meeting / "agent.sock"))
            listener.listen(1)
            listener.settimeout(0.1)
            network = _Network()
            resources.callback(network.close)
            groups = resources.enter_context(control_groups(name))
            for group in groups:
                _remove_left_groups(group.parent)
            words = ["bash", "-euc", _BOOT, "boot", str(image.disk), name, str(meeting), str(network.descriptor)]
            entering = "".join(f"echo $$ > {group}/cgroup.procs; " for group in groups)
            console = folder / "console.log"
            process = resources.enter_context(
                _process(f"{entering}exec {shlex.join([*ALONE, *words])}", console, network)
            )
            channel = GuestChannel(_first_connection(listener, process, console))
            resources.callback(channel.close)
            channel.wait_up(BOOT_SECONDS)
            container = cls(name, groups, console, process.pid, channel, network)
            container._resources = resources.pop_all()
            return container

    def close(self) -> None:
        """End the container at once; nothing of it is left."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"the container's console:\n{self.console()[-_TOLD_BYTES:]}")
        self.close()

    def run(
        self,
        command: str,
        *,
        timeout: float = RUN_SECONDS,
        stdin: bytes | None = None,
        on_output: OnOutput | None = None,
    ) -> Result:
        """Run a bash command to its end."""
        return self.channel.run(command, timeout=timeout, stdin=stdin, on_output=on_output)

    def start(self, command: str, *, timeout: float = RUN_SECONDS) -> RemoteCommand:
        """Begin a bash command; it is killed when its time is up."""
        return self.channel.start(command, timeout=timeout)

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file; folders are made."""
        self.channel.put(path, data, mode)

    def get(self, path: str, most: int = MOST_FILE_BYTES) -> bytes:
        """Read a file of at most `most` bytes."""
        return self.channel.get(path, most)

    def wait_booted(self, timeout: float = BOOT_SECONDS) -> None:
        """Wait until systemd says that the start is over."""
        self.channel.wait_booted(timeout)

    def console(self) -> str:
        """What the container has written to its console."""
        return self._console.read_text(errors="replace")

    def as_client(self, work: Callable[[], _T]) -> _T:
        """Do `work` in the network namespace from which the container is reached at 10.213.0.2."""
        return self._network.near.run_blocking(work)


def _first_connection(listener: socket.socket, process: subprocess.Popen[bytes], console: Path) -> socket.socket:
    """The agent's; LabError when the container ends before it comes, or it does not come in time."""
    deadline = Deadline.after(BOOT_SECONDS)
    while True:
        try:
            return listener.accept()[0]
        except TimeoutError:
            if process.poll() is not None or deadline.passed:
                said = console.read_text(errors="replace")[-_TOLD_BYTES:]
                raise LabError(f"the container does not boot:\n{said}") from None


def _remove_left_groups(parent: Path) -> None:
    """Remove the control groups of runs that were killed; their processes went with them."""
    for group in parent.glob(f"{_NAME}*"):
        owner = group.name.removeprefix(_NAME).partition("-")[0]
        if not Path(f"/proc/{owner}").exists():
            for folder, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):  # another run was faster, or a process is still on its way out
                    Path(folder).rmdir()


@contextlib.contextmanager
def _process(script: str, console: Path, network: _Network) -> Iterator[subprocess.Popen[bytes]]:
    def start() -> subprocess.Popen[bytes]:
        with console.open("wb") as output:
            return subprocess.Popen(
                ["bash", "-euc", script],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(network.descriptor,),
                start_new_session=True,
            )

    # A death signal comes when the *thread* that started the process ends, so it is started by one that stays.
    with ThreadPoolExecutor(1) as parent:
        process = parent.submit(start).result()
        try:
            yield process
        finally:
            process.kill()
            process.wait(_END_SECONDS)


class _Network:
    """Two network namespaces without names, joined by a veth: the container's (`eth0`) and the near one (`lan0`)."""

    def __init__(self) -> None:
        self.near = NamespaceThread(_new_namespace)
        self._far = NamespaceThread(_new_namespace)
        self.descriptor = self._far.run_blocking(
            lambda: os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        )
        self.near.run_blocking(lambda: links.add_pair("lan0", "eth0", self.descriptor))
        self.near.run_blocking(lambda: links.set_up("lan0", (NEAR_ADDRESS,)))
        self._far.run_blocking(lambda: links.set_up("eth0", (ADDRESS,)))
        self._far.run_blocking(lambda: links.add_default_routes((NEAR_ADDRESS.partition("/")[0],)))

    def close(self) -> None:
        os.close(self.descriptor)
        self.near.close()
        self._far.close()


def _new_namespace() -> None:
    kernel.unshare(kernel.CLONE_NEWNET)
    links.bring_up_loopback()

"""The lab by hand: `python -m tests.lab image | shell | run | clean` (docs/lab.md)."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import socket
import sys
import tempfile
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

from agent.core.errors import AgentError
from agent.sim.farm import Farm
from tests.lab import cache, image, qemu
from tests.lab.image import Image, obtain_image
from tests.lab.machine import LabError
from tests.lab.qemu import CONSOLE_SOCKET
from tests.lab.standin import install_3proxy
from tests.lab.vm import PREFIX as WARM_PREFIX
from tests.lab.vm import LabVm, obtain_warm

_LEAVE = b"\x1d"
"""Ctrl-], as telnet has it."""
_COMMAND_SECONDS = 24 * 3600.0


def _prepare() -> Image:
    """The image and a saved machine, made when the cache has none; says how long that took."""
    if missing := sorted({*image.missing_programs(), *qemu.missing_programs()}):
        raise LabError(f"the lab needs {', '.join(missing)}: `make lab-image` installs them")
    found, seconds = obtain_image()
    print(f"image: {found.folder}" + ("" if seconds is None else f", built in {seconds:.0f} s"), file=sys.stderr)
    warm, seconds = obtain_warm(found)
    print(f"saved machine: {warm.folder}" + ("" if seconds is None else f", made in {seconds:.0f} s"), file=sys.stderr)
    return found


@contextlib.contextmanager
def _machine(options: argparse.Namespace) -> Iterator[LabVm]:
    found = _prepare()
    with contextlib.ExitStack() as resources:
        farm = None
        if options.modems:
            folder = resources.enter_context(tempfile.TemporaryDirectory(prefix="lab-farm-"))
            farm = resources.enter_context(
                Farm.create(f"lab{os.getpid() % 10**6}", Path(folder), modems=options.modems, transport="usbip")
            )
            print(f"client side: ip netns exec lm-{farm.name}-host …", file=sys.stderr)
        vm = resources.enter_context(LabVm.restore(found, farm=farm))
        print(f"3proxy: {install_3proxy(vm)}", file=sys.stderr)
        if options.package:
            vm.put(f"/root/{options.package.name}", options.package.read_bytes())
            print(f"package: /root/{options.package.name}", file=sys.stderr)
        yield vm


def _shell(vm: LabVm) -> int:
    """Join the terminal and the machine's console until Ctrl-] or the machine's end."""
    print("The machine's console; Ctrl-] leaves and ends the machine.", file=sys.stderr)
    folder = os.open(vm.qemu.folder, os.O_PATH | os.O_DIRECTORY)
    saved = termios.tcgetattr(sys.stdin) if sys.stdin.isatty() else None
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(f"/proc/self/fd/{folder}/{CONSOLE_SOCKET}")
        console.sendall(b"\n")
        try:
            if saved is not None:
                tty.setraw(sys.stdin)
            while True:
                ready, _, _ = select.select([sys.stdin, console], [], [])
                if console in ready:
                    if not (data := console.recv(1 << 16)):
                        return 0
                    os.write(sys.stdout.fileno(), data)
                if sys.stdin in ready:
                    typed = os.read(sys.stdin.fileno(), 1 << 12)
                    if not typed or _LEAVE in typed:
                        return 0
                    console.sendall(typed)
        finally:
            if saved is not None:
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, saved)
            os.close(folder)


def _run(vm: LabVm, command: str) -> int:
    def show(stream: str, data: bytes) -> None:
        os.write((sys.stdout if stream == "out" else sys.stderr).fileno(), data)

    return vm.run(command, timeout=_COMMAND_SECONDS, on_output=show).rc


def _clean() -> None:
    """Remove all images and saved machines; those of running VMs stay usable to these."""
    folder = cache.cache_folder()
    for prefix in (WARM_PREFIX, image.PREFIX):
        for removed in cache.prune(folder, prefix, kept=0) if folder.is_dir() else ():
            print(f"removed {removed}", file=sys.stderr)


def main() -> int:
    """Do what the arguments say; the status is that of the command that was run."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    jobs = parser.add_subparsers(dest="job", required=True)
    jobs.add_parser("image", help="build the image and a saved machine, unless the cache has them")
    jobs.add_parser("clean", help="remove them")
    for name, text in (("shell", "a VM's console"), ("run", "run a command in a VM")):
        job = jobs.add_parser(name, help=text)
        job.add_argument("--modems", type=int, default=0, help="that many emulated EC25s on its bus")
        job.add_argument("--package", type=Path, help="a .deb that is put into /root")
        if name == "run":
            job.add_argument("command")
    options = parser.parse_args()
    try:
        if options.job == "clean":
            _clean()
        elif options.job == "image":
            _prepare()
        else:
            with _machine(options) as vm:
                return _shell(vm) if options.job == "shell" else _run(vm, options.command)
    except (LabError, AgentError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The emulated farm from outside: start one, drive it, run programs in it.

with Farm.create("demo", Path(".demo/farm"), modems=5, profile="demo") as farm:
    subprocess.run(farm.command(["qmicli", "-p", "-d", "/dev/cdc-wdm0", "--dms-get-ids"]))
    farm.fault(2, "drop")
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agent.core.clock import Deadline
from agent.core.errors import ConfigError, DeviceError, TransientError
from agent.sim import leftovers
from agent.sim.records import CarrierEvent, FarmInfo, GuestStatus, Leak, ModemStatus

_SOCKET_NAME = "control.sock"
_NAME = re.compile(r"[a-z0-9]{1,11}")
_CALL_SECONDS = 30.0
_START_SECONDS = 60.0
_CLOSE_SECONDS = 30.0
ENVIRONMENT: Mapping[str, str] = {
    # libudev accepts a /sys that is no sysfs.
    "SYSTEMD_DEVICE_VERIFY_SYSFS": "0",
}


class FarmClient:
    """A connection to a farm that runs, by its directory. One call at a time."""

    def __init__(self, directory: Path) -> None:
        """Connect; TransientError when no farm listens there."""
        self.directory = directory
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_CALL_SECONDS)
        try:
            # By a descriptor, since a path in a deep directory does not fit into a socket address.
            descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
            try:
                self._socket.connect(f"/proc/self/fd/{descriptor}/{_SOCKET_NAME}")
            finally:
                os.close(descriptor)
        except OSError as error:
            self._socket.close()
            raise TransientError(f"no farm answers in {directory}: {error}") from error
        self._lines = self._socket.makefile("rb")
        self.info = FarmInfo(**self._call("info"))

    def disconnect(self) -> None:
        """Leave the farm as it is."""
        self._lines.close()
        self._socket.close()

    def _call(self, method: str, **arguments: Any) -> Any:
        try:
            self._socket.sendall(json.dumps({"call": method, "arguments": arguments}).encode() + b"\n")
            line = self._lines.readline()
        except OSError as error:
            raise TransientError(f"the farm does not answer {method!r}: {error}") from error
        if not line:
            raise TransientError(f"the farm ended during {method!r}")
        answer = json.loads(line)
        if "error" in answer:
            raise DeviceError(answer["error"])
        return answer["result"]

    def status(self) -> tuple[ModemStatus, ...]:
        """Every modem, plugged in or not, by number."""
        return tuple(_status(each) for each in self._call("status"))

    def modem(self, number: int) -> ModemStatus:
        """One modem; DeviceError when there is none."""
        for status in self.status():
            if status.modem == number:
                return status
        raise DeviceError(f"no modem {number}")

    def plug(self, slot: str | None = None) -> ModemStatus:
        """A new modem (its number is one more than the last's), in `slot` or the first free one."""
        return _status(self._call("plug", slot=slot))

    def unplug(self, modem: int) -> ModemStatus:
        return _status(self._call("unplug", modem=modem))

    def replug(self, modem: int, slot: str | None = None) -> ModemStatus:
        """Out, and in again in `slot` or where it last was."""
        return _status(self._call("replug", modem=modem, slot=slot))

    def fault(self, modem: int, name: str, **arguments: Any) -> ModemStatus:
        """Begin a fault (`agent.sim.faults.FAULTS`); DeviceError when it makes no sense."""
        return _status(self._call("fault", modem=modem, name=name, arguments=arguments))

    def clear(self, modem: int, name: str | None = None) -> ModemStatus:
        """End one fault, or all of them."""
        return _status(self._call("clear", modem=modem, name=name))

    def guest(self) -> GuestStatus:
        """Over USB/IP: whether the virtual machine is there, and which modems it has."""
        told = self._call("guest")
        return GuestStatus(**{**told, "attached": tuple(told["attached"])})

    def outage(self) -> None:
        """Over USB/IP: every modem loses its power, and has it again when the virtual machine is there again."""
        self._call("outage")

    def urc(self, modem: int, text: str) -> None:
        """Have a modem say a line unasked."""
        self._call("urc", modem=modem, text=text)

    def leaks(self, *, forget: bool = False) -> tuple[Leak, ...]:
        """Packets that left by the host's uplink instead of by a modem, oldest first; `forget` them then."""
        return tuple(Leak(**each) for each in self._call("leaks", forget=forget))

    def carrier_log(self, modem: int) -> tuple[CarrierEvent, ...]:
        """What came through a modem to its carrier's servers, oldest first."""
        return tuple(CarrierEvent(**each) for each in self._call("carrier_log", modem=modem))

    def failures(self) -> tuple[str, ...]:
        """Errors of the emulator itself; a test that finds any found a bug here."""
        return tuple(self._call("failures"))

    @property
    def environment(self) -> Mapping[str, str]:
        """What a program in the farm needs in its environment (`command` adds it)."""
        return ENVIRONMENT

    def command(self, arguments: Sequence[str], *, directory: Path | None = None) -> list[str]:
        """The command line that runs `arguments` on the emulated host: its network, /sys, /dev and /run/udev.

        `directory` is where it runs, the present one by default. Entering needs root: a program that is to have
        fewer rights drops them inside."""
        return [
            "nsenter",
            f"--net={self.info.network_namespace}",
            f"--mount={self.info.mount_namespace}",
            f"--root={self.info.root}",
            "--",
            "env",
            f"--chdir={directory or Path.cwd()}",
            *(f"{name}={value}" for name, value in ENVIRONMENT.items()),
            *arguments,
        ]


def _status(values: dict[str, Any]) -> ModemStatus:
    return ModemStatus(**{**values, "addresses": tuple(values["addresses"]), "faults": tuple(values["faults"])})


class Farm(FarmClient):
    """A farm that this process started; it ends with it."""

    def __init__(self, name: str, directory: Path, process: subprocess.Popen[str]) -> None:
        super().__init__(directory)
        self.name = name
        self.process = process

    @classmethod
    def create(
        cls, name: str, directory: Path, *, modems: int = 0, profile: str = "demo", transport: str = "pty"
    ) -> Farm:
        """Start a farm with that many modems plugged in, and wait until it stands (its modems boot on).

        Over the transport "usbip" they wait for a virtual machine to say that it is there (docs/lab.md).

        `name` is 1 to 11 letters and digits, unique on this machine; `directory` may exist and keeps what else is in
        it. Raises ConfigError when the name is bad or in use, or without root; TransientError when it hangs."""
        if not _NAME.fullmatch(name):
            raise ConfigError(f"farm name {name!r}: 1 to 11 lower-case letters and digits are wanted")
        if os.geteuid() != 0:
            raise ConfigError("the emulated farm needs root: it makes network and mount namespaces")
        directory = directory.resolve()
        directory.mkdir(parents=True, exist_ok=True)
        package_root = str(Path(__file__).resolve().parents[2])
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "agent.sim.process",
                name,
                str(directory),
                f"--modems={modems}",
                f"--profile={profile}",
                f"--transport={transport}",
                "--while-stdin-open",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=package_root,
            start_new_session=True,
        )
        try:
            _wait_until_ready(process)
            return cls(name, directory, process)
        except BaseException:
            _end(process)
            raise

    @classmethod
    def purge(cls, name: str, directory: Path) -> bool:
        """Remove what an earlier farm of that name left, and end it and the programs in it if they still run."""
        return leftovers.purge(name, directory)

    def close(self) -> None:
        """End the programs in the farm, and the farm; nothing is left of it. TransientError when it ended badly."""
        self.disconnect()
        if (status := _end(self.process)) != 0:
            raise TransientError(f"the farm {self.name} ended with status {status}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    deadline = Deadline.after(_START_SECONDS)
    if process.stdout is None:
        raise TransientError("the farm has no output")
    ready, _, _ = select.select([process.stdout], [], [], deadline.remaining_seconds)
    if not ready:
        raise TransientError(f"the farm does not stand after {_START_SECONDS:.0f} s")
    if process.stdout.readline().strip() != "ready":
        raise ConfigError(f"the farm did not start: status {process.wait(_CLOSE_SECONDS)}; its errors are above")


def _end(process: subprocess.Popen[str]) -> int:
    """Close its standard input, which ends it, and wait; kill it when it does not go."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    try:
        return process.wait(_CLOSE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(_CLOSE_SECONDS)

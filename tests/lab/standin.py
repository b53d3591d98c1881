"""A 3proxy for a lab machine: the real one when this machine has it, else the stand-in of the emulated farm."""

from __future__ import annotations

import importlib.util
import io
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.lab.machine import LabError, Machine

PROGRAM = "/usr/local/bin/3proxy"
_PLACE = "/usr/local/lib/lastmile-standin"
_REAL_PLACE = "/usr/local/lib/3proxy"
_CHECKOUT = Path(__file__).parents[2]
_PACKAGES = ("dns", "h11", "siosocks")
"""What the stand-in needs besides Python's own library; all of them are pure Python."""
_LDD_SECONDS = 20.0
_COMMAND_SECONDS = 120.0


def install_3proxy(machine: Machine) -> str:
    """Put a runnable 3proxy at `PROGRAM` of the machine; returns which: "3proxy" or "stand-in"."""
    real = shutil.which("3proxy")
    if real is None:
        _unpack(machine, _stand_in_archive(), _PLACE)
        wrapper = f'#!/bin/sh\nPYTHONPATH={_PLACE} exec /usr/bin/python3 -B -m agent.sim.threeproxy "$@"\n'
    else:
        _unpack(machine, _real_archive(Path(real).resolve()), _REAL_PLACE)
        wrapper = f'#!/bin/sh\nLD_LIBRARY_PATH={_REAL_PLACE} exec {_REAL_PLACE}/3proxy "$@"\n'
    machine.put(PROGRAM, wrapper.encode(), 0o755)
    return "stand-in" if real is None else "3proxy"


def _unpack(machine: Machine, archive: bytes, place: str) -> None:
    done = machine.run(f"mkdir -p {place} && tar -C {place} -xf -", stdin=archive, timeout=_COMMAND_SECONDS)
    if done.rc != 0:
        raise LabError(f"{place}: {done.err}")


def _archive(files: dict[str, Path]) -> bytes:
    """A tar archive of files by name, readable by everyone: a modem's proxy runs as a user of its own."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, path in sorted(files.items()):
            data = path.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755 if path.stat().st_mode & 0o100 else 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _stand_in_archive() -> bytes:
    folders = {"agent": _CHECKOUT / "agent"} | {name: _package_folder(name) for name in _PACKAGES}
    return _archive(
        {
            f"{name}/{path.relative_to(folder)}": path
            for name, folder in folders.items()
            for path in folder.rglob("*.py")
        }
    )


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise LabError(f"the stand-in for 3proxy needs the Python package {name}")
    return Path(spec.origin).parent


def _real_archive(program: Path) -> bytes:
    """The program, its plugins beside it, and the libraries that the guest may not have."""
    files = {"3proxy": program} | {path.name: path for path in program.parent.glob("*.ld.so")}
    shown = subprocess.run(["ldd", program], capture_output=True, text=True, timeout=_LDD_SECONDS, check=False).stdout
    for name, path in re.findall(r"^\s*(\S+) => (/\S+)", shown, re.MULTILINE):
        if not re.match(r"(libc|libm|libdl|libpthread|librt|ld-linux)[.-]", name):
            files[name] = Path(path)
    return _archive(files)

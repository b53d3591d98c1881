"""The Debian package, built once for all tests that want it, and again when something changed that goes into it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD_SECONDS = 900
KEPT = 8
"""Packages in the cache; the oldest go first."""
NEEDED = ("dpkg-buildpackage", "dh", "gcc", "git", "pkg-config", "po2debconf")


class NoBuildError(Exception):
    """This machine cannot build packages; the message says what is missing."""


def built_package(version: str | None = None) -> Path:
    """The .deb of this checkout as it is, changes included; `version`: built under another one, to try an upgrade.

    The .changes and .buildinfo lie beside it. Several processes may ask at a time. Raises NoBuildError, or
    RuntimeError with the end of the build's output."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        raise NoBuildError(f"{', '.join(missing)} missing: `make deb` installs what is needed")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lastmile" / "packages"
    cache.mkdir(parents=True, exist_ok=True)
    home = cache / _key(version)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            _build(home, version)
        home.touch()
        _forget_old(cache)
    (package,) = home.glob("*.deb")
    return package


def _key(version: str | None) -> str:
    """A hash of everything that the package depends on."""
    digest = hashlib.sha256()
    for path in _inputs():
        digest.update(f"{path}\0{path.stat().st_mode:o}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    release = Path("/etc/os-release")
    digest.update(release.read_bytes() if release.exists() else b"")
    digest.update(f"{version}\0{sys.implementation.name}".encode())
    digest.update(subprocess.run(["/usr/bin/python3", "-V"], check=True, capture_output=True, timeout=30).stdout)
    return digest.hexdigest()[:32]


def _inputs() -> list[Path]:
    listed = subprocess.run(
        [ROOT / "packaging" / "build-deb", "--list"], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    return [ROOT / line for line in listed.splitlines()]


def _build(home: Path, version: str | None) -> None:
    unfinished = home.with_name(f"{home.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    words = [ROOT / "packaging" / "build-deb", *(("--version", version) if version is not None else ()), unfinished]
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=BUILD_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the package was not built:\n{done.stdout[-4000:]}")
    unfinished.rename(home)


def _forget_old(cache: Path) -> None:
    kept = sorted((each for each in cache.iterdir() if each.is_dir()), key=lambda each: each.stat().st_mtime)
    for each in kept[:-KEPT]:
        shutil.rmtree(each)

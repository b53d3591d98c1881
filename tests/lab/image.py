"""The image of the lab's machines: a Debian 12 with the stock kernel, built from this machine's own package sources.

An image is a folder of the cache (`tests.lab.cache`), named by the hash of its recipe:

    disk.img     the root file system, ext4, sparse; VMs and containers write to overlays of it
    vmlinuz      Debian's kernel
    initrd       busybox and the few modules that find the disk
    build        tells this build from another of the same recipe, which may have newer packages
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.lab import cache, isolation
from tests.lab.initramfs import write_initramfs
from tests.lab.machine import LabError

RECIPE = Path(__file__).parent / "image"
FORMAT = 1
"""Raised when this module builds something else from the same recipe."""
SUITE = "bookworm"
DISK_BYTES = 4 << 30
NEEDED = ("apt-get", "chroot", "cpio", "mke2fs", "mmdebstrap", *isolation.NEEDED)
PREFIX = "image-"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_BUILD_SECONDS = 900.0
_MACHINE_ID = "6c61737400006d696c6500006c616200"
_MODULES = Path(__file__).parent
_CODE = ("image.py", "initramfs.py", "guest_agent.py")

# An initramfs of Debian's own would take longer to make than all the rest; nothing would use it.
_NO_INITRAMFS = (
    'chroot "$1" dpkg-divert --quiet --local --rename --add /usr/sbin/update-initramfs '
    '&& ln -s /bin/true "$1/usr/sbin/update-initramfs"'
)


@dataclass(frozen=True, slots=True)
class Image:
    """A complete image in the cache."""

    folder: Path

    @property
    def digest(self) -> str:
        return self.folder.name.removeprefix(PREFIX)

    @property
    def build(self) -> str:
        return (self.folder / "build").read_text()

    @property
    def disk(self) -> Path:
        return self.folder / "disk.img"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initramfs(self) -> Path:
        return self.folder / "initrd"


def missing_programs() -> list[str]:
    """What building needs and this machine has not."""
    return isolation.missing(NEEDED)


def recipe_digest() -> str:
    """The hash of everything that the image is made from, the packages' versions apart."""
    digest = hashlib.sha256(f"{FORMAT} {SUITE} {DISK_BYTES}\n".encode())
    files = [*(path for path in RECIPE.rglob("*") if path.is_file()), *(_MODULES / name for name in _CODE)]
    for path in sorted(files):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(_MODULES)} {path.stat().st_mode & 0o111} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:16]


def obtain_image() -> tuple[Image, float | None]:
    """The image of the present recipe, and how many seconds its build took; None when the cache had it.

    LabError when it cannot be built: the message says what is missing or what failed."""
    folder = cache.cache_folder() / f"{PREFIX}{recipe_digest()}"
    began = time.monotonic()
    if not cache.obtain(folder, _build):
        return Image(folder), None
    seconds = time.monotonic() - began
    cache.prune(folder.parent, PREFIX)
    return Image(folder), seconds


def package_sources() -> str:
    """Lines for sources.list: this machine's own of the suite, or the file that LASTMILE_LAB_SOURCES names."""
    if named := os.environ.get("LASTMILE_LAB_SOURCES"):
        return Path(named).read_text()
    if lines := _own_sources():
        return "".join(lines)
    # The lists may have been removed to save space.
    _run(["apt-get", "update", "-qq"], "package lists")
    if lines := _own_sources():
        return "".join(lines)
    raise LabError(
        f"no Debian {SUITE} among this machine's package sources (`apt-get indextargets`): name a sources.list with it "
        "in LASTMILE_LAB_SOURCES"
    )


def _own_sources() -> list[str]:
    form = "$(ORIGIN)|$(CODENAME)|$(REPO_URI) $(RELEASE) $(COMPONENT)"
    shown = _run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"], "package sources")
    signed = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
    found = []
    for line in shown.splitlines():
        origin, codename, source = line.split("|", 2)
        if origin == "Debian" and codename in (SUITE, f"{SUITE}-updates", f"{SUITE}-security"):
            found.append(f"deb {signed}{source}\n")
    return list(dict.fromkeys(found))


def _words(name: str) -> list[str]:
    """The lines of a recipe file, without comments."""
    lines = (line.strip() for line in (RECIPE / name).read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _build(folder: Path) -> None:
    if missing := missing_programs():
        raise LabError(f"building the lab's image needs {', '.join(missing)}: make lab-image installs them")
    if os.geteuid() != 0:
        raise LabError("building the lab's image needs root")
    root = folder / "root"
    sources = folder / "sources.list"
    sources.write_text(package_sources())
    try:
        _bootstrap(root, sources)
        _customise(root)
        (kernel,) = (root / "boot").glob("vmlinuz-*")
        shutil.copyfile(kernel, folder / "vmlinuz")
        write_initramfs(root, kernel.name.removeprefix("vmlinuz-"), folder / "initrd")
        _make_disk(root, folder / "disk.img")
        (folder / "build").write_text(secrets.token_hex(16))
    finally:
        shutil.rmtree(root, ignore_errors=True)
        sources.unlink()


def _bootstrap(root: Path, sources: Path) -> None:
    options = [f"--dpkgopt={line}" for line in ["force-unsafe-io", *_words("dpkg.cfg")]]
    include = ",".join(_words("packages"))
    # What it mounts below the root must be out of reach when the folder of a killed build is removed.
    command = [*isolation.ALONE, "mmdebstrap", "--quiet", "--variant=minbase", "--mode=root"]
    command += [f"--include={include}", *options]
    command += [f"--essential-hook={_NO_INITRAMFS}", SUITE, str(root), str(sources)]
    _run(command, "mmdebstrap", {"LC_ALL": "C.UTF-8", "TMPDIR": str(root.parent)})


def _customise(root: Path) -> None:
    shutil.copytree(RECIPE / "root", root, dirs_exist_ok=True)
    agent = root / "usr/local/lib/lab/guest_agent.py"
    shutil.copyfile(_MODULES / "guest_agent.py", agent)
    units = root / "etc/systemd/system"
    for unit in _words("masked-units"):
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    (root / "etc/machine-id").write_text(f"{_MACHINE_ID}\n")
    (root / "var/log/journal").mkdir(exist_ok=True)
    _run(["chroot", str(root), "systemctl", "enable", *_own_units()], "units")
    # No name server: nothing in the lab may look outside.
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("")
    # Sources of the machine that built it would be asked for nothing but trouble.
    for path in (root / "etc/apt/sources.list", *(root / "etc/apt/sources.list.d").iterdir()):
        path.unlink(missing_ok=True)


def _own_units() -> Iterable[str]:
    return (path.name for path in sorted((RECIPE / "root/etc/systemd/system").glob("lab-*.service")))


def _make_disk(root: Path, disk: Path) -> None:
    with disk.open("wb") as file:
        file.truncate(DISK_BYTES)
    # With a journal, as any server has it: power outages are part of the tests.
    options = ["-q", "-t", "ext4", "-O", "^metadata_csum", "-E", "lazy_itable_init=1,nodiscard", "-L", "lab", "-m", "0"]
    _run(["mke2fs", *options, "-d", str(root), str(disk)], "mke2fs")


def _run(command: list[str], what: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"{what}: status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-6000:]}")
    return done.stdout

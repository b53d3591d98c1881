"""Other versions of a package that is built already: a second build would take a minute for one changed number."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

SECONDS = 120.0


def with_version(package: Path, version: str, folder: Path, *, migration: str | None = None) -> Path:
    """The same package under another version, in `folder`. `migration`: SQL of one more migration that it brings."""
    tree = folder / f"tree-{version}"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True, timeout=SECONDS)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", f"Version: {version}", control.read_text(), flags=re.MULTILINE))
    shipped = tree / "usr/lib/lastmile/shipped"
    (shipped / "VERSION").write_text(f"{version}\n")
    if migration is not None:
        (migrations,) = shipped.glob("lib/python3.*/site-packages/agent/store/migrations")
        (migrations / "9999.lab.sql").write_text(migration)
    made = folder / f"lastmile_{version}_amd64.deb"
    # md5sums of the changed files are no longer right; dpkg does not look at them.
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, made],
        check=True,
        timeout=SECONDS,
        stdout=subprocess.DEVNULL,
    )
    return made

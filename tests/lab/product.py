"""The installed package in a lab machine, driven and looked at as a sysadmin and a client would."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.cli.playground import PROBE_NAME, PROBE_TARGET, render_toml
from agent.sim.farm import FarmClient
from tests.lab.machine import Machine, Result

INSTALL_SECONDS = 900.0
SETTINGS: dict[str, dict[str, Any]] = {
    "modem": {"apn": "internet"},
    "proxy": {"listen": "10.213.0.2"},
    "health": {"probe_target": PROBE_TARGET, "probe_name": PROBE_NAME},
}
"""What a host in the lab must be told; all else is as shipped."""
_FIELDS = "serial, status, reason, slot, proxy_port, uid, fib_table, host(wan_address) AS wan_address, proxy_running"
_MODEM_ROWS = f"SELECT coalesce(json_agg(row_to_json(m)), '[]') FROM (SELECT {_FIELDS} FROM modems ORDER BY serial) m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Modem:
    """A modem's row, as far as the tests look at it."""

    serial: str
    status: str
    reason: str
    slot: str | None
    proxy_port: int | None
    uid: int | None
    fib_table: int | None
    wan_address: str | None
    proxy_running: bool

    @property
    def numbers(self) -> tuple[int | None, int | None, int | None]:
        """What stays the modem's for ever."""
        return self.proxy_port, self.uid, self.fib_table


@dataclass(slots=True)
class Download:
    """A client that fetches something through a proxy, slowly."""

    process: subprocess.Popen[str]
    size: int

    def finish(self, seconds: float) -> None:
        """Wait for it; AssertionError unless every byte came."""
        output, _ = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, output
        assert output.split() == ["200", str(self.size)], output

    @property
    def running(self) -> bool:
        return self.process.poll() is None


@dataclass(slots=True)
class Product:
    """lastmile in one lab machine, and the farm whose modems are on its bus."""

    machine: Machine
    farm: FarmClient | None = None
    settings: dict[str, dict[str, Any]] = field(default_factory=lambda: SETTINGS)
    proxy_program: str = ""
    """Which 3proxy the machine has: "3proxy" or "stand-in"."""

    # -- as a sysadmin

    def sh(self, command: str, *, check: bool = True, timeout: float = 240.0, stdin: str | None = None) -> Result:
        """Run a command as root."""
        result = self.machine.run(command, timeout=timeout, stdin=None if stdin is None else stdin.encode())
        if check:
            assert result.rc == 0, f"{command}\n{result.out}{result.err}\nstatus {result.rc}"
        return result

    def install(self, package: Path, *, timeout: float = INSTALL_SECONDS) -> Result:
        """Install or upgrade, without a question asked."""
        place = f"/root/{package.name}"
        self.machine.put(place, package.read_bytes())
        return self.sh(
            f"DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {place} 2>&1", timeout=timeout
        )

    def configure(self) -> None:
        """Write the lab's settings as a drop-in."""
        text = render_toml(self.settings)
        self.sh("mkdir -p /etc/lastmile/lastmile.d")
        self.machine.put("/etc/lastmile/lastmile.d/lab.toml", text.encode())

    def modems(self) -> list[Modem]:
        """All modems, by serial, read with one small program: the CLI takes seconds on an emulated processor."""
        found = self.sh(f'psql -XAtq lastmile -c "{_MODEM_ROWS}"', timeout=120).out
        return [Modem(**row) for row in json.loads(found)]

    def modem(self, serial: str) -> Modem:
        return next(each for each in self.modems() if each.serial == serial)

    def journal(self, *arguments: str) -> str:
        return self.sh(f"journalctl --no-pager -o short-monotonic {' '.join(arguments)}", timeout=60).out

    def story(self) -> str:
        """For a failed test."""
        parts = [
            "systemctl --no-pager --failed",
            "systemctl --no-pager status 'lastmile-*' | tail -50",
            "journalctl --no-pager -u 'lastmile-*' -u '3proxy@*' | tail -60",
            f'psql -XAtq lastmile -c "{_MODEM_ROWS}"',
            "dmesg | tail -20",
        ]
        return "\n".join(self.sh(each, check=False).out for each in parts)

    def wait(self, condition: Callable[[], bool], seconds: float, what: str, every: float = 0.5) -> float:
        """Look until `condition` holds; the seconds that it took. AssertionError with the story when it never does."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                raise AssertionError(f"not within {seconds:.0f} s: {what}\n{self.story()}")
            time.sleep(every)
        return time.monotonic() - began

    def reported_since(self, moment: str) -> int:
        """How many modems the agent has told something of since then, by the database's clock."""
        question = f"SELECT count(*) FROM modems WHERE reported_at > '{moment}'"
        return int(self.sh(f'psql -XAtq lastmile -c "{question}"', timeout=120).out)

    def database_now(self) -> str:
        """The time by the database's clock."""
        return self.sh('psql -XAtq lastmile -c "SELECT now()"', timeout=120).out.strip()

    def wait_online(self, count: int, seconds: float, *, since: str | None = None) -> list[Modem]:
        """The rows once that many modems are online with a proxy, as told `since` then: older rows may be stale."""
        rows: list[Modem] = []

        def all_online() -> bool:
            rows[:] = self.modems()
            if sum(each.status == "online" and each.proxy_running for each in rows) != count:
                return False
            return since is None or self.reported_since(since) == count

        self.wait(all_online, seconds, f"{count} modems online")
        return list(rows)

    # -- as a client on the LAN

    def _client(self, arguments: Sequence[str]) -> list[str]:
        assert self.farm is not None
        return ["nsenter", f"--net={self.farm.info.network_namespace}", "--", *arguments]

    def fetch(self, modem: Modem, url: str = "http://whoami.test/plain", *, scheme: str = "http") -> str | None:
        """What a client gets through a modem's proxy; None when it gets nothing."""
        assert self.farm is not None
        proxy = f"{scheme}://{self.farm.info.host_address}:{modem.proxy_port}"
        done = subprocess.run(
            self._client(["curl", "-sS", "--fail", "--max-time", "60", "-x", proxy, url]),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else None

    def browses(self, modems: Iterable[Modem]) -> list[str]:
        """Serials of those whose proxy does not answer with the modem's own address."""
        return [each.serial for each in modems if each.wan_address is None or self.fetch(each) != each.wan_address]

    def download(self, modem: Modem, *, size: int, bytes_per_second: int, scheme: str = "socks5h") -> Download:
        """Begin to fetch `size` bytes through a modem's proxy at that rate."""
        assert self.farm is not None
        proxy = f"{scheme}://{self.farm.info.host_address}:{modem.proxy_port}"
        command = ["curl", "-sS", "--limit-rate", str(bytes_per_second), "--max-time", "600", "-o", "/dev/null"]
        command += ["-w", "%{http_code} %{size_download}\n", "-x", proxy, f"http://files.test/bytes/{size}"]
        process = subprocess.Popen(
            self._client(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return Download(process, size)

    # -- what must not be left

    def leftovers(self) -> list[str]:
        """What of lastmile is still on the machine, a line each; empty after a purge."""
        looks = {
            "rule": "ip rule; ip -6 rule",
            "route": "ip route show table all; ip -6 route show table all",
            "link": "ip -d link",
            # What the package was is remembered by the name alone until systemd forgets it: not-found, inactive.
            "unit": "systemctl list-units --all --no-legend --plain | grep -v 'not-found inactive'; "
            "systemctl list-unit-files --no-legend",
            "file": "ls -d /etc/lastmile /var/lib/lastmile /run/lastmile /usr/lib/lastmile /usr/share/doc/lastmile "
            "/dev/modems /var/log/journal/*.lastmile* /run/systemd/system/3proxy@* 2>/dev/null || true",
            "account": "getent passwd; getent group",
            "process": "ps -eo uid,args",
            "database": "runuser -u postgres -- psql -XAtc 'SELECT datname FROM pg_database UNION "
            "SELECT rolname FROM pg_roles'",
        }
        patterns = {
            "rule": r"^(2000|3000|50):|uidrange",
            "route": r"table 2\d{4}\b",
            "link": r"altname modem-",
            "unit": r"lastmile|3proxy@",
            "file": r".",
            "account": r"lastmile",
            "process": r"3proxy|lastmile (agent|web)|qmi-proxy",
            "database": r"lastmile",
        }
        found = []
        for what, command in looks.items():
            lines = self.sh(command, check=False).out.splitlines()
            found += [f"{what}: {line.strip()}" for line in lines if re.search(patterns[what], line)]
        return found

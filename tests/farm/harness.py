"""The real agent on the emulated farm, driven and looked at as an operator and a client would."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agent.cli.playground import Playground, wait_until
from agent.modem.model import ModemState
from agent.sim.farm import Farm
from agent.store.database import Database
from agent.store.fleet import Fleet
from agent.store.rows import LogRow, ModemRow

ONLINE_SECONDS = 30.0
FAST: dict[str, dict[str, Any]] = {
    "hotplug": {"collect_seconds": 0.2, "batch_size": 30, "batch_interval_seconds": 0.5, "rescan_seconds": 2.0},
    "modem": {"apn": "internet", "at_timeout_seconds": 1.5, "qmi_timeout_seconds": 6.0},
    "proxy": {"uid_first": 72_000, "table_first": 22_000, "tcp_port_first": 3128, "tcp_port_last": 3227},
    "health": {
        "interval_seconds": 2.0,
        "probe_timeout_seconds": 1.5,
        "grace_seconds": 6.0,
        "minimum_uptime_seconds": 1.0,
        "recovery_wait_seconds": 1.0,
        "recovery_wait_most_seconds": 4.0,
    },
}
"""The product's settings, in a hurry: a test has seconds where a farm has minutes."""


@dataclass(slots=True)
class Farmyard:
    """One playground and the database behind it."""

    playground: Playground
    database: Database
    fleet: Fleet = field(init=False)

    def __post_init__(self) -> None:
        self.fleet = Fleet(self.database)

    @property
    def farm(self) -> Farm:
        return self.playground.farm

    def close(self) -> None:
        self.fleet.close()
        self.database.close()

    # -- what an operator sees -----------------------------------------------------------------------------------

    def serial(self, number: int) -> str:
        """Serial of the farm's modem of that number."""
        return self.farm.modem(number).imei

    def row(self, serial: str) -> ModemRow | None:
        return self.fleet.fetch_modem(serial)

    def online_row(self, serial: str) -> ModemRow:
        row = self.row(serial)
        assert row is not None
        assert row.status is ModemState.ONLINE, f"{row.status}: {row.reason}"
        return row

    def wait_state(self, serial: str, *states: ModemState, seconds: float = ONLINE_SECONDS) -> ModemRow:
        """The modem's row once it is in one of `states`."""

        def reached() -> bool:
            row = self.row(serial)
            return row is not None and row.status in states

        try:
            wait_until(reached, seconds, f"{serial} {' or '.join(states)}")
        except Exception as error:
            raise AssertionError(f"{error}; {self.story(serial)}") from error
        row = self.row(serial)
        assert row is not None
        return row

    def wait_online(self, *numbers: int, seconds: float = ONLINE_SECONDS) -> list[ModemRow]:
        """The rows of these modems once all are online."""
        return [self.wait_state(self.serial(number), ModemState.ONLINE, seconds=seconds) for number in numbers]

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = ONLINE_SECONDS) -> None:
        try:
            wait_until(condition, seconds, what)
        except Exception as error:
            raise AssertionError(f"{error}\n{self.agent_log()[-4000:]}") from error

    def logs(self, serial: str, limit: int = 500) -> tuple[LogRow, ...]:
        """What was said and done, oldest first."""
        return tuple(reversed(self.fleet.fetch_logs(serial, limit=limit)))

    def actions(self, serial: str) -> list[str]:
        """The agent's actions on a modem, oldest first."""
        return [row.command.split()[0] for row in self.logs(serial) if row.channel == "agent" and row.outcome == "ok"]

    def story(self, serial: str) -> str:
        """For a failed test: where the modem stands, and the end of the agent's log."""
        row = self.row(serial)
        where = "not in the database" if row is None else f"{row.status}: {row.reason}"
        lines = [
            line for line in self.agent_log().splitlines() if serial in line or " ERROR" in line or "Error" in line
        ]
        return f"it is {where}\n" + "\n".join(lines[-30:])

    def agent_log(self) -> str:
        return (self.playground.directory / "agent.log").read_text(errors="replace")

    def assert_sound(self) -> None:
        """What holds at the end of every test: nothing left by the host's uplink, and neither the emulator nor a
        modem's thread met a bug of its own."""
        assert self.farm.leaks() == ()
        assert self.farm.failures() == ()
        bugs = [line for line in self.agent_log().splitlines() if "bug in" in line or "pass failed" in line]
        assert bugs == []

    def browses(self, *numbers: int) -> bool:
        """Whether a client gets through the proxies of these modems, each with its modem's present address."""
        rows = [self.row(self.serial(number)) for number in numbers]
        return all(row is not None and row.wan_address and self.browse(row) == row.wan_address for row in rows)

    def wds_clients(self, number: int) -> list[int]:
        """QMI client ids for data sessions that a modem has given out."""
        return self.farm.modem(number).qmi_clients.get("wds", [])

    def status_json(self) -> list[dict[str, Any]]:
        """What `lastmile status --json` prints."""
        listed: list[dict[str, Any]] = json.loads(self.playground.run("status", "--json").stdout)
        return listed

    # -- what a client sees --------------------------------------------------------------------------------------

    def browse(self, row: ModemRow, url: str = "http://whoami.test/plain", *, scheme: str = "http") -> str | None:
        """What a client on the LAN gets through a modem's proxy; None when it gets nothing."""
        done = subprocess.run(
            ["curl", "-sS", "--fail", "--max-time", "6", "-x", f"{scheme}://{row.proxy_address}", url],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else None

    def sends_as_proxy(self, row: ModemRow, script: str) -> subprocess.CompletedProcess[str]:
        """Run a Python script on the farm's host under the modem's uid, as its proxy's traffic would go."""
        command = [
            "setpriv",
            f"--reuid={row.uid}",
            f"--regid={row.uid}",
            "--clear-groups",
            "/usr/bin/python3",
            "-c",
            script,
        ]
        return subprocess.run(self.farm.command(command), capture_output=True, text=True, timeout=20, check=False)


SEND_EVERYTHING = """
import socket
for family, address in ((socket.AF_INET, "198.51.100.9"), (socket.AF_INET6, "2001:db8:ffff::9")):
    for kind, port in ((socket.SOCK_DGRAM, 53), (socket.SOCK_DGRAM, 443), (socket.SOCK_STREAM, 80)):
        with socket.socket(family, kind) as sender:
            sender.settimeout(0.5)
            try:
                sender.connect((address, port))
                sender.send(b"?" * 24)
                print("sent", family.name, kind.name, port)
            except OSError as error:
                print("refused", family.name, kind.name, port, error)
"""
"""DNS, other UDP and TCP of both families."""

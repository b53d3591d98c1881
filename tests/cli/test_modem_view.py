"""The table of modems on terminals of every width, and its cells."""

from __future__ import annotations

import dataclasses
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from agent.cli.modem_view import age, duration, human_bytes, modem_mapping, modem_table
from agent.modem.model import ModemState
from agent.store.rows import ModemRow

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def make_row(number: int = 1, **values: Any) -> ModemRow:
    """A modem that is online and has everything."""
    fields: dict[str, Any] = {field.name: None for field in dataclasses.fields(ModemRow)}
    fields |= {
        "serial": f"8675840123456{number:02d}",
        "host": "farm-1",
        "slot": f"1-1.{number}",
        "proxy_port": 3127 + number,
        "uid": 70_000 + number,
        "fib_table": 20_000 + number,
        "status": ModemState.ONLINE,
        "reason": "",
        "enabled": True,
        "operator": "Example Mobile",
        "access_technology": "lte",
        "rssi_dbm": -61.0,
        "rsrp_dbm": -91.4,
        "wan_address": f"100.64.7.{number}",
        "proxy_running": True,
        "proxy_listen": "192.0.2.1",
        "rx_bytes": 5 * 1024**2,
        "tx_bytes": 1536,
        "first_seen": NOW,
        "last_seen": NOW,
        "changed_at": NOW,
    }
    return ModemRow(**(fields | values))


def printed(width: int, *rows: ModemRow) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(modem_table(rows, width=width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


TROUBLED = make_row(2, status=ModemState.SIM_BLOCKED, reason="no SIM card", wan_address=None, proxy_running=False)


@pytest.mark.parametrize("width", [60, 80, 100, 132, 200])
def test_what_matters_most_is_there_whole_on_every_terminal(width: int) -> None:
    shown = printed(width, make_row())
    assert all(len(line) <= width for line in shown.splitlines())
    for words in ("867584012345601", "online", "100.64.7.1", "192.0.2.1:3128"):
        assert words in shown, f"{words} at width {width}"
    assert len([line for line in shown.splitlines() if "867584012345601" in line]) == 1


@pytest.mark.parametrize("width", [80, 100, 132, 200])
def test_a_troubled_modem_says_why(width: int) -> None:
    shown = printed(width, make_row(), TROUBLED)
    assert all(len(line) <= width for line in shown.splitlines())
    assert "sim_blocked" in shown
    assert "no SIM" in shown


def test_a_wide_terminal_shows_every_column() -> None:
    shown = printed(200, make_row(), TROUBLED)
    for words in (
        "slot",
        "operator",
        "signal",
        "traffic",
        "seen",
        "Example Mobile LTE",
        "-91 dBm",
        "5.0 MiB↓ 1.5 KiB↑",
    ):
        assert words in shown


def test_a_narrow_terminal_gives_up_what_matters_least() -> None:
    header = printed(80, make_row()).splitlines()[1]
    assert "proxy" in header
    assert "traffic" not in header
    assert "seen" not in header


def test_the_host_is_shown_when_there_are_several() -> None:
    assert "farm-1" not in printed(200, make_row())
    shown = printed(200, make_row(), make_row(2, host="farm-2"))
    assert "farm-1" in shown
    assert "farm-2" in shown


def test_what_is_not_known_is_a_dash() -> None:
    bare = make_row(operator=None, rsrp_dbm=None, rssi_dbm=None, slot=None, wan_address=None, rx_bytes=None)
    shown = printed(200, bare)
    assert shown.count("–") == 5
    assert "None" not in shown


def test_the_proxy_without_a_known_address_and_of_ipv6() -> None:
    assert " :3128 " in printed(200, make_row(proxy_listen=None))
    assert "[2001:db8::1]:3128" in printed(200, make_row(proxy_listen="2001:db8::1"))


def test_text_from_a_network_is_no_markup_and_no_control() -> None:
    shown = printed(200, make_row(operator="[red]Net[/red]\x1b[31m", reason="[bold]odd"))
    assert "[red]Net[/red]" in shown
    assert "[bold]odd" in shown
    assert "\x1b" not in shown


def test_the_mapping_begins_with_what_programs_look_for() -> None:
    mapping = modem_mapping(make_row())
    assert list(mapping)[:3] == ["serial", "state", "proxy_address"]
    assert mapping["state"] == mapping["status"] == "online"
    assert mapping["proxy_address"] == "192.0.2.1:3128"
    assert mapping["last_seen"] == NOW.isoformat()
    assert {field.name for field in dataclasses.fields(ModemRow)} <= set(mapping)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (1024**3, "1.0 GiB"),
        (5 * 1024**4, "5.0 TiB"),
        (2**60, "1048576.0 TiB"),
    ],
)
def test_bytes_for_people(count: int, text: str) -> None:
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0 s"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (7500, "2 h"), (86_400 * 3, "3 d")]
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text
    assert age(NOW, NOW + timedelta(seconds=seconds)) == text

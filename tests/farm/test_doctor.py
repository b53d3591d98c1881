"""`lastmile doctor` on a farm whose modems are online, and the agent's notice when there is nothing to start."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from agent.cli.playground import lastmile
from agent.sim.threeproxy import standin_command
from tests.farm.conftest import MakeFarmyard
from tests.farm.harness import Farmyard

pytestmark = pytest.mark.farm


Found = dict[str, dict[str, str]]


def examine(yard: Farmyard) -> tuple[Found, list[str]]:
    """The last finding of each id, as the doctor sees the farm's own /sys, /dev and network; and who holds ports."""
    command = yard.farm.command([*lastmile(yard.playground.config), "doctor", "--json"])
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    listed: list[dict[str, str]] = json.loads(done.stdout)
    holders = [each["finding"] for each in listed if each["id"] == "ports.holders" and each["severity"] == "failure"]
    return {each["id"]: each for each in listed}, holders


def test_a_farm_that_works_is_found_well(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2)
    yard.wait_online(1, 2)
    found, holders = examine(yard)
    well = (
        "settings.valid",
        "settings.listen",
        "usb.modems",
        "usb.endpoints",
        "usb.ports",
        "usb.power",
        "udev.modems",
        "ports.agents",
        "net.rp_filter",
        "net.rules",
        "net.stale_rules",
        "net.tables",
        "tcp.proxies",
        "tcp.web",
        "proxy.uids",
        "database.reach",
        "database.schema",
        "database.connections",
        "database.clock",
    )
    assert {name: found[name]["severity"] for name in well} == dict.fromkeys(well, "ok"), found
    # The emulator keeps its ports open itself, and is the only one.
    assert len(holders) == 1
    assert holders[0].startswith("python")
    assert found["usb.modems"]["finding"].startswith("2 modems")
    assert found["net.stale_rules"]["finding"] != "there is no rule for a modem"
    yard.assert_sound()


def test_what_gets_in_the_way_of_a_farm_is_found(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=1)
    (row,) = yard.wait_online(1)
    node = f"{row.path}/at"
    strayed = ("rule", "add", "pref", "2000", "uidrange", "72050-72050", "lookup", "22050")
    for words in (strayed, ("rule", "add", "pref", "49", "lookup", "51820")):
        subprocess.run(yard.farm.command(["ip", *words]), check=True, timeout=10)
    script = f"exec 3<{node}; echo open; read end"
    minicom = subprocess.Popen(
        yard.farm.command(["sh", "-c", script]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert minicom.stdout is not None
        assert minicom.stdout.readline() == "open\n"
        found, holders = examine(yard)
    finally:
        minicom.communicate(timeout=10)
    assert [each for each in holders if f"process {minicom.pid}" in each and row.slot is not None and row.slot in each]
    assert found["net.stale_rules"]["severity"] == "warning"
    assert "72050" in found["net.stale_rules"]["finding"]
    assert found["net.rules"]["severity"] == "warning"
    assert "51820" in found["net.rules"]["finding"]


def test_the_agent_says_that_no_proxy_can_start_until_one_can(make_farmyard: MakeFarmyard, tmp_path: Path) -> None:
    program = tmp_path / "proxy-program"
    yard = make_farmyard(modems=1, agent=False, proxy={"command": f"{program} {{uid}} {{config}}"})
    yard.playground.start_agent()
    yard.wait_for(lambda: "is not installed" in yard.playground.run("status").stdout, "the notice in the status")
    told = yard.playground.run("status").stdout.splitlines()[-1]
    assert told.startswith(
        f"! {yard.farm.name}: {program} is not installed: modems are brought up, but no proxy can start"
    )
    assert yard.agent_log().count("WARNING no proxy can start") == 1
    program.write_text(f'#!/bin/sh\nexec {shlex.join(standin_command()[:-2])} "$1" "$2"\n')
    program.chmod(0o755)
    yard.wait_for(lambda: "is not installed" not in yard.playground.run("status").stdout, "the notice to go")
    assert "proxies can start now" in yard.agent_log()
    yard.wait_online(1)
    yard.assert_sound()

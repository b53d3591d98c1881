"""What is wanted of this host's modems."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from agent.core.errors import ConfigError, TransientError
from agent.core.identifiers import Slot
from agent.modem.model import Allocation, Desired
from agent.sim.postgres import EmbeddedPostgres
from agent.store.database import Database
from agent.store.fleet import Fleet
from agent.store.wishes import DesiredDefaults, HostWishes
from tests.store.farm import HOST, SERIAL, SLOT, eventually, make_wishes, rows, serial_of, slot_of


def _port(desired: Desired | None) -> int:
    assert desired is not None
    assert desired.allocation is not None
    return desired.allocation.tcp_port


def test_modems_get_the_lowest_free_index_and_keep_it(wishes: HostWishes, database_url: str) -> None:
    ports = [_port(wishes.register(serial_of(n), slot_of(n), None)) for n in range(1, 4)]
    assert ports == [3128, 3129, 3130]
    assert _port(wishes.register(serial_of(2), Slot("2-1"), None)) == 3129
    rows(database_url, "DELETE FROM modems WHERE proxy_port = 3128")
    desired = wishes.register(serial_of(9), slot_of(9), None)
    assert desired is not None
    assert desired.allocation == Allocation(tcp_port=3128, uid=70_000, table=20_000)


def test_eight_threads_never_share_an_allocation(wishes: HostWishes, database_url: str) -> None:
    barrier = threading.Barrier(8)
    failures: list[object] = []

    def register_some(thread: int) -> None:
        barrier.wait(10)
        for number in range(8):
            serial = serial_of(thread * 100 + number)
            if wishes.register(serial, slot_of(number), None) is None:
                failures.append(serial)

    threads = [threading.Thread(target=register_some, args=(thread,)) for thread in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert failures == []
    found = rows(database_url, "SELECT proxy_port, uid - 70000, fib_table - 20000 FROM modems ORDER BY 1")
    assert found == [(3128 + index, index, index) for index in range(64)]


def test_a_used_up_range_names_the_setting(database: Database, tmp_path: Path) -> None:
    small = make_wishes(database, tmp_path / "w", modems=1)
    small.register(serial_of(1), slot_of(1), None)
    with pytest.raises(ConfigError, match=r"proxy\.tcp_port_last"):
        small.register(serial_of(2), slot_of(2), None)
    assert _port(small.register(serial_of(1), slot_of(1), None)) == 3128


def test_what_the_row_says_and_what_the_settings_say(wishes: HostWishes, database_url: str) -> None:
    first = wishes.register(SERIAL, SLOT, None)
    assert first is not None
    assert (first.enabled, first.apn) == (True, "internet")
    rows(database_url, "UPDATE modems SET enabled = false, apn = 'iot'")
    assert wishes.refresh() == {SERIAL}
    assert wishes.refresh() == frozenset()
    changed = wishes.desired(SERIAL)
    assert changed is not None
    assert (changed.enabled, changed.apn) == (False, "iot")
    rows(database_url, "UPDATE modems SET apn = NULL")
    wishes.refresh()
    wishes.set_defaults(DesiredDefaults(apn="other", pin="1234", rule_priority=3000))
    again = wishes.desired(SERIAL)
    assert again is not None
    assert (again.apn, again.pin, again.rule_priority) == ("other", "1234", 3000)


def test_a_modem_that_was_carried_to_another_host_starts_anew_there(
    database: Database, wishes: HostWishes, database_url: str, tmp_path: Path
) -> None:
    other = make_wishes(database, tmp_path / "other.json", host="farm-2")
    other.register(serial_of(50), slot_of(1), None)
    wishes.register(SERIAL, SLOT, None)
    rows(database_url, "UPDATE modems SET status = 'offline' WHERE serial = %s", SERIAL)
    assert _port(other.register(SERIAL, Slot("3-2"), None)) == 3129
    assert rows(database_url, "SELECT host, slot FROM modems WHERE serial = %s", SERIAL) == [("farm-2", "3-2")]
    assert wishes.refresh() == {SERIAL}
    assert wishes.known() == ()
    assert _port(wishes.register(serial_of(7), SLOT, None)) == 3128


def test_a_modem_that_a_living_host_has_is_not_taken_from_it(
    database: Database, wishes: HostWishes, database_url: str, tmp_path: Path
) -> None:
    wishes.register(SERIAL, SLOT, None)
    other = make_wishes(database, tmp_path / "other.json", host="farm-2")
    assert other.register(SERIAL, Slot("3-2"), None) is None
    assert rows(database_url, "SELECT host FROM modems") == [(HOST,)]
    rows(database_url, "UPDATE hosts SET last_seen = now() - interval '3 minutes'")
    assert other.register(SERIAL, Slot("3-2"), None) is not None


def test_wishes_outlive_the_database_and_the_process(
    own_postgres: EmbeddedPostgres, own_url: str, tmp_path: Path
) -> None:
    cache = tmp_path / "state" / "wishes.json"
    with Database(own_url, timeout_seconds=1.0) as database:
        first = make_wishes(database, cache, pin="4321").register(SERIAL, SLOT, None)
    assert "4321" not in cache.read_text()
    own_postgres.stop()
    with Database(own_url, timeout_seconds=1.0) as database:
        restarted = make_wishes(database, cache, pin="4321")
        assert restarted.desired(SERIAL) == first
        assert restarted.home_slot(SERIAL) == SLOT
        begin = time.monotonic()
        assert restarted.register(SERIAL, SLOT, None) == first
        assert restarted.register(serial_of(2), slot_of(2), None) is None
        assert time.monotonic() - begin < 1.5
        with pytest.raises(TransientError):
            restarted.refresh()
        assert restarted.known() == (first,)
        own_postgres.start()
        eventually(lambda: restarted.register(serial_of(2), slot_of(2), None))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 1}', "[" * 100_000, '{"format":1,"host":"farm-1","modems":[{}]}']
)
def test_a_damaged_file_is_as_good_as_none(database: Database, tmp_path: Path, text: str) -> None:
    cache = tmp_path / "wishes.json"
    cache.write_text(text)
    damaged = make_wishes(database, cache)
    assert damaged.known() == ()
    assert damaged.register(SERIAL, SLOT, None) is not None
    assert json.loads(cache.read_text())["modems"][0]["serial"] == SERIAL


def test_the_file_of_another_host_is_not_used(database: Database, tmp_path: Path) -> None:
    cache = tmp_path / "wishes.json"
    make_wishes(database, cache).register(SERIAL, SLOT, None)
    assert make_wishes(database, cache, host="renamed").known() == ()


def test_only_meaningful_changes_of_this_host_concern_it(wishes: HostWishes, fleet: Fleet) -> None:
    wishes.register(SERIAL, SLOT, None)
    assert wishes.concerned_by(json.dumps({"serial": "x", "host": HOST, "status": "online", "event": 1}))
    assert wishes.concerned_by(json.dumps({"serial": SERIAL, "host": "elsewhere", "status": "online", "event": 1}))
    assert not wishes.concerned_by(json.dumps({"serial": "x", "host": "elsewhere", "status": "online", "event": 1}))
    assert not wishes.concerned_by(json.dumps({"serial": SERIAL, "host": HOST, "status": "online", "event": None}))
    assert wishes.concerned_by("garbage")
    assert fleet.set_enabled(SERIAL, False) is not None
    assert fleet.set_enabled("nobody", False) is None


def test_a_row_that_cannot_be_used_does_not_hide_the_others(wishes: HostWishes, database_url: str) -> None:
    wishes.register(serial_of(1), slot_of(1), None)
    wishes.register(serial_of(2), slot_of(2), None)
    rows(database_url, "UPDATE modems SET slot = 'not a slot' WHERE proxy_port = 3128")
    wishes.refresh()
    assert [each.serial for each in wishes.known()] == [serial_of(2)]

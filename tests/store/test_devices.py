"""The list of devices: what is found, in which order, page by page; and what is decided about a device."""

from __future__ import annotations

import random
import time

import pytest

from agent.store.database import Database
from agent.store.device_errors import DeviceBusyError, PlaceError, RefusedError
from agent.store.device_query import DeviceFilter, DeviceOrder, DeviceSort
from agent.store.device_rows import DeviceRow, DeviceState, SessionStatus
from agent.store.devices import Devices
from agent.store.fleet import Fleet
from tests.store.cpes import (
    add_device,
    begin_session,
    device_id_of,
    end_session,
    fail_task,
    key_of,
    serial_number_of,
    tree,
    write_values,
)
from tests.store.farm import rows


@pytest.fixture
def devices(database: Database) -> Devices:
    return Devices(database)


def found(devices: Devices, **wanted: object) -> list[str]:
    page = devices.fetch_page(DeviceFilter(**wanted), DeviceOrder())  # type: ignore[arg-type]
    assert page.total == len(page.devices)
    assert page.next_cursor is None
    return [row.serial_number for row in page.devices]


def one(devices: Devices, device_id: str) -> DeviceRow:
    row = devices.fetch(device_id)
    assert row is not None
    return row


class TestFilter:
    def test_by_what_it_is(self, devices: Devices, database_url: str) -> None:
        for number in (1, 2, 3):
            add_device(database_url, number, product_class=f"Box {number}", manufacturer=f"Maker {number % 2}")
        rows(database_url, "UPDATE devices SET software_version = '2.0' WHERE product_class = 'Box 3'")
        everybody = [serial_number_of(number) for number in (1, 2, 3)]
        assert found(devices) == everybody
        assert found(devices, serial_number=everybody[1]) == [everybody[1]]
        assert found(devices, oui="00259E") == everybody
        assert found(devices, oui="FFFFFF") == []
        assert found(devices, product_class="Box 1") == [everybody[0]]
        assert found(devices, manufacturer="Maker 1") == [everybody[0], everybody[2]]
        assert found(devices, manufacturer="Maker 1", software_version="2.0") == [everybody[2]]
        assert found(devices, serial_number="nul\x00\ud800") == []

    def test_by_state(self, devices: Devices, database_url: str) -> None:
        for number, state in enumerate(("accepted", "held", "refused"), 1):
            add_device(database_url, number, state=state)
        assert found(devices, states=(DeviceState.HELD,)) == [serial_number_of(2)]
        assert found(devices, states=(DeviceState.ACCEPTED, DeviceState.REFUSED)) == [
            serial_number_of(1),
            serial_number_of(3),
        ]

    def test_by_all_of_several_tags(self, devices: Devices, database_url: str) -> None:
        for number, tags in enumerate((("a",), ("a", "b"), ("b", "c")), 1):
            devices.add_tags(add_device(database_url, number), tags)
        assert found(devices, tags=("a",)) == [serial_number_of(1), serial_number_of(2)]
        assert found(devices, tags=("a", "b")) == [serial_number_of(2)]
        assert found(devices, tags=("b", "b")) == [serial_number_of(2), serial_number_of(3)]
        assert found(devices, tags=("a", "c")) == []

    def test_by_stored_values_of_informs_and_of_discoveries(self, devices: Devices, database_url: str) -> None:
        root = "InternetGatewayDevice."
        for number in (1, 2, 3):
            informed = {f"{root}DeviceInfo.UpTime": str(number)}
            device = add_device(database_url, number, informed=informed)
            values = {f"{root}LANDevice.1.Name{index}": str(index * number) for index in range(700)}
            write_values(database_url, device, {**values, f"{root}Vendor": 'say "hello": \\ ü%'})
        ssid = f"{root}LANDevice.1.Name3"
        assert found(devices, parameters=((ssid, "6"),)) == [serial_number_of(2)]
        assert found(devices, parameters=((f"{root}DeviceInfo.UpTime", "3"),)) == [serial_number_of(3)]
        both = ((ssid, "9"), (f"{root}DeviceInfo.UpTime", "3"))
        assert found(devices, parameters=both) == [serial_number_of(3)]
        assert found(devices, parameters=(*both, *both)) == [serial_number_of(3)]
        assert found(devices, parameters=((ssid, "9"), (f"{root}DeviceInfo.UpTime", "2"))) == []
        assert found(devices, parameters=((f"{root}Vendor", 'say "hello": \\ ü%'),), online=True) != []
        assert found(devices, parameters=(("nonsense", ""),)) == []

    def test_by_online(self, devices: Devices, database_url: str) -> None:
        cases = (
            (1, {"age_seconds": 700.0, "inform_interval_seconds": 300}, True),
            (2, {"age_seconds": 800.0, "inform_interval_seconds": 300}, False),
            (3, {"age_seconds": 3500.0, "inform_interval_seconds": None}, True),
            (4, {"age_seconds": 3700.0, "inform_interval_seconds": None}, False),
            (5, {"age_seconds": 3500.0, "inform_interval_seconds": 0}, True),
            (6, {"age_seconds": 99_999.0, "inform_interval_seconds": 2**31 - 1}, True),
        )
        for number, columns, _ in cases:
            add_device(database_url, number, **columns)
        begin_session(database_url, add_device(database_url, 7, age_seconds=1e6))
        online = [serial_number_of(number) for number, _, is_online in cases if is_online] + [serial_number_of(7)]
        assert found(devices, online=True) == online
        assert found(devices, online=False) == [serial_number_of(2), serial_number_of(4)]
        assert [row.online for row in devices.fetch_many([device_id_of(number) for number in range(1, 8)])] == [
            True,
            False,
            True,
            False,
            True,
            True,
            True,
        ]


class TestPages:
    @pytest.mark.parametrize("descending", [False, True])
    @pytest.mark.parametrize("sort", list(DeviceSort))
    def test_every_device_comes_once_in_order(
        self, devices: Devices, database_url: str, sort: DeviceSort, descending: bool
    ) -> None:
        numbers = list(range(1, 24))
        random.Random(7).shuffle(numbers)
        for number in numbers:
            add_device(
                database_url,
                number,
                product_class=f"Box-{number % 3}",
                software_version=None if number % 5 == 0 else f"v{number % 4}",
                age_seconds=float(number % 6),
            )
        rows(database_url, "UPDATE device_informs SET at = date_trunc('hour', at)")
        rows(database_url, "DELETE FROM device_informs WHERE device_id IN (SELECT id FROM devices ORDER BY id LIMIT 2)")
        seen: list[DeviceRow] = []
        after = None
        for _ in range(10):
            order = DeviceOrder(sort=sort, descending=descending, after=after, limit=5)
            page = devices.fetch_page(DeviceFilter(oui="00259E"), order)
            assert page.total == 23
            seen += page.devices
            after = page.next_cursor
            if after is None:
                break
        assert sorted(row.device_id for row in seen) == sorted(
            device_id_of(number, f"Box-{number % 3}") for number in numbers
        )
        keys = [(_key(row, sort), row.device_id) for row in seen]
        assert keys == sorted(keys, reverse=descending)

    def test_a_place_that_is_none(self, devices: Devices, database_url: str) -> None:
        add_device(database_url)
        for key in ("some day", "\x00", "infinity plus one"):
            order = DeviceOrder(sort=DeviceSort.LAST_INFORM, after=(key, "x"))
            with pytest.raises(PlaceError):
                devices.fetch_page(DeviceFilter(), order)

    def test_no_devices(self, devices: Devices) -> None:
        page = devices.fetch_page(DeviceFilter(), DeviceOrder())
        assert (page.devices, page.total, page.next_cursor) == ((), 0, None)


def _key(row: DeviceRow, sort: DeviceSort) -> object:
    match sort:
        case DeviceSort.LAST_INFORM:
            return row.last_inform.timestamp() if row.last_inform else float("-inf")
        case DeviceSort.SOFTWARE_VERSION:
            return row.software_version or ""
        case _:
            return getattr(row, sort.value)


class TestDevice:
    def test_everything_about_it(self, devices: Devices, database_url: str) -> None:
        device_id = add_device(database_url, 1, age_seconds=10)
        devices.add_tags(device_id, ("vip", "berlin"))
        device, _ = key_of(database_url, device_id)
        for _ in range(3):
            rows(
                database_url,
                "INSERT INTO tasks (device_id, kind, priority, expires_at)"
                " VALUES (%s, 'reboot', 80, now() + interval '1 h')",
                device,
            )
        ((task,),) = rows(database_url, "SELECT max(id) FROM tasks")
        fail_task(database_url, task, "9001", "Request denied")
        row = one(devices, device_id)
        assert (row.device_id, row.serial_number, row.state) == (device_id, serial_number_of(1), DeviceState.ACCEPTED)
        assert (row.tags, row.pending_tasks, row.faults) == (["berlin", "vip"], 2, 1)
        assert (row.ip_address, row.last_events, row.online) == ("192.0.2.1", ["2 PERIODIC"], True)
        assert row.session.status is SessionStatus.IDLE
        assert (row.session.batch, row.session.batches, row.session.started_at) == (0, 0, None)
        assert devices.fetch("00259E-nobody") is None

    @pytest.mark.parametrize("product_class", ["EG8145V5", "Home-Box", "a/b c", "ü%2D", ""])
    def test_every_id_is_found_again(self, devices: Devices, database_url: str, product_class: str) -> None:
        device_id = add_device(database_url, 1, product_class=product_class)
        assert one(devices, device_id).product_class == product_class

    def test_what_its_session_is_at(self, devices: Devices, database_url: str) -> None:
        for number in range(1, 6):
            add_device(database_url, number)
        ids = [device_id_of(number) for number in range(1, 6)]
        begin_session(database_url, ids[0])
        begin_session(database_url, ids[1], wanted=True)
        begin_session(database_url, ids[2], discovery=tree(), batch=15, batches=48)
        begin_session(database_url, ids[3], discovery=tree(task=7), batch=1, batches=2)
        names = tree(task=8)
        begin_session(
            database_url, ids[4], discovery=type(names)(path="", origin=names.origin, task=8, tree=False), batches=1
        )
        sessions = [row.session for row in devices.fetch_many(ids)]
        assert [session.status.value for session in sessions] == [
            "active",
            "discovering",
            "discovering",
            "discovering",
            "active",
        ]
        assert (sessions[2].batch, sessions[2].batches, sessions[2].peer) == (15, 48, "192.0.2.7")

    def test_deciding_is_announced_once(self, devices: Devices, fleet: Fleet, database_url: str) -> None:
        device_id = add_device(database_url, state="held")
        start = fleet.latest_event_id()
        for state in (DeviceState.ACCEPTED, DeviceState.ACCEPTED, DeviceState.REFUSED):
            row = devices.set_state(device_id, state)
            assert row is not None
            assert row.state is state
        events = fleet.fetch_events(start)
        assert [(event.kind, event.device_id) for event in events] == [
            ("device_accepted", device_id),
            ("device_refused", device_id),
        ]
        assert devices.set_state("nobody", DeviceState.ACCEPTED) is None

    def test_deleting(self, devices: Devices, fleet: Fleet, database_url: str) -> None:
        device_id = add_device(database_url)
        write_values(database_url, device_id, {"InternetGatewayDevice.A": "1"})
        devices.add_tags(device_id, ("a",))
        begin_session(database_url, device_id)
        with pytest.raises(DeviceBusyError):
            devices.delete(device_id)
        end_session(database_url, device_id)
        start = fleet.latest_event_id()
        assert devices.delete(device_id)
        assert not devices.delete(device_id)
        assert [event.kind for event in fleet.fetch_events(start)] == ["device_removed"]
        for table in ("devices", "device_informs", "parameter_chunks", "device_tags", "tasks"):
            assert rows(database_url, f"SELECT count(*) FROM {table}") == [(0,)]

    def test_tags(self, devices: Devices, fleet: Fleet, database_url: str) -> None:
        device_id = add_device(database_url)
        start = fleet.latest_event_id()
        assert devices.fetch_tags(device_id) == ()
        assert devices.add_tags(device_id, ("b", "a", "b")) == ("a", "b")
        assert devices.add_tags(device_id, ("a",)) == ("a", "b")
        assert devices.remove_tags(device_id, ("b", "unknown")) == ("a",)
        assert devices.replace_tags(device_id, ("x", "a")) == ("a", "x")
        assert devices.replace_tags(device_id, ()) == ()
        assert [event.payload["tags"] for event in fleet.fetch_events(start)] == [["a", "b"], ["a"], ["a", "x"], []]
        for tag in ("", "-a", "a b", "x" * 65, "ü", "nul\x00"):
            with pytest.raises(RefusedError, match="a tag has"):
                devices.add_tags(device_id, ("good", tag))
        with pytest.raises(RefusedError, match="100 tags"):
            devices.add_tags(device_id, [f"t{number}" for number in range(101)])
        assert devices.fetch_tags(device_id) == ()
        assert devices.add_tags("nobody", ("a",)) is None


def test_a_large_fleet_is_listed_quickly(devices: Devices, database_url: str) -> None:
    add_device(database_url, 1)
    rows(
        database_url,
        "INSERT INTO devices (device_id, model_id, manufacturer, oui, product_class, serial_number, state,"
        " software_version) SELECT '00259E-Mass-' || n, (SELECT min(id) FROM device_models), 'm', '00259E', 'Mass',"
        " n::text, 'accepted', 'v' || n % 7 FROM generate_series(1, 20000) AS n",
    )
    rows(
        database_url,
        "INSERT INTO device_informs (device_id, at, events, \"values\") SELECT id, now() - id * interval '1 s',"
        " '{}', '{}' FROM devices WHERE product_class = 'Mass'",
    )
    rows(database_url, "ANALYZE devices, device_informs")
    begun = time.monotonic()
    for sort in DeviceSort:
        page = devices.fetch_page(DeviceFilter(online=True), DeviceOrder(sort=sort, descending=True, limit=100))
        assert len(page.devices) == 100
    assert time.monotonic() - begun < 6

"""The stored values of a device: below a path, since a time, page by page, and fast."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from agent.store.database import Database
from agent.store.device_parameters import DeviceParameters, place_of
from agent.store.device_rows import ParameterPage
from tests.store.cpes import INFORMED, add_device, key_of, write_values
from tests.store.farm import rows

ROOT = "InternetGatewayDevice."


@pytest.fixture
def parameters(database: Database) -> DeviceParameters:
    return DeviceParameters(database)


def names(page: ParameterPage | None) -> list[str]:
    assert page is not None
    return [row.name for row in page.parameters]


def test_values_of_informs_and_discoveries_with_what_is_known_of_them(
    parameters: DeviceParameters, database_url: str
) -> None:
    device = add_device(database_url)
    write_values(
        database_url,
        device,
        {f"{ROOT}LANDevice.1.Enable": "1", f"{ROOT}LANDevice.2.Enable": "0", f"{ROOT}X.Y": ""},
        types={f"{ROOT}LANDevice.1.Enable": "boolean"},
        writable={f"{ROOT}LANDevice.1.Enable": True},
    )
    page = parameters.fetch_page(device)
    assert page is not None
    assert page.total == 3 + len(INFORMED)
    by_name = {row.name: row for row in page.parameters}
    enable = by_name[f"{ROOT}LANDevice.2.Enable"]
    assert (enable.value, enable.type, enable.writable) == ("0", "boolean", True)
    assert abs(enable.last_updated - datetime.now(UTC)) < timedelta(minutes=1)
    assert (by_name[f"{ROOT}X.Y"].type, by_name[f"{ROOT}X.Y"].writable) == (None, None)
    assert f"{ROOT}DeviceInfo.SoftwareVersion" in by_name
    assert parameters.fetch_page("nobody") is None


def test_they_are_what_the_view_has(parameters: DeviceParameters, database_url: str) -> None:
    device = add_device(database_url)
    values = {f"{ROOT}Services.Voice.{index % 7}.Line.{index}.Value{index % 3}": str(index) for index in range(900)}
    write_values(database_url, device, values, types=dict.fromkeys(values, "int"))
    # One that is not as its model, and one that came later than its chunk.
    odd = f"{ROOT}Services.Voice.3.Line.3.Value0"
    write_values(database_url, device, {odd: "x"}, types={odd: "string"}, writable={odd: True})
    key, _ = key_of(database_url, device)
    rows(
        database_url,
        'UPDATE parameter_chunks SET times = %s WHERE device_id = %s AND "values" ? %s',
        *(json.dumps({odd: 1_700_000_000.25}), key, odd),
    )
    page = parameters.fetch_page(device)
    assert page is not None
    seen = sorted((row.name, row.value, row.type, row.writable, row.last_updated) for row in page.parameters)
    told = rows(
        database_url,
        "SELECT name, value, type, writable, last_updated FROM parameters WHERE device_id = %s ORDER BY name COLLATE"
        ' "C"',
        device,
    )
    assert [row[:4] for row in seen] == [row[:4] for row in told]
    assert all(abs(mine[4] - theirs[4]) < timedelta(milliseconds=1) for mine, theirs in zip(seen, told, strict=True))
    assert page.total == 900 + len(INFORMED)


def test_only_below_a_path(parameters: DeviceParameters, database_url: str) -> None:
    device = add_device(database_url)
    write_values(database_url, device, {f"{ROOT}{name}": "" for name in ("A_B.C", "AXB.C", "A_B.CD.E", "Single")})
    for prefix, expected in (
        (f"{ROOT}A_B.", ["A_B.C", "A_B.CD.E"]),
        (f"{ROOT}A_B.C", ["A_B.C", "A_B.CD.E"]),
        (f"{ROOT}A_B.CD.", ["A_B.CD.E"]),
        (f"{ROOT}A", ["A_B.C", "A_B.CD.E", "AXB.C"]),
        (f"{ROOT}Single", ["Single"]),
        (f"{ROOT}DeviceInfo.Soft", ["DeviceInfo.SoftwareVersion"]),
        ("Device.", []),
        (f"{ROOT}%", []),
        ("nul\x00", []),
    ):
        found = names(parameters.fetch_page(device, prefix=prefix))
        assert sorted(found) == sorted(f"{ROOT}{name}" for name in expected), prefix


def test_only_what_has_changed_since(parameters: DeviceParameters, database_url: str) -> None:
    device = add_device(database_url)
    write_values(database_url, device, {f"{ROOT}Old.A": "1", f"{ROOT}Old.B": "1"})
    rows(database_url, "UPDATE parameter_chunks SET at = now() - interval '1 hour'")
    rows(database_url, "UPDATE device_informs SET at = now() - interval '2 hours'")
    write_values(database_url, device, {f"{ROOT}Old.A": "1", f"{ROOT}Old.B": "2"})
    now = datetime.now(UTC)
    assert names(parameters.fetch_page(device, since=now - timedelta(minutes=30))) == [f"{ROOT}Old.B"]
    assert len(names(parameters.fetch_page(device, since=now - timedelta(minutes=90)))) == 2
    assert len(names(parameters.fetch_page(device, since=now - timedelta(hours=3)))) == 2 + len(INFORMED)
    assert names(parameters.fetch_page(device, since=now + timedelta(hours=1))) == []


def test_pages_in_the_order_of_instance_numbers(parameters: DeviceParameters, database_url: str) -> None:
    device = add_device(database_url, informed={})
    paths = [f"{ROOT}Hosts.Host.{number}.{name}" for number in range(1, 31) for name in ("A", "B")]
    paths += [f"{ROOT}Hosts.HostNumberOfEntries", f"{ROOT}Hosts.Host.007.A"]
    write_values(database_url, device, dict.fromkeys(paths, "x"))
    seen: list[str] = []
    after = None
    while True:
        page = parameters.fetch_page(device, after=after, limit=7)
        assert page is not None
        assert page.total == len(paths)
        seen += names(page)
        after = page.next_after
        if after is None:
            break
    assert seen == sorted(paths, key=place_of)
    assert seen[:2] == [f"{ROOT}Hosts.Host.1.A", f"{ROOT}Hosts.Host.1.B"]
    assert seen.index(f"{ROOT}Hosts.Host.2.A") < seen.index(f"{ROOT}Hosts.Host.10.A")
    assert names(parameters.fetch_page(device, after="\uffff")) == []
    # A path that has gone meanwhile is a place all the same.
    assert names(parameters.fetch_page(device, after=f"{ROOT}Hosts.Host.29.Z"))[0] == f"{ROOT}Hosts.Host.30.A"


def test_a_large_device_is_read_fast(parameters: DeviceParameters, database_url: str) -> None:
    device = add_device(database_url)
    values = {
        f"{ROOT}Top{index % 20}.Table.{index // 20 % 40}.Sub.{index // 800}.Parameter{index % 13}": f"value {index}"
        for index in range(6400)
    }
    write_values(
        database_url, device, values, types=dict.fromkeys(values, "string"), writable=dict.fromkeys(values, True)
    )
    parameters.fetch_page(device)
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        page = parameters.fetch_page(device)
        took.append(time.perf_counter() - begun)
        assert page is not None
        assert page.total == len(page.parameters) == len(values) + len(INFORMED)
        assert {row.type for row in page.parameters if row.name in values} == {"string"}
    assert min(took) < 0.3
    print(f"6,400 parameters in {min(took) * 1000:.0f} ms")

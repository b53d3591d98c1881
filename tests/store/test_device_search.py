"""Devices found and sorted by their stored values: the same with and without the index that a worker makes."""

from __future__ import annotations

import random

import psycopg
import pytest

from agent.core.errors import ProtocolError
from agent.store.database import Database
from agent.store.device_errors import PlaceError
from agent.store.device_query import DeviceFilter, DeviceOrder
from agent.store.devices import Devices
from agent.store.search_parameters import PARAMETERS_MOST, Filling, SearchParameters
from agent.store.value_search import ValueCondition, is_searchable
from tests.store.cpes import add_device, key_of, serial_number_of, write_values
from tests.store.farm import rows

ROOT = "InternetGatewayDevice."
POWER = f"{ROOT}WANDevice.1.RXPower"
SSID = f"{ROOT}LANDevice.1.WLANConfiguration.*.SSID"
UPTIME = f"{ROOT}DeviceInfo.UpTime"
SEEN = f"{ROOT}DeviceInfo.FirstUseDate"


@pytest.fixture
def devices(database: Database) -> Devices:
    return Devices(database)


@pytest.fixture
def search(database: Database) -> SearchParameters:
    return SearchParameters(database)


def ssid(index: int) -> str:
    return SSID.replace("*", str(index))


def fill(search: SearchParameters) -> None:
    """What the worker does."""
    for parameter in search.fetch_unready():
        said = [search.fill(parameter, devices=2)]
        while said[-1] in (Filling.MORE, Filling.WAIT):
            assert len(said) < 1000
            said.append(search.fill(parameter, devices=2))
        assert said[-1] is Filling.READY


def find(devices: Devices, *conditions: str, **wanted: object) -> list[str]:
    values = tuple(ValueCondition.parse(each) for each in conditions)
    page = devices.fetch_page(DeviceFilter(values=values, **wanted), DeviceOrder(limit=1000))  # type: ignore[arg-type]
    assert page.total == len(page.devices)
    return [row.serial_number for row in page.devices]


def walk(devices: Devices, path: str, *, descending: bool = False, limit: int = 2, **wanted: object) -> list[str]:
    """The whole list, page by page."""
    found: list[str] = []
    after = None
    while True:
        order = DeviceOrder(by_value=path, descending=descending, limit=limit, after=after)
        page = devices.fetch_page(DeviceFilter(**wanted), order)  # type: ignore[arg-type]
        found += [row.serial_number for row in page.devices]
        after = page.next_cursor
        if after is None:
            return found


def fleet(url: str) -> None:
    powers = ("-21.5", "-8", "-30.25", "none", None)
    for number, power in enumerate(powers, 1):
        device = add_device(url, number, informed={UPTIME: str(number * 100)})
        values = {
            ssid(1): f"Net {number}",
            ssid(2): "guest%_",
            **{f"{ROOT}WANDevice.1.Padding{each}": "" for each in range(300)},
        }
        write_values(url, device, values if power is None else {**values, POWER: power})


@pytest.mark.parametrize("indexed", [False, True])
def test_every_operator_finds_what_it_says(
    devices: Devices, search: SearchParameters, database_url: str, indexed: bool
) -> None:
    fleet(database_url)
    all_five = [serial_number_of(number) for number in range(1, 6)]
    cases = {
        f"{POWER}=-8": [2],
        f"{POWER}=-8.0": [],
        f"{POWER}!=-8": [1, 3, 4],
        f"{POWER}?": [1, 2, 3, 4],
        f"{POWER}!": [5],
        f"{POWER}<-8": [1, 3],
        f"{POWER}<=-8": [1, 2, 3],
        f"{POWER}>-21.5": [2],
        f"{POWER}>=-21.5": [1, 2],
        f"{POWER}>a": [4],
        f"{POWER}^=-": [1, 2, 3],
        f"{POWER}~NON": [4],
        f"{UPTIME}>=300": [3, 4, 5],
        f"{UPTIME}=300": [3],
        f"{SSID}=Net 4": [4],
        f"{SSID}~net": [1, 2, 3, 4, 5],
        f"{SSID}~%_": [1, 2, 3, 4, 5],
        f"{SSID}~%x": [],
        f"{SSID}!=Net 1": [2, 3, 4, 5],
        f"{ssid(1)}^=Net": [1, 2, 3, 4, 5],
        f"{ssid(2)}^=Net": [],
    }
    if indexed:
        for condition in cases:
            find(devices, condition)
        fill(search)
    for condition, numbers in cases.items():
        assert find(devices, condition) == [all_five[number - 1] for number in numbers], condition
    assert find(devices, f"{POWER}?", f"{UPTIME}>100", f"{SSID}=guest%_") == all_five[1:4]
    assert find(devices, f"{UPTIME}>100", parameters=((ssid(1), "Net 3"),)) == [all_five[2]]


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("descending", [False, True])
def test_the_order_by_a_value_is_the_same_page_by_page(
    devices: Devices, search: SearchParameters, database_url: str, indexed: bool, descending: bool
) -> None:
    fleet(database_url)
    if indexed:
        walk(devices, POWER)
        fill(search)
    expected = [4, 2, 1, 3, 5] if descending else [3, 1, 2, 4, 5]
    serials = [serial_number_of(number) for number in expected]
    for limit in (1, 2, 3, 4, 5, 6):
        assert walk(devices, POWER, descending=descending, limit=limit) == serials
    assert walk(devices, POWER, descending=descending, serial_number=serials[3]) == [serials[3]]
    assert walk(devices, f"{ROOT}Nobody.Has", descending=descending) == sorted(serials)


def test_a_place_that_is_none_is_refused(devices: Devices, database_url: str) -> None:
    add_device(database_url)
    for key in ("", "1", "[]", '["x","y",1]', "[1,2]", "[" * 2000):
        with pytest.raises(PlaceError):
            devices.fetch_page(DeviceFilter(), DeviceOrder(by_value=POWER, after=(key, "x")))


def test_the_index_follows_every_change(devices: Devices, search: SearchParameters, database_url: str) -> None:
    fleet(database_url)
    for path in (POWER, SSID, UPTIME):
        find(devices, f"{path}?")
    fill(search)
    assert search.fetch_unready() == ()
    device = add_device(database_url, 6, informed={UPTIME: "7"})
    assert find(devices, f"{UPTIME}=7") == [serial_number_of(6)]
    write_values(database_url, device, {POWER: "-1", ssid(1): "Six", ssid(9): "Nine"})
    assert find(devices, f"{POWER}=-1", f"{SSID}=Nine", f"{SSID}=Six") == [serial_number_of(6)]
    write_values(database_url, device, {POWER: "-2", **{f"{ROOT}WANDevice.1.Other{each}": "" for each in range(900)}})
    assert find(devices, f"{POWER}=-1") == []
    assert find(devices, f"{POWER}=-2") == [serial_number_of(6)]
    rows(database_url, """UPDATE device_informs SET "values" = "values" || '{"%s": "8"}'""" % UPTIME)  # noqa: UP031
    assert len(find(devices, f"{UPTIME}=8")) == 6
    rows(
        database_url,
        "DELETE FROM parameter_chunks WHERE device_id = %s AND top = %s",
        *(key_of(database_url, device)[0], f"{ROOT}LANDevice."),
    )
    assert find(devices, f"{SSID}=Six") == []
    assert devices.delete(device)
    assert find(devices, f"{POWER}=-2") == []
    assert rows(database_url, "SELECT count(*) FROM search_values WHERE device_id NOT IN (SELECT id FROM devices)") == [
        (0,)
    ]


def test_the_index_is_what_the_chunks_say_after_any_changes(
    devices: Devices, search: SearchParameters, database_url: str
) -> None:
    """Random writes from before, while and after the index is filled."""
    dice = random.Random(20)
    names = [add_device(database_url, number) for number in range(1, 8)]
    paths = [POWER, ssid(1), ssid(2), ssid(3), UPTIME]

    def change() -> None:
        device = dice.choice(names)
        write_values(database_url, device, {path: str(dice.randrange(5)) for path in dice.sample(paths, 2)})

    for _ in range(20):
        change()
    for path in (POWER, SSID, UPTIME):
        find(devices, f"{path}?")
    for parameter in search.fetch_unready():
        while search.fill(parameter, devices=1) is not Filling.READY:
            change()
    for _ in range(20):
        change()
    stored = """
        SELECT parameter.path, value.device_id, value.path, value.value FROM search_values AS value
        JOIN search_parameters AS parameter ON parameter.id = value.parameter_id ORDER BY 1, 2, 3"""
    true = """
        SELECT parameter.path, devices.id, value.name, value.value FROM search_parameters AS parameter
        JOIN parameters AS value ON value.name = parameter.path OR value.name ~ parameter.pattern
        JOIN devices ON devices.device_id = value.device_id ORDER BY 1, 2, 3"""
    found = rows(database_url, stored)
    assert len(found) > 20
    assert found == rows(database_url, true)


def test_filling_waits_for_those_who_were_writing(
    devices: Devices, search: SearchParameters, database_url: str
) -> None:
    device = add_device(database_url)
    write_values(database_url, device, {POWER: "-1"})
    with psycopg.connect(database_url) as writer:
        # It began before anybody searched, so it does not know that it must keep an index right.
        writer.execute("INSERT INTO hosts (name) VALUES ('a writer')")
        find(devices, f"{POWER}?")
        (parameter,) = search.fetch_unready()
        for _ in range(5):
            assert search.fill(parameter) is Filling.WAIT
        assert find(devices, f"{POWER}=-1") == [serial_number_of(1)]
        assert search.progress([POWER]) < 1
    assert search.fill(parameter) is Filling.MORE
    assert search.fill(parameter) is Filling.READY
    assert search.fill(parameter) is Filling.GONE
    assert search.progress([POWER]) == 1


def test_filling_does_not_wait_for_a_row_that_somebody_changes(
    devices: Devices, search: SearchParameters, database_url: str
) -> None:
    device = add_device(database_url)
    write_values(database_url, device, {POWER: "-1"})
    find(devices, f"{POWER}?")
    (parameter,) = search.fetch_unready()
    assert search.fill(parameter) is Filling.WAIT
    with psycopg.connect(database_url) as writer:
        writer.execute("UPDATE parameter_chunks SET at = now()")
        assert search.fill(parameter) is Filling.WAIT
        writer.execute("DELETE FROM parameter_chunks")
    fill(search)
    assert find(devices, f"{POWER}?") == []


def test_the_number_of_indexed_parameters_is_bounded(
    devices: Devices, search: SearchParameters, database_url: str
) -> None:
    for index in range(PARAMETERS_MOST + 5):
        find(devices, f"{ROOT}X.P{index}?")
    count = "SELECT count(*) FROM search_parameters"
    assert rows(database_url, count) == [(PARAMETERS_MOST,)]
    rows(database_url, "UPDATE search_parameters SET used_at = now() - interval '2 days' WHERE path LIKE '%%P7'")
    find(devices, f"{ROOT}X.New?")
    assert rows(database_url, count) == [(PARAMETERS_MOST,)]
    paths = {path for (path,) in rows(database_url, "SELECT path FROM search_parameters")}
    assert f"{ROOT}X.New" in paths
    assert f"{ROOT}X.P7" not in paths


def test_columns_are_the_values_of_informs_and_chunks(search: SearchParameters, database_url: str) -> None:
    fleet(database_url)
    ids = [row[0] for row in rows(database_url, "SELECT device_id FROM devices ORDER BY id")]
    values = search.fetch_columns(ids, [POWER, UPTIME])
    assert values[ids[0]] == {POWER: "-21.5", UPTIME: "100"}
    assert values[ids[4]] == {UPTIME: "500"}
    assert search.fetch_columns([], [POWER]) == {}
    assert search.fetch_columns(ids[:1], []) == {ids[0]: {}}


def test_free_text_finds_identities_addresses_and_tags(devices: Devices, database_url: str) -> None:
    for number in (1, 2, 3):
        add_device(database_url, number, manufacturer=f"Maker {number}%")
    devices.add_tags(rows(database_url, "SELECT device_id FROM devices ORDER BY id")[2][0], ["tower-7"])
    serials = [serial_number_of(number) for number in (1, 2, 3)]
    assert find(devices, text="maker 2") == [serials[1]]
    assert find(devices, text="2%") == [serials[1]]
    assert find(devices, text="tower") == [serials[2]]
    assert find(devices, text="192.0.2.3") == [serials[2]]
    assert find(devices, text=serials[0].lower()) == [serials[0]]
    assert find(devices, text="nothing of this") == []


@pytest.mark.parametrize(
    "text", ["", "=", "a", "Device.X", ".X=1", "Device.X.=1", "Device.*=1", "*.X=1", "Device.*.X=1", "Device.X?1"]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        ValueCondition.parse(text)


def test_a_condition_is_written_as_it_is_read() -> None:
    for text in (
        "Device.X=",
        "Device.A.*.X>=3",
        "Device.X!=a=b",
        "Device.X?",
        "Device.X!",
        "Device.X~?",
        "Device.X==3",
    ):
        assert str(ValueCondition.parse(text)) == text
    assert not is_searchable("Device.A.*.")
    assert not is_searchable("Device.A*.B")

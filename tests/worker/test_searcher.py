"""The thread that makes the indexes of what devices are searched by."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.store.database import Database
from agent.store.device_query import DeviceFilter, DeviceOrder
from agent.store.devices import Devices
from agent.store.search_parameters import SearchParameters
from agent.store.value_search import ValueCondition
from agent.worker.searcher import Searcher
from tests.store.cpes import add_device, serial_number_of, write_values

PATH = "InternetGatewayDevice.WANDevice.1.RXPower"


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_fills_what_is_asked_for_when_it_is_woken(database_url: str) -> None:
    for number in range(1, 8):
        write_values(database_url, add_device(database_url, number), {PATH: f"-{number}"})
    beats: list[float] = []
    with Database(database_url) as database:
        search, devices = SearchParameters(database), Devices(database)
        searcher = Searcher(search, lambda: beats.append(time.monotonic()))
        searcher.start()
        try:
            eventually(lambda: len(beats) > 0)
            wanted = DeviceFilter(values=(ValueCondition.parse(f"{PATH}<-5"),))
            before = devices.fetch_page(wanted, DeviceOrder())
            assert len(search.fetch_unready()) == 1
            searcher.wake()
            eventually(lambda: search.fetch_unready() == ())
            after = devices.fetch_page(wanted, DeviceOrder())
            assert [row.serial_number for row in after.devices] == [serial_number_of(6), serial_number_of(7)]
            assert before == after
        finally:
            searcher.stop()

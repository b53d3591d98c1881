"""Values of devices in the database: what comes and goes, where it lives, and what is learned of models."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from agent.acs.paths import template_of, top_of
from agent.sim.postgres import EmbeddedPostgres
from agent.store import parameters
from agent.store.database import Database
from agent.store.parameters import MODELS_MOST, VALUE_MOST, ModelMemory, ParameterWriter
from tests.postgres_fixture import fresh_database
from tests.store.cpes import INFORMED, add_device, key_of
from tests.store.emptying import without_devices
from tests.store.farm import rows

UPTIME = "InternetGatewayDevice.DeviceInfo.SoftwareVersion"


@pytest.fixture(scope="module")
def shared_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def database_url(shared_url: str) -> str:
    return without_devices(shared_url)


class Store:
    """A device and a writer, each call in a transaction of its own, as a step of a session has it."""

    def __init__(self, database: Database, url: str, number: int = 1, memory: ModelMemory | None = None) -> None:
        self.url = url
        self.database = database
        self.device_id = add_device(url, number)
        self.device, self.model = key_of(url, self.device_id)
        self.writer = ParameterWriter(memory or ModelMemory())

    def write(self, values: dict[str, str], types: dict[str, str] | None = None, **more: Any) -> int:
        with self.database.transaction() as connection:
            change = self.writer.write(connection, self.device, self.model, values, types or {}, **more)
            self.writer.add_to_count(connection, self.device, change)
        return change

    def write_in_vain(self, values: dict[str, str], types: dict[str, str]) -> None:
        with self.database.transaction() as connection:
            self.writer.write(connection, self.device, self.model, values, types)
            raise psycopg.Rollback

    def drop(self, *paths: str) -> int:
        with self.database.transaction() as connection:
            change = self.writer.drop(connection, self.device, paths)
            self.writer.add_to_count(connection, self.device, change)
        return change

    def learn(self, writable: dict[str, bool]) -> None:
        with self.database.transaction() as connection:
            self.writer.learn_names(connection, self.device, self.model, writable)

    def adopt(self, values: dict[str, str]) -> None:
        with self.database.transaction() as connection:
            self.writer.adopt(connection, self.device, self.model, values, {})

    def values(self) -> dict[str, str]:
        return dict(rows(self.url, "SELECT name, value FROM parameters WHERE device_id = %s", self.device_id))

    def traits(self, name: str) -> tuple[Any, ...]:
        statement = "SELECT type, writable FROM parameters WHERE device_id = %s AND name = %s"
        (row,) = rows(self.url, statement, self.device_id, name)
        return row

    def chunks(self) -> dict[tuple[str, int], str]:
        found = rows(self.url, "SELECT top, part, xmin::text FROM parameter_chunks WHERE device_id = %s", self.device)
        return {(top, part): version for top, part, version in found}


@pytest.fixture
def store(database: Database, database_url: str) -> Store:
    return Store(database, database_url)


class TestValues:
    def test_whatever_comes_and_goes_they_are_a_dictionary(self, store: Store) -> None:
        chance = random.Random(7)
        wanted, count = dict(INFORMED), 0
        names = [f"Device.{top}.{i}.P{p}" for top in "AB" for i in range(40) for p in range(8)] + [
            *INFORMED,
            "Other.X.Y",
        ]
        for _ in range(25):
            if chance.random() < 0.7:
                batch = {name: str(chance.randrange(3)) for name in chance.sample(names, chance.randrange(1, 300))}
                count += store.write(batch, expected={"Device.A.": 320} if chance.random() < 0.5 else None)
                wanted |= batch
            else:
                gone = tuple(chance.choices(["Device.A.", "Device.B.7.", "Device.", "Other.", UPTIME, *names], k=3))
                count += store.drop(*gone)
                wanted = {
                    name: value
                    for name, value in wanted.items()
                    if name not in gone and not name.startswith(tuple(path for path in gone if path.endswith(".")))
                }
            assert store.values() == wanted
            assert count == len(wanted) - len(INFORMED)

    def test_what_is_the_same_is_not_written(self, store: Store) -> None:
        values = {f"Device.Thing.{number}.P": "0" for number in range(900)}
        store.write(values, expected={"Device.Thing.": 900})
        before = store.chunks()
        assert store.write(values) == 0
        assert store.chunks() == before
        store.write({**values, "Device.Thing.5.P": "1"})
        after = store.chunks()
        assert sum(before[key] != after[key] for key in before) == 1

    def test_what_an_inform_brings_lives_with_the_informs(self, store: Store, database_url: str) -> None:
        assert store.write({UPTIME: "2", "Device.X.Y": "1"}) == 1
        assert store.values()[UPTIME] == "2"
        assert rows(database_url, "SELECT count(*) FROM parameter_chunks") == [(1,)]
        assert store.drop("InternetGatewayDevice.DeviceInfo.", "Device.X.Y") == -2
        assert store.values() == {name: "" for name in INFORMED if "DeviceInfo" not in name}

    def test_what_moves_to_the_informs_is_there_once(self, store: Store, database_url: str) -> None:
        store.write({"Device.X.Y": "1", "Device.X.Z": "1"})
        store.adopt({**INFORMED, "Device.X.Y": "2", "Device.New.One": "3", "no path!": "4"})
        assert store.values() == {**INFORMED, "Device.X.Y": "2", "Device.X.Z": "1", "Device.New.One": "3"}
        assert rows(database_url, "SELECT parameter_count FROM devices") == [(3,)]

    def test_what_is_no_parameter_is_left_out_and_what_is_too_long_is_cut(self, store: Store) -> None:
        odd = {"Device.": "1", "Device..X": "1", "": "1", "Device.X Y": "1", "Device." + "x" * 300: "1"}
        assert store.write({**odd, "Device.Long": "é" * (VALUE_MOST + 5), "Device.Odd": "\u2028\U0001f600 %s {}"}) == 2
        assert len(store.values()["Device.Long"]) == VALUE_MOST
        assert store.values()["Device.Odd"] == "\u2028\U0001f600 %s {}"
        assert store.write(odd) == 0

    def test_what_is_dropped_below_two_roots_at_once_is_gone_and_nothing_else_is(self, store: Store) -> None:
        store.write({"Device.A.B": "1", "Other.A.B": "1", "Third.A.B": "1", "Third.C.D": "1", "DeviceX.A.B": "1"})
        assert store.drop("Device.", "Third.A.", "Other.") == -3
        assert set(store.values()) - set(INFORMED) == {"Third.C.D", "DeviceX.A.B"}


class TestModels:
    NAME = "Device.Thing.1.P"

    def test_devices_of_a_model_share_what_is_known(self, database: Database, database_url: str) -> None:
        one, other = (Store(database, database_url, number) for number in (1, 2))
        one.write({self.NAME: "1"}, {self.NAME: "int"})
        one.learn({self.NAME: True, "Device.Thing.": False})
        other.write({"Device.Thing.9.P": "1"})
        assert other.traits("Device.Thing.9.P") == ("int", True)

    def test_a_device_that_is_not_as_its_model_has_its_own(self, database: Database, database_url: str) -> None:
        one, other = (Store(database, database_url, number) for number in (1, 2))
        one.write({self.NAME: "1"}, {self.NAME: "int"})
        one.learn({self.NAME: True})
        other.write({self.NAME: "1"}, {self.NAME: "string"})
        assert (one.traits(self.NAME), other.traits(self.NAME)) == (("int", True), ("string", True))

    @pytest.mark.parametrize("type_first", [True, False])
    def test_one_that_differs_in_both_ways_keeps_both(
        self, database: Database, database_url: str, type_first: bool
    ) -> None:
        one, other = (Store(database, database_url, number) for number in (1, 2))
        one.write({self.NAME: "1"}, {self.NAME: "int"})
        one.learn({self.NAME: True})
        if type_first:
            other.write({self.NAME: "1"}, {self.NAME: "string"})
        other.learn({self.NAME: False})
        other.write({self.NAME: "2"}, {self.NAME: "string"})
        other.learn({self.NAME: False})
        assert other.traits(self.NAME) == ("string", False)

    def test_two_processes_complete_each_other(self, database: Database, database_url: str) -> None:
        one, other = (Store(database, database_url, number) for number in (1, 2))
        one.write({self.NAME: "1"})
        other.write({self.NAME: "1"})
        one.write({self.NAME: "1"}, {self.NAME: "int"})
        other.learn({self.NAME: True})
        assert one.traits(self.NAME) == other.traits(self.NAME) == ("int", True)

    def test_what_was_learned_in_vain_is_learned_again(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """PostgreSQL went away before the end of the transaction."""
        monkeypatch.setattr(parameters, "LOOK_AGAIN_SECONDS", 0.0)
        store.write_in_vain({self.NAME: "1"}, {self.NAME: "int"})
        store.write({self.NAME: "1"}, {self.NAME: "int"})
        assert store.traits(self.NAME) == ("int", None)

    def test_what_is_known_is_not_asked_again(self, store: Store, database_url: str) -> None:
        store.write({self.NAME: "1"}, {self.NAME: "int"})
        rows(database_url, "DELETE FROM model_parameters")
        store.write({self.NAME: "2"}, {self.NAME: "int"})
        assert store.traits(self.NAME) == (None, None), "it was not written a second time"

    def test_the_types_of_a_model_are_told(self, store: Store) -> None:
        store.write({self.NAME: "1", "Device.Y": "1"}, {self.NAME: "int"})
        with store.database.connection() as connection:
            memory = ModelMemory()
            found = memory.traits_of(connection, store.model, ["Device.Thing.77.P", "Device.Y", "Device.Z"])
            given = store.writer.given(connection, store.model, ["Device.Thing.{i}.P", "Device.Y"])
        assert found == {"Device.Thing.77.P": ("int", None), "Device.Y": (None, None), "Device.Z": (None, None)}
        assert given == {"Device.Thing.{i}.P"}

    def test_only_so_many_models_are_remembered(self, store: Store) -> None:
        memory = ModelMemory()
        with store.database.connection() as connection:
            for model in range(MODELS_MOST + 5):
                memory.traits_of(connection, model, ())
            assert len(memory._models) == MODELS_MOST


def test_the_database_has_the_same_words_as_we(database_url: str) -> None:
    paths = ["Device.", "Device.X", "Device.A.B", "Device.A.", "Device.A.1.2.B", "Device.A.1.", "Device.A1.2B.3", "D.1"]
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT path, parameter_template(path), parameter_top(path) FROM unnest(%s::text[]) AS given (path)",
            (paths,),
        ).fetchall()
    assert found == [(path, template_of(path), top_of(path)) for path in paths]

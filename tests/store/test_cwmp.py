"""Sessions on a real PostgreSQL: what an Inform costs and leaves, a discovery step by step, and who is kept out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from agent.acs.discovery import Profile
from agent.acs.identity import DeviceIdentity
from agent.acs.session.machine import Context, receive
from agent.acs.session.state import Phase, SessionState
from agent.acs.soap import messages as soap
from agent.acs.tasks import Task, parse_arguments
from agent.store.cwmp import Begun, CwmpStore, InformFacts, Verdict
from agent.store.cwmp_rows import SessionKey
from agent.store.database import Database
from agent.store.housekeeping import Housekeeping
from tests.acs.session.twins import FakeCpe

DEVICE = "00AB12-AX5400-SIM1"


@pytest.fixture
def store(database_url: str) -> Iterator[CwmpStore]:
    with Database(database_url, name="test acs") as database:
        yield CwmpStore(database)


@pytest.fixture
def sql(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def facts(
    values: dict[str, str] | None = None,
    *,
    serial: str = "SIM1",
    events: tuple[str, ...] = ("2 PERIODIC",),
    **fields: Any,
) -> InformFacts:
    given = (
        values if values is not None else {"Device.DeviceInfo.SoftwareVersion": "1", "Device.DeviceInfo.UpTime": "7"}
    )
    made = InformFacts(
        identity=DeviceIdentity(oui="00AB12", product_class="AX5400", serial_number=serial, manufacturer="Acme"),
        principal=None,
        worker="w1",
        peer="192.0.2.7",
        events=events,
        parameters=tuple(soap.ParameterValue(name=name, value=value) for name, value in given.items()),
        state=SessionState(version=soap.CwmpVersion.V1_2, phase=Phase.PROCESS, root="Device."),
        software_version=given.get("Device.DeviceInfo.SoftwareVersion"),
        hardware_version=None,
        connection_request_url=None,
        inform_interval_seconds=300,
        nonce=None,
        new_devices="accepted",
        new_per_minute=100,
        stale_seconds=30.0,
    )
    return replace(made, **fields)


def begin(store: CwmpStore, **fields: Any) -> SessionKey:
    begun = store.begin(facts(**fields))
    assert begun.key is not None, begun
    return begun.key


def converse(store: CwmpStore, key: SessionKey, cpe: FakeCpe, *, steps_most: int = 500) -> str:
    """The session from the empty POST on; how it ended."""
    incoming: soap.Envelope | None = None
    for _ in range(steps_most):
        loaded = store.load(key, principal=None, peer="192.0.2.7", empty=incoming is None, nonce=None)
        if loaded.verdict != "open":
            return loaded.verdict
        following = loaded.next_task
        context = Context(
            profile=Profile.parse(loaded.profile or {}),
            task=Task(
                id=following.id,
                arguments=parse_arguments(following.kind, following.arguments),
                attempts=following.attempts,
            )
            if following
            else None,
            discovery=bool(loaded.discovery),
            names=loaded.names or (),
            names_start=loaded.names_start or 0,
            names_total=loaded.total or 0,
        )
        step = receive(SessionState.parse(loaded.state or {}), incoming, context)
        assert store.save(key, loaded, step)
        if step.reply.envelope is None:
            return "ended by us"
        assert step.reply.envelope.message is not None
        answer = cpe.answer(step.reply.envelope.message)
        incoming = soap.Envelope(message=answer, id=step.reply.envelope.id)
    raise AssertionError("the session does not end")


def discover(store: CwmpStore, cpe: FakeCpe, **fields: Any) -> None:
    assert converse(store, begin(store, **fields), cpe) == "ended by us"


def parameters(sql: psycopg.Connection[Any]) -> dict[str, str]:
    return dict(sql.execute("SELECT name, value FROM parameters ORDER BY name").fetchall())


def one(sql: psycopg.Connection[Any], statement: str) -> Any:
    row = sql.execute(statement.encode()).fetchone()
    return row[0] if row and len(row) == 1 else row


def tree(count: int) -> dict[str, str]:
    names = {f"Device.Thing.{number // 4 + 1}.P{number % 4}": str(number) for number in range(count)}
    return {**names, "Device.DeviceInfo.SoftwareVersion": "1", "Device.DeviceInfo.UpTime": "7"}


class TestInform:
    def test_a_device_that_was_never_seen_is_registered(self, store: CwmpStore, sql: psycopg.Connection[Any]) -> None:
        begin(store)
        row = one(sql, "SELECT device_id, manufacturer, software_version, inform_interval_seconds FROM devices")
        assert row == (DEVICE, "Acme", "1", 300)
        assert parameters(sql) == {"Device.DeviceInfo.SoftwareVersion": "1", "Device.DeviceInfo.UpTime": "7"}
        assert one(sql, "SELECT kind FROM events WHERE device_id IS NOT NULL") == "device_added"

    def test_a_session_with_nothing_to_do_is_two_calls(self, store: CwmpStore, sql: psycopg.Connection[Any]) -> None:
        discover(store, FakeCpe(tree(8)))
        before = one(
            sql, "SELECT sum(n_tup_ins + n_tup_upd) FROM pg_stat_user_tables WHERE relname = 'parameter_chunks'"
        )
        key = begin(store, values={"Device.DeviceInfo.SoftwareVersion": "1", "Device.DeviceInfo.UpTime": "8"})
        assert store.load(key, principal=None, peer="192.0.2.7", empty=True, nonce=None).verdict == "ended"
        assert parameters(sql)["Device.DeviceInfo.UpTime"] == "8"
        assert one(sql, "SELECT outcome FROM sessions ORDER BY id DESC LIMIT 1") == "completed"
        assert one(sql, "SELECT count(*) FROM cwmp_sessions") == 0
        after = one(
            sql, "SELECT sum(n_tup_ins + n_tup_upd) FROM pg_stat_user_tables WHERE relname = 'parameter_chunks'"
        )
        assert after == before

    def test_a_second_inform_waits_for_the_first_session(self, store: CwmpStore) -> None:
        begin(store)
        assert store.begin(facts()) == Begun(verdict=Verdict.BUSY)

    def test_a_stale_session_is_taken_over(self, store: CwmpStore, sql: psycopg.Connection[Any]) -> None:
        first = begin(store)
        second = begin(store, stale_seconds=0.0)
        assert first != second
        assert store.load(first, principal=None, peer="192.0.2.7", empty=True, nonce=None).verdict == "gone"
        assert one(sql, "SELECT outcome FROM sessions") == "taken_over"

    def test_a_device_that_has_restarted_need_not_wait(self, store: CwmpStore) -> None:
        begin(store)
        begin(store, events=("1 BOOT",))

    @pytest.mark.parametrize(("state", "verdict"), [("held", Verdict.HELD), ("refused", Verdict.REFUSED)])
    def test_new_devices_may_have_to_wait(self, store: CwmpStore, state: str, verdict: Verdict) -> None:
        for _ in range(2):
            assert store.begin(facts(new_devices=state)).verdict is verdict

    def test_no_more_new_devices_than_may_be_in_a_minute(self, store: CwmpStore) -> None:
        for number in range(3):
            begin(store, serial=f"SIM{number}", new_per_minute=3)
        assert store.begin(facts(serial="SIM9", new_per_minute=3)).verdict is Verdict.TOO_MANY
        assert store.begin(facts(serial="SIM1", new_per_minute=3, stale_seconds=0.0)).verdict is Verdict.BEGUN

    def test_a_nonce_is_good_once_for_each_count(self, store: CwmpStore) -> None:
        assert store.begin(facts(nonce=("n", 2))).verdict is Verdict.BEGUN
        for count in (1, 2):
            assert store.begin(facts(nonce=("n", count), stale_seconds=0.0)).verdict is Verdict.REPLAYED
        assert store.begin(facts(nonce=("n", 3), stale_seconds=0.0)).verdict is Verdict.BEGUN

    def test_a_value_that_an_inform_brings_for_the_first_time_moves(
        self, store: CwmpStore, sql: psycopg.Connection[Any]
    ) -> None:
        discover(store, FakeCpe(tree(8)))
        count = one(sql, "SELECT parameter_count FROM devices")
        values = {"Device.DeviceInfo.SoftwareVersion": "1", "Device.DeviceInfo.UpTime": "9", "Device.Thing.1.P0": "new"}
        begin(store, values=values, events=("4 VALUE CHANGE",))
        assert parameters(sql) == {**tree(8), **values}
        assert one(sql, "SELECT parameter_count FROM devices") == count

    def test_a_session_is_its_own_devices_and_address_and_principals(self, store: CwmpStore) -> None:
        key = begin(store, principal="alice")
        ask: dict[str, Any] = {"empty": True, "nonce": None}
        assert store.load(key, principal="bob", peer="192.0.2.7", **ask).verdict == "foreign"
        assert store.load(key, principal="alice", peer="192.0.2.8", **ask).verdict == "foreign"
        wrong = SessionKey(key.device, "x" * 22)
        assert store.load(wrong, principal="alice", peer="192.0.2.7", **ask).verdict == "gone"
        assert store.load(key, principal=None, peer="192.0.2.7", **ask).verdict == "open"

    def test_an_answer_without_a_cookie_is_known_by_its_id(self, store: CwmpStore) -> None:
        key = begin(store)
        assert store.find_by_id(f"{key.tag}3") == key
        assert store.find_by_id(f"{key.device}.wrongtag00.3") is None
        assert store.find_by_peer("192.0.2.7", None) == key
        begin(store, serial="SIM2")
        assert store.find_by_peer("192.0.2.7", None) is None, "two devices behind one address: not to be told apart"


class TestDiscovery:
    def test_all_is_stored_with_type_and_writability(self, store: CwmpStore, sql: psycopg.Connection[Any]) -> None:
        discover(store, FakeCpe(tree(2400)))
        assert parameters(sql) == tree(2400)
        assert one(sql, "SELECT parameter_count FROM devices") == 2402
        row = sql.execute("SELECT type, writable FROM parameters WHERE name = 'Device.Thing.1.P0'").fetchone()
        assert row == ("string", False)
        assert one(sql, "SELECT discovery_wanted FROM devices") is False
        assert (
            one(
                sql,
                "SELECT max(n) FROM"
                " (SELECT count(*) AS n FROM parameter_chunks, jsonb_object_keys(values) GROUP BY top, part)"
                " AS counts",
            )
            < 500
        )

    def test_a_second_one_writes_what_has_changed(self, store: CwmpStore, sql: psycopg.Connection[Any]) -> None:
        discover(store, FakeCpe(tree(2400)))
        changed = {**tree(2400), "Device.Thing.5.P1": "other"}
        del changed["Device.Thing.600.P3"]
        before = dict(sql.execute("SELECT top || part, xmin::text FROM parameter_chunks").fetchall())
        discover(store, FakeCpe(changed), events=("0 BOOTSTRAP",))
        assert parameters(sql) == changed
        after = dict(sql.execute("SELECT top || part, xmin::text FROM parameter_chunks").fetchall())
        assert 1 <= sum(before[name] != after[name] for name in before) <= 2

    def test_progress_is_seen_while_it_runs(self, store: CwmpStore, sql: psycopg.Connection[Any]) -> None:
        sql.execute("LISTEN session_progress")

        class Watched(FakeCpe):
            def answer(self, request: soap.Message) -> soap.Message | None:
                if isinstance(request, soap.GetParameterValues):
                    seen.append(one(sql, "SELECT (batch, batches) FROM cwmp_sessions"))
                return super().answer(request)

        seen: list[Any] = []
        discover(store, Watched(tree(2400)))
        assert len(seen) > 2
        assert len([*sql.notifies(timeout=1, stop_after=len(seen))]) >= len(seen) - 1

    def test_a_type_that_differs_from_the_model_is_the_devices_own(
        self, store: CwmpStore, sql: psycopg.Connection[Any]
    ) -> None:
        discover(store, FakeCpe(tree(4)))

        class Odd(FakeCpe):
            def answer(self, request: soap.Message) -> soap.Message | None:
                answer = super().answer(request)
                if isinstance(answer, soap.GetParameterValuesResponse):
                    return soap.GetParameterValuesResponse(
                        parameters=tuple(replace(each, type="int") for each in answer.parameters)
                    )
                return answer

        discover(store, Odd(tree(4)), serial="SIM2")
        types = sql.execute(
            "SELECT device_id, type FROM parameters WHERE name = 'Device.Thing.1.P0' ORDER BY 1"
        ).fetchall()
        assert types == [(DEVICE, "string"), ("00AB12-AX5400-SIM2", "int")]

    def test_a_name_that_was_only_gone_for_one_device_is_not_bad_for_the_model(
        self, store: CwmpStore, sql: psycopg.Connection[Any]
    ) -> None:
        cpe = FakeCpe(tree(600), bad=frozenset({"Device.Thing.99.P1"}))
        discover(store, cpe)
        assert one(sql, "SELECT profile -> 'bad' FROM device_models") == []
        assert "Device.Thing.98.P1" in parameters(sql)


class TestTasks:
    def ask(self, sql: psycopg.Connection[Any], kind: str, arguments: str = "{}") -> None:
        sql.execute(
            "INSERT INTO tasks (device_id, kind, arguments, priority, expires_at)"
            " SELECT id, %s, %s::jsonb, 50, now() + interval '1 hour' FROM devices",
            (kind, arguments),
        )

    def test_it_is_done_in_the_next_session(self, store: CwmpStore, sql: psycopg.Connection[Any]) -> None:
        discover(store, FakeCpe(tree(4)))
        self.ask(sql, "getParameterValues", '{"names": ["Device.Thing.1."]}')
        discover(store, FakeCpe(tree(4)))
        assert one(sql, "SELECT status, result ->> 'count' FROM tasks") == ("completed", "4")

    def test_a_fault_is_raised_and_goes_with_success(self, store: CwmpStore, sql: psycopg.Connection[Any]) -> None:
        discover(store, FakeCpe(tree(4)))
        self.ask(sql, "reboot")
        discover(store, FakeCpe(tree(4), faults={"Reboot": soap.Fault(code="9001", string="not now")}))
        assert one(sql, "SELECT status, fault_code, not_before > now() FROM tasks") == ("pending", "9001", True)
        assert one(sql, "SELECT channel LIKE 'task_%', code, retry_at > now() FROM faults") == (True, "9001", True)
        sql.execute("UPDATE tasks SET not_before = '-infinity'")
        discover(store, FakeCpe(tree(4)))
        assert one(sql, "SELECT status FROM tasks") == "completed"
        assert one(sql, "SELECT count(*) FROM faults") == 0

    def test_what_was_asked_of_a_device_that_fell_silent_is_asked_again(
        self, store: CwmpStore, sql: psycopg.Connection[Any], database_url: str
    ) -> None:
        discover(store, FakeCpe(tree(4)))
        self.ask(sql, "getRPCMethods")
        key = begin(store)
        loaded = store.load(key, principal=None, peer="192.0.2.7", empty=True, nonce=None)
        following = loaded.next_task
        assert following is not None
        task = Task(id=following.id, arguments=parse_arguments(following.kind, following.arguments))
        step = receive(SessionState.parse(loaded.state or {}), None, Context(task=task))
        assert store.save(key, loaded, step)
        assert one(sql, "SELECT status, attempts FROM tasks") == ("sent", 1)
        with Database(database_url) as database:
            tidied = Housekeeping(database).tidy(idle_seconds=0.0, nonce_seconds=300)
        assert tidied.sessions_ended == 1
        assert one(sql, "SELECT status FROM tasks") == "pending"
        assert one(sql, "SELECT outcome FROM sessions ORDER BY id DESC LIMIT 1") == "timeout"

    def test_of_two_workers_with_one_message_one_is_heard(self, store: CwmpStore) -> None:
        key = begin(store)
        loaded = store.load(key, principal=None, peer="192.0.2.7", empty=True, nonce=None)
        step = receive(SessionState.parse(loaded.state or {}), None, Context(discovery=True))
        assert store.save(key, loaded, step)
        assert not store.save(key, loaded, step)

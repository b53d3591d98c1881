"""GET …/history: the right steps, rates and units, and nothing that is out of sight."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from agent.store.rows import Role, Scope
from agent.web.services import Services
from tests.store.farm import HOST, rows, serial_of
from tests.web.conftest import MODEM, Headers

NOW = datetime.now(UTC)
BEGIN = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)


@pytest.fixture
def samples(url: str) -> None:
    for number in (1, 2):
        rows(
            url,
            "INSERT INTO modem_samples (serial, at, status, rsrp_dbm, rsrq_db, sinr_db, rssi_dbm, rx_bytes, tx_bytes)"
            " SELECT %s, at, 'online', -90.04, -10, 12, -60, 1250 * extract(epoch FROM at - %s)::bigint, 0"
            " FROM generate_series(%s::timestamptz, %s, interval '30 seconds') AS at",
            serial_of(number),
            BEGIN,
            BEGIN,
            BEGIN + timedelta(hours=1),
        )


def get(client: FlaskClient, path: str, headers: Headers, **query: object) -> Any:
    answer = client.get(f"/api/v1{path}", headers=headers, query_string=query)
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()


def line(view: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in view["lines"] if each["name"] == name)


@pytest.mark.usefixtures("samples")
def test_a_modems_signal_and_traffic_come_in_columns(client: FlaskClient, viewer: Headers) -> None:
    view = get(
        client,
        f"/modems/{MODEM}/history",
        viewer,
        **{"from": BEGIN.isoformat(), "to": (BEGIN + timedelta(hours=1)).isoformat()},
    )
    assert (view["step_seconds"], view["source"]) == (60, "samples")
    assert view["times"][:2] == [BEGIN.timestamp(), BEGIN.timestamp() + 60]
    assert all(len(each["values"]) == len(view["times"]) == 60 for each in view["lines"])
    assert line(view, "rsrp") == {"name": "rsrp", "unit": "dBm", "values": [-90.0] * 60}
    # 1250 bytes a second are 10 kbit/s.
    assert set(line(view, "receive_rate")["values"][1:]) == {10_000}
    assert set(line(view, "received")["values"][1:]) == {75_000}
    assert set(line(view, "online")["values"]) == {100}


@pytest.mark.usefixtures("samples")
def test_only_the_metrics_that_were_asked_for_come_in_their_order(client: FlaskClient, viewer: Headers) -> None:
    view = get(client, f"/modems/{MODEM}/history", viewer, metric=["sinr", "rsrp", "sinr"])
    assert [each["name"] for each in view["lines"]] == ["sinr", "rsrp"]


@pytest.mark.usefixtures("samples")
def test_the_rate_of_a_step_that_is_under_way_does_not_dive(client: FlaskClient, viewer: Headers) -> None:
    end = BEGIN + timedelta(minutes=30, seconds=31)
    query = {"from": (BEGIN + timedelta(minutes=5)).isoformat(), "to": end.isoformat(), "metric": "receive_rate"}
    values = get(client, f"/modems/{MODEM}/history", viewer, **query)["lines"][0]["values"]
    assert min(values) > 9000


@pytest.mark.usefixtures("samples")
def test_the_fleet_is_the_sum_of_its_modems(client: FlaskClient, viewer: Headers) -> None:
    query = {"from": (BEGIN + timedelta(minutes=1)).isoformat(), "to": (BEGIN + timedelta(hours=1)).isoformat()}
    view = get(client, "/history/modems", viewer, **query)
    assert set(line(view, "receive_rate")["values"]) == {20_000}
    assert set(line(view, "rsrp_least")["values"]) == {-90.0}
    assert set(line(get(client, "/history/modems", viewer, host="elsewhere"), "rsrp")["values"]) == {None}


@pytest.mark.usefixtures("samples")
def test_what_is_out_of_scope_is_not_there(client: FlaskClient, services: Services) -> None:
    def headers(name: str, scope: Scope) -> Headers:
        return {"Authorization": f"Bearer {services.tokens.create(name, Role.VIEWER, scope=scope)}"}

    ours, theirs = headers("ours", Scope(hosts=(HOST,))), headers("theirs", Scope(hosts=("elsewhere",)))
    query = {"from": BEGIN.isoformat()}
    assert client.get(f"/api/modems/{MODEM}/history", headers=theirs).status_code == 404
    assert set(line(get(client, "/history/modems", theirs, **query), "received")["values"]) == {None}
    assert {10_000, 20_000} & set(line(get(client, "/history/modems", ours, **query), "receive_rate")["values"])
    assert client.get(f"/api/modems/{MODEM}/history", headers=ours).status_code == 200


def test_sessions_are_counted_by_outcome_and_none_is_zero(client: FlaskClient, viewer: Headers, url: str) -> None:
    # Not earlier: the history of a database begins with the database.
    ended = datetime.now(UTC)
    rows(
        url,
        "INSERT INTO sessions (device_id, started_at, ended_at, inform_events, messages_exchanged, outcome, worker)"
        " VALUES (1, %s, %s, '{}', 4, 'completed', 'w')",
        ended - timedelta(seconds=2.5),
        ended,
    )
    view = get(client, "/history/sessions", viewer)
    assert (view["step_seconds"], [each["unit"] for each in view["lines"]]) == (300, ["sessions"] * 4 + ["s"])
    assert sum(line(view, "completed")["values"]) == 1
    assert set(line(view, "failed")["values"]) == {0}
    assert {2.5, None} == set(line(view, "duration")["values"])


@pytest.mark.parametrize(
    "query",
    [
        "metric=nothing",
        "points=601",
        "points=2",
        "from=2026-01-01T00:00:00",
        "from=yesterday",
        "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
        "from=1900-01-01T00:00:00Z",
        "to=0001-01-01T00:00:00Z",
        "begin=2026-01-01T00:00:00Z",
    ],
)
def test_what_makes_no_sense_is_refused(client: FlaskClient, viewer: Headers, query: str) -> None:
    answer = client.get(f"/api/modems/{MODEM}/history?{query}", headers=viewer)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (400, "bad_request")


def test_times_far_away_are_empty_and_no_error(client: FlaskClient, viewer: Headers) -> None:
    for begin, end in (
        ("1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z"),
        ("9998-12-30T00:00:00Z", "9999-12-31T00:00:00Z"),
    ):
        view = get(client, f"/modems/{MODEM}/history", viewer, **{"from": begin, "to": end})
        assert all(set(each["values"]) == {None} for each in view["lines"])


def test_there_is_no_history_of_a_modem_that_is_not_there(client: FlaskClient, viewer: Headers) -> None:
    for serial in ("860000000000999", "..", "x" * 65):
        assert client.get(f"/api/modems/{serial}/history", headers=viewer).status_code == 404

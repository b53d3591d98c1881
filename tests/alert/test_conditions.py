"""What each kind of rule sees."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agent.alert import conditions
from agent.alert.facts import DatabaseFacts, HostFacts, ModemFacts, OverdueDevice
from agent.alert.model import Rule, RuleKind, Seen, Subject, SubjectKind
from agent.alert.parameters import PARAMETERS, ParameterError, fill_parameters
from agent.modem.model import ModemState
from tests.alert.book import BEGIN, make_rule

NONE: frozenset[Subject] = frozenset()
WELL = ModemFacts(
    serial="860000000000001",
    host="farm-1",
    slot="1-1.1",
    present=True,
    enabled=True,
    status=ModemState.ONLINE,
    reason="",
    registration="home",
    rsrp_dbm=-90.0,
    rsrq_db=-10.0,
    sinr_db=12.0,
    wan_address="100.64.0.1",
    rotated_at=None,
    address_before=None,
    host_seen_at=BEGIN,
)


def look(kind: RuleKind, modem: ModemFacts, known: frozenset[Subject] = NONE, **parameters: Any) -> Seen:
    return conditions.see_modems(make_rule(kind=kind, parameters=parameters), [modem], known, BEGIN)


def summaries(found: Seen) -> list[str]:
    return [sighting.summary for sighting in found.sightings]


@pytest.mark.parametrize("kind", sorted(conditions.MODEM_KINDS))
def test_a_modem_that_is_well_is_no_alert(kind: RuleKind) -> None:
    assert look(kind, WELL) == Seen()


@pytest.mark.parametrize("kind", sorted(conditions.MODEM_KINDS))
@pytest.mark.parametrize("status", list(ModemState))
def test_one_that_is_not_wanted_up_is_no_alert(kind: RuleKind, status: ModemState) -> None:
    bad = replace(
        WELL,
        enabled=False,
        status=status,
        rsrp_dbm=-140,
        reason="no way through: x",
        rotated_at=BEGIN,
        address_before="100.64.0.1",
    )
    assert look(kind, bad) == Seen()


@pytest.mark.parametrize(
    "status",
    [state for state in ModemState if state not in (ModemState.ONLINE, ModemState.DEGRADED, ModemState.QUARANTINED)],
)
def test_without_a_connection_a_modem_is_offline(status: ModemState) -> None:
    (summary,) = summaries(look(RuleKind.MODEM_OFFLINE, replace(WELL, status=status, reason="because")))
    assert summary == f"Modem 860000000000001: {status.value.replace('_', ' ')}, because"


def test_a_quarantined_modem_is_told_of_as_such_only() -> None:
    modem = replace(WELL, status=ModemState.QUARANTINED, reason="recovery did not help")
    assert look(RuleKind.MODEM_OFFLINE, modem) == Seen()
    assert summaries(look(RuleKind.MODEM_QUARANTINED, modem)) == [
        "Modem 860000000000001: quarantined, recovery did not help"
    ]


def test_what_a_silent_agent_said_last_is_not_believed() -> None:
    for kind in conditions.MODEM_KINDS:
        modem = replace(WELL, status=ModemState.OFFLINE, host_seen_at=BEGIN - timedelta(seconds=91))
        found = look(kind, modem)
        assert (found.sightings, len(found.unknown)) == ((), 1)


def test_a_carrier_that_refuses_although_the_signal_is_good_may_want_money() -> None:
    reason = "asking for a data connection: QMI CallFailed: the SIM is not subscribed to this service (3gpp 33)"
    refused = replace(WELL, status=ModemState.CONNECTING, reason=reason)
    mute = replace(WELL, status=ModemState.DEGRADED, reason="no way through: timed out")
    for modem in (refused, mute):
        assert "out of credit" in summaries(look(RuleKind.MODEM_OUT_OF_CREDIT, modem))[0]
    assert look(RuleKind.MODEM_OUT_OF_CREDIT, replace(refused, rsrp_dbm=-116.0)) == Seen()
    assert look(RuleKind.MODEM_OUT_OF_CREDIT, replace(refused, rsrp_dbm=None)) == Seen()
    assert look(RuleKind.MODEM_OUT_OF_CREDIT, replace(refused, reason="the AT port does not answer")) == Seen()
    assert look(RuleKind.MODEM_OUT_OF_CREDIT, replace(refused, present=False)) == Seen()


def test_a_weak_signal_is_told_with_its_value_and_its_limit() -> None:
    weak = replace(WELL, rsrp_dbm=-118.5)
    found = look(RuleKind.SIGNAL_BELOW, weak)
    assert summaries(found) == ["Modem 860000000000001: RSRP is -118.5 dBm, the limit is -118 dBm"]
    assert found.sightings[0].value == -118.5
    assert look(RuleKind.SIGNAL_BELOW, replace(weak, rsrp_dbm=-118.0)) == Seen()
    assert look(RuleKind.SIGNAL_BELOW, replace(weak, rsrp_dbm=None)) == Seen()
    assert look(RuleKind.SIGNAL_BELOW, replace(weak, status=ModemState.SEARCHING)) == Seen()
    only_sinr: dict[str, Any] = {"rsrp_dbm": None, "sinr_db": 0}
    assert look(RuleKind.SIGNAL_BELOW, weak, **only_sinr) == Seen()
    assert "SINR is -1 dB" in summaries(look(RuleKind.SIGNAL_BELOW, replace(weak, sinr_db=-1.0), **only_sinr))[0]


def test_a_signal_must_be_better_by_some_before_it_is_good_again() -> None:
    known = frozenset({Subject(kind=SubjectKind.MODEM, name=WELL.serial)})
    for dbm, told in ((-116.0, True), (-115.0, False)):
        assert bool(look(RuleKind.SIGNAL_BELOW, replace(WELL, rsrp_dbm=dbm), known).sightings) is told
    assert look(RuleKind.SIGNAL_BELOW, replace(WELL, rsrp_dbm=-116.0)) == Seen()


def test_an_address_that_a_reconnect_did_not_change_is_told_for_a_day() -> None:
    kept = replace(WELL, rotated_at=BEGIN - timedelta(hours=1), address_before="100.64.0.1")
    assert "still has the address 100.64.0.1" in summaries(look(RuleKind.ADDRESS_UNCHANGED, kept))[0]
    assert look(RuleKind.ADDRESS_UNCHANGED, replace(kept, wan_address="100.64.0.2")) == Seen()
    assert look(RuleKind.ADDRESS_UNCHANGED, replace(kept, wan_address=None)) == Seen()
    assert look(RuleKind.ADDRESS_UNCHANGED, replace(kept, rotated_at=BEGIN - timedelta(hours=25))) == Seen()


def test_a_rule_looks_at_its_hosts_only() -> None:
    rule = make_rule(hosts=frozenset({"farm-2"}))
    modems = [replace(WELL, status=ModemState.OFFLINE, host=host, serial=host) for host in ("farm-1", "farm-2")]
    found = conditions.see_modems(rule, modems, NONE, BEGIN)
    assert [sighting.subject.name for sighting in found.sightings] == ["farm-2"]


def test_a_silent_agent_is_told_with_how_much_hangs_on_it() -> None:
    rule = make_rule(kind=RuleKind.HOST_SILENT)
    hosts = [
        HostFacts(name="farm-1", seen_at=BEGIN - timedelta(seconds=91), modems=1),
        HostFacts(name="farm-2", seen_at=BEGIN, modems=3),
    ]
    (sighting,) = conditions.see_hosts(rule, hosts, BEGIN).sightings
    assert sighting.summary == "The agent on farm-1 was last heard of at 2025-12-31 23:58 UTC; it looks after 1 modem"


def test_a_controller_with_too_many_modems_is_told() -> None:
    rule = make_rule(kind=RuleKind.ENDPOINT_BUDGET)
    modems = [replace(WELL, serial=str(number), slot=f"{1 + number // 7}-1.{number}") for number in range(13)]
    (sighting,) = conditions.see_controllers(rule, modems).sightings
    assert sighting.subject.name == "farm-1 USB bus 1"
    assert sighting.summary == "7 modems on USB bus 1 of farm-1 take about 98 endpoints, its controller has 96"
    away = [replace(modem, present=False) if modem.serial == "0" else modem for modem in modems]
    assert conditions.see_controllers(rule, away) == Seen()


def test_a_crowd_is_a_hundred_alerts_and_one_for_the_rest_and_those_that_are_open_stay() -> None:
    modems = [replace(WELL, serial=f"{number:05}", status=ModemState.OFFLINE) for number in range(150)]
    last = Subject(kind=SubjectKind.MODEM, name="00149")
    found = conditions.see_modems(make_rule(), modems, frozenset({last}), BEGIN)
    assert len(found.sightings) == conditions.SIGHTINGS_MOST + 1
    assert found.sightings[0].subject == last
    assert found.sightings[-1].summary == "50 more modems of which the same is true"
    devices = [OverdueDevice(device_id=f"d{number}", last_inform=BEGIN) for number in range(conditions.SIGHTINGS_MOST)]
    crowd = conditions.see_devices(devices, 12_345, NONE)
    assert (len(crowd.sightings), crowd.sightings[-1].value) == (101, 12_245)
    assert len(conditions.see_devices(devices, 100, NONE).sightings) == 100


def test_rates_and_queues_are_told_when_they_pass_their_limit() -> None:
    faults, queue = make_rule(kind=RuleKind.FAULT_RATE), make_rule(kind=RuleKind.QUEUE_DEPTH)
    assert conditions.see_faults(faults, 50) == Seen()
    assert summaries(conditions.see_faults(faults, 51)) == ["51 new faults of devices in 60 minutes"]
    assert conditions.see_queue(queue, 1000) == Seen()
    assert summaries(conditions.see_queue(queue, 1001)) == ["1001 tasks are due and wait for their devices"]


def test_a_database_in_trouble_is_told() -> None:
    rule = make_rule(kind=RuleKind.DATABASE)
    well = DatabaseFacts(connections_used=90, connections_most=100, transaction_seconds=3600)
    assert conditions.see_database(rule, well) == Seen()
    bad = DatabaseFacts(connections_used=91, connections_most=100, transaction_seconds=7200)
    assert summaries(conditions.see_database(rule, bad)) == [
        "91 of PostgreSQL's 100 connections are in use",
        "A transaction has been open in PostgreSQL for 120 minutes",
    ]


@pytest.mark.parametrize("kind", list(RuleKind))
def test_the_defaults_of_every_kind_are_within_its_ranges(kind: RuleKind) -> None:
    filled = fill_parameters(kind, {})
    assert filled == {each.name: each.default for each in PARAMETERS[kind]}
    assert fill_parameters(kind, filled) == filled
    rule = make_rule(kind=kind)
    assert isinstance(rule, Rule)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (RuleKind.MODEM_OFFLINE, {"seconds": 3}),
        (RuleKind.HOST_SILENT, {"seconds": 3}),
        (RuleKind.HOST_SILENT, {"seconds": None}),
        (RuleKind.HOST_SILENT, {"seconds": "90"}),
        (RuleKind.HOST_SILENT, {"seconds": True}),
        (RuleKind.HOST_SILENT, {"seconds": float("nan")}),
        (RuleKind.QUEUE_DEPTH, {"tasks": 10**400}),
        (RuleKind.SIGNAL_BELOW, {"rsrp_dbm": None}),
    ],
)
def test_what_a_kind_does_not_take_is_refused(kind: RuleKind, given: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        fill_parameters(kind, given)

"""Modems are let in after their events have settled, in batches, and none is forgotten."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agent.core.identifiers import Slot
from agent.modem.admission import Admission, AdmissionPolicy
from agent.modem.model import Hardware
from tests.modem.world import hardware

POLICY = AdmissionPolicy(collect_seconds=2.0, batch_size=5, batch_interval_seconds=5.0)


def modems(count: int) -> list[Hardware]:
    return [replace(hardware(), slot=Slot(f"1-{number}")) for number in range(1, count + 1)]


def test_one_modem_is_admitted_when_its_events_have_settled() -> None:
    gate = Admission(POLICY)
    first = gate.update(modems(1), 100.0)
    assert first.admitted == ()
    assert first.next_due == 102.0
    assert gate.update(modems(1), 101.9).admitted == ()
    assert len(gate.update(modems(1), 102.0).admitted) == 1
    assert gate.update(modems(1), 103.0).admitted == ()


def test_thirty_at_once_come_in_batches_of_five_every_five_seconds() -> None:
    gate, now, admitted = Admission(POLICY), 100.0, []
    due = gate.update(modems(30), now).next_due
    while due is not None:
        now = due
        changes = gate.update(modems(30), now)
        admitted.append((now, len(changes.admitted)))
        due = changes.next_due
    assert admitted == [(102.0 + 5.0 * number, 5) for number in range(6)]


def test_a_modem_that_leaves_before_its_turn_is_not_admitted() -> None:
    gate = Admission(POLICY)
    gate.update(modems(7), 0.0)
    gate.update(modems(7), 2.0)
    later = gate.update(modems(5), 7.0)
    assert later.admitted == ()
    assert later.gone == ()
    assert later.next_due is None


def test_new_ports_in_the_same_slot_are_a_change_and_not_a_new_modem() -> None:
    gate = Admission(POLICY)
    gate.update(modems(1), 0.0)
    gate.update(modems(1), 2.0)
    moved = replace(modems(1)[0], at_node="/dev/ttyUSB6")
    assert gate.update([moved], 3.0).changed == (moved,)
    assert gate.update([moved], 4.0).changed == ()
    assert gate.update([], 5.0).gone == (Slot("1-1"),)


def test_a_modem_in_the_wrong_usb_mode_is_let_in_later_so_that_it_can_be_repaired() -> None:
    gate = Admission(POLICY)
    half = replace(hardware(complete=False), slot=Slot("1-1"))
    assert gate.update([half], 0.0).next_due == 10.0
    assert gate.update([half], 9.0).admitted == ()
    assert gate.update([half], 10.0).admitted == (half,)


def test_a_modem_without_any_port_waits_for_its_ports() -> None:
    gate = Admission(POLICY)
    bare = replace(hardware(complete=False), at_node=None)
    assert gate.update([bare], 0.0).next_due is None
    assert gate.update([bare], 1000.0).admitted == ()


@given(
    steps=st.lists(st.tuples(st.sets(st.integers(1, 12)), st.floats(0.0, 4.0)), max_size=25),
)
def test_every_modem_that_stays_is_admitted_once_and_batches_are_never_exceeded(
    steps: list[tuple[set[int], float]],
) -> None:
    gate, now = Admission(POLICY), 0.0
    inside: set[Slot] = set()
    times: list[float] = []
    everyone = set(range(1, 13))
    for present, seconds in [*steps, *[(everyone, 2.5)] * 12]:
        now += seconds
        changes = gate.update([each for each in modems(12) if int(each.slot[2:]) in present], now)
        inside -= set(changes.gone)
        for each in changes.admitted:
            assert each.slot not in inside
            inside.add(each.slot)
            times.append(now)
        assert inside <= {Slot(f"1-{number}") for number in present}
    assert len(inside) == 12
    for start in times:
        assert (
            sum(1 for time in times if start <= time < start + POLICY.batch_interval_seconds) <= 2 * POLICY.batch_size
        )

"""What needs attention, and in which order."""

from __future__ import annotations

from datetime import timedelta

from agent.modem.model import ModemState
from agent.web.pages.attention import Concern, concerns
from tests.web.pages.rows import AT, make_counts, make_host, make_modem


def look(**values: object) -> tuple[Concern, ...]:
    arguments = {"modems": (), "hosts": (make_host(),), "devices": make_counts(), "faults": 0, "at": AT, **values}
    return concerns(**arguments)  # type: ignore[arg-type]


def test_nothing_needs_attention_when_all_is_well() -> None:
    assert look(modems=(make_modem(1), make_modem(2))) == ()


def test_a_silent_agent_comes_first_and_speaks_for_its_modems() -> None:
    found = look(
        hosts=(make_host(silent_seconds=600),),
        modems=(make_modem(status=ModemState.DEGRADED, reason="no way through"),),
        faults=2,
    )
    assert [each.title for each in found] == ["Agent on farm-1", "2 faults of devices"]
    assert found[0].tone == "bad"
    assert "10\u202fmin" in found[0].what


def test_a_few_modems_are_told_one_by_one_and_many_together() -> None:
    ailing = [
        make_modem(number, status=ModemState.QUARANTINED, registration="denied", wan_address=None)
        for number in range(1, 5)
    ]
    assert [each.path for each in look(modems=ailing[:2])] == [f"/modems/{each.serial}" for each in ailing[:2]]
    (together,) = look(modems=ailing)
    assert together.title == "4 modems"
    assert together.path == "/modems?status=quarantined"


def test_a_modem_on_its_way_is_no_trouble_until_it_takes_long() -> None:
    modem = make_modem(status=ModemState.SEARCHING, registration="searching", wan_address=None, changed_at=AT)
    assert look(modems=(modem,)) == ()
    late = make_modem(
        status=ModemState.SEARCHING, registration="searching", wan_address=None, changed_at=AT - timedelta(minutes=6)
    )
    (concern,) = look(modems=(late,))
    assert concern.tone == "warn"
    assert "antenna" in concern.advice


def test_a_disabled_modem_is_no_trouble() -> None:
    assert look(modems=(make_modem(status=ModemState.OFFLINE, enabled=False),)) == ()


def test_a_modem_that_was_unplugged_is_told() -> None:
    (concern,) = look(modems=(make_modem(status=ModemState.OFFLINE, path=None, reason="not plugged in"),))
    assert concern.tone == "warn"
    assert concern.what.startswith("Not plugged in.")


def test_devices_that_wait_to_be_let_in_and_notices_of_hosts_are_told() -> None:
    found = look(hosts=(make_host(notices=("A hub has too little power.",)),), devices=make_counts(held=1))
    assert [each.title for each in found] == ["Notice of farm-1", "1 device waits to be let in"]

"""Values, events, measurements and lists as people read them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from agent.core.errors import DeadlineExceeded
from agent.core.settings.load import EffectiveRow
from agent.modem.model import ModemState
from agent.store.glances import TrafficRow
from agent.store.history import ModemStep
from agent.store.history_steps import Tier, Window
from agent.web.pages import formats, modem_list, proxy_access, remembered, series
from agent.web.pages.remembered import Remembered
from agent.web.pages.telling import tell
from tests.web.pages.rows import make_event, make_modem

NARROW = formats.THIN_SPACE


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_540_000, "1.5 MB"),
        (999_960, "1.0 MB"),
        (164e9, "164 GB"),
    ],
)
def test_sizes(value: float | None, text: str) -> None:
    assert formats.size(value) == text.replace(" ", NARROW)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.012, "12 ms"),
        (8.2, "8 s"),
        (90, "1 min"),
        (3600, "1 h"),
        (5400, "1 h 30 min"),
        (90_000, "1 d 1 h"),
        (1e6, "11 d"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert formats.duration(seconds).replace(NARROW, " ") == text


def test_measurements_have_a_true_minus_and_their_unit() -> None:
    assert formats.measured(-91.4, "dBm") == f"\u221291{NARROW}dBm"


def test_times_are_utc_for_programs() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert formats.utc(at) == "2026-01-02T01:04:05.000Z"


def test_code_in_a_sentence_is_marked_and_escaped() -> None:
    assert formats.coded("send `AT+X<1>` & wait") == "send <code>AT+X&lt;1&gt;</code> &amp; wait"


@pytest.mark.parametrize(("rsrp", "level"), [(None, 0), (-120, 0), (-110, 1), (-100, 2), (-90, 3), (-80, 4)])
def test_bars(rsrp: float | None, level: int) -> None:
    assert formats.rsrp_level(rsrp) == level


def test_a_modems_new_state_is_told_with_its_reason() -> None:
    changes = {"status": {"old": "online", "new": "degraded"}, "reason": {"old": "", "new": "no way through"}}
    told = tell(make_event("modem_changed", serial="860000000000001", status="degraded", changes=changes))
    assert (told.about, told.path, told.state) == ("860000000000001", "/modems/860000000000001", "degraded")
    assert told.text == "no way through"


def test_a_modems_new_address_is_told() -> None:
    changes = {"wan_address": {"old": "100.64.0.1", "new": "100.64.0.2"}, "proxy_running": {"old": False, "new": True}}
    assert tell(make_event("modem_changed", serial="8", changes=changes)).text == "address 100.64.0.2; proxy started"


def test_a_devices_path_is_encoded_once_more() -> None:
    assert tell(make_event("device_held", device_id="001122-Home%2DBox-A1")).path == "/devices/001122-Home%252DBox-A1"


def test_a_tasks_fault_is_told_in_short() -> None:
    told = tell(make_event("task_failed", device_id="a", kind="reboot", fault_message="x" * 500))
    assert told.text.startswith("reboot failed: xxx")
    assert len(told.text) < 90


def test_an_event_that_is_not_known_is_told_by_its_name() -> None:
    assert tell(make_event("something_new", device_id="a")).text == "something new"


def step(at: int, **values: float) -> ModemStep:
    names = ("rssi_dbm", "rsrp_dbm", "rsrp_least_dbm", "rsrq_db", "sinr_db", "rx_bytes", "tx_bytes")
    given: dict[str, Any] = {**dict.fromkeys(names), **values}
    return ModemStep(at=at, samples=1, online=1, **given)


def window(begin: int, end: int) -> Window:
    """Steps of two minutes."""
    begun, stop = (datetime.fromtimestamp(seconds, UTC) for seconds in (begin, end))
    return Window(begun=begun, stop=stop, step_seconds=120, tier=Tier.SAMPLES)


def test_a_chart_has_every_step_and_holes_where_nothing_was_measured() -> None:
    data = series.columns(series.SIGNAL, [step(240, rsrp_dbm=-90.04)], window(120, 481))
    assert data["times"] == [120, 240, 360, 480]
    assert data["lines"][0]["values"] == [None, -90.0, None, None]


def test_traffic_is_a_rate_and_leaves_out_the_step_under_way() -> None:
    data = series.columns(series.TRAFFIC, [step(0, rx_bytes=1500), step(120, rx_bytes=9)], window(0, 130))
    assert data["times"] == [0]
    assert data["lines"][0]["values"] == [100]


def test_a_chart_says_in_words_what_it_shows() -> None:
    data = series.columns(series.SIGNAL, [step(0, rsrp_dbm=-95.0), step(120, rsrp_dbm=-88.0)], window(0, 130))
    told = series.summary(series.SIGNAL, data, 24).replace(NARROW, " ")
    assert told == "Last 24 hours: RSRP from −95 dBm to −88 dBm."
    nothing = series.columns(series.SIGNAL, [], window(0, 130))
    assert series.summary(series.SIGNAL, nothing, 168) == "Last 7 days: nothing was measured."


MODEMS = (
    make_modem(1, operator="Alpha", rsrp_dbm=-80.0, slot="1-1.10"),
    make_modem(2, operator="Beta", rsrp_dbm=-100.0, slot="1-1.9", status=ModemState.DEGRADED),
    make_modem(3, operator="Alpha", rsrp_dbm=None, slot="1-1.2", host="farm-2", status=ModemState.OFFLINE),
)
TRAFFIC = {MODEMS[1].serial: TrafficRow(serial=MODEMS[1].serial, rx_bytes=5, tx_bytes=1)}


def chosen(**given: str) -> list[int]:
    found = modem_list.select(MODEMS, TRAFFIC, frozenset(), {name: [value] for name, value in given.items()})
    return [int(line.modem.serial[-1]) for line in found.lines]


def test_modems_come_by_host_and_slot() -> None:
    assert chosen() == [2, 1, 3]


def test_modems_are_found_by_any_words_of_theirs() -> None:
    assert chosen(q="ALPHA farm-1") == [1]
    assert chosen(q="100.64.0.2") == [2]
    assert chosen(q="192.0.2.1:3130") == [3]
    assert chosen(q="nobody") == []


def test_modems_are_filtered_and_sorted() -> None:
    assert chosen(status="degraded") == [2]
    assert chosen(host="farm-2") == [3]
    assert chosen(sort="signal", order="desc") == [1, 2, 3]
    assert chosen(sort="traffic", order="desc")[0] == 2
    assert chosen(sort="state")[0] == 2


def test_what_no_list_knows_is_left_out() -> None:
    assert chosen(status="nonsense", sort="nonsense", host="elsewhere", offset="x", extra="1") == [2, 1, 3]


def test_long_lists_have_pages() -> None:
    many = [make_modem(number, slot=f"1-1.{number}") for number in range(1, 251)]
    first = modem_list.select(many, {}, frozenset(), {})
    assert (len(first.lines), first.matching, first.previous_url) == (100, 250, None)
    assert first.next_url == "/modems?sort=slot&offset=100"
    last = modem_list.select(many, {}, frozenset(), {"offset": ["200"]})
    assert (len(last.lines), last.next_url, last.previous_url) == (50, None, "/modems?sort=slot&offset=100")
    assert modem_list.select(many, {}, frozenset(), {"offset": ["100"]}).previous_url == "/modems?sort=slot"


def test_what_is_remembered_is_asked_for_once_and_again_when_it_is_old() -> None:
    asked: list[str] = []

    def fetch(key: str) -> int:
        asked.append(key)
        return len(asked)

    kept: Remembered[str, int] = Remembered(fetch, 60)
    assert (kept.get("a"), kept.get("a"), kept.get("b")) == (1, 1, 2)
    forgetful: Remembered[str, int] = Remembered(fetch, 0)
    assert forgetful.get("a") != forgetful.get("a")


def test_nobody_waits_for_ever_for_what_somebody_else_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "WAIT_SECONDS", 0.05)
    begun, done = threading.Event(), threading.Event()

    def hang(key: str) -> str:
        begun.set()
        done.wait(10)
        return key

    slow: Remembered[str, str] = Remembered(hang, 60)
    asking = threading.Thread(target=slow.get, args=("a",))
    asking.start()
    assert begun.wait(10)
    with pytest.raises(DeadlineExceeded):
        slow.get("b")
    done.set()
    asking.join(10)
    assert slow.get("a") == "a"


def test_now_is_the_utc_that_pages_are_written_with() -> None:
    assert formats.utc_text(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02 03:04:05 UTC"


def force(**values: str) -> tuple[EffectiveRow, ...]:
    rows = {
        "agent.host": '""',
        "proxy.users": "{}",
        "proxy.allow": '"auto"',
        "proxy.deny_to": "[]",
        "proxy.nameservers": '"carrier"',
        "proxy.maximum_connections": "500",
        **{name.replace("__", "."): value for name, value in values.items()},
    }
    return tuple(EffectiveRow(key=key, value=value, origin="default") for key, value in rows.items())


def test_who_may_use_a_proxy_is_told_without_passwords() -> None:
    rules = proxy_access.rules_of(
        force(proxy__users='{"zoe" = "***", "bob" = "***"}', proxy__allow='["10.0.0.0/8"]'), "farm-1", "farm-1"
    )
    told = {rule.label: rule for rule in rules}
    assert told["Users"].values == ("bob", "zoe")
    assert told["Clients from"].values == ("10.0.0.0/8",)
    assert told["Names asked of"].values == ()
    assert told["Connections at most"].values == ("500",)
    assert "***" not in repr(rules)


def test_the_settings_of_another_host_are_not_told_for_this_one() -> None:
    assert proxy_access.rules_of(force(), "farm-2", "farm-1") == ()
    assert proxy_access.rules_of(force(agent__host='"farm-2"'), "farm-2", "farm-1") != ()
    assert proxy_access.rules_of((), "farm-1", "farm-1") == ()

"""Housekeeping in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from agent.core.errors import TransientError
from agent.core.settings.schema import AcsSettings
from agent.store.database import Database
from agent.store.housekeeping import Housekeeping, Tidied
from agent.worker import keeper as room
from agent.worker.keeper import Keeper
from tests.store.cpes import add_device, begin_session
from tests.store.farm import eventually, rows

SETTINGS = AcsSettings(session_idle_seconds=1.0, session_days=7)


@contextmanager
def keeping(housekeeping: Housekeeping, beat: Callable[[], None] = lambda: None) -> Iterator[Keeper]:
    keeper = Keeper(housekeeping, SETTINGS, beat)
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.stop()


def test_silent_sessions_end_and_history_has_its_partitions(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    begin_session(database_url, add_device(database_url))
    with Database(database_url) as database, keeping(Housekeeping(database)):
        eventually(lambda: rows(database_url, "SELECT outcome FROM sessions") == [("timeout",)])
    assert rows(database_url, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'sessions'::regclass") == [(5,)]
    assert "silent sessions ended" in caplog.text
    assert "history retired" in caplog.text


class Fake(Housekeeping):
    """Counts what is asked of it, and fails as often as it is told."""

    def __init__(self, *, fail_tidy: int = 0, fail_retire: int = 0) -> None:
        self.fail_tidy, self.fail_retire = fail_tidy, fail_retire
        self.tidied: list[tuple[float, float]] = []
        self.retired: list[int] = []

    def tidy(self, *, idle_seconds: float, nonce_seconds: float) -> Tidied:
        self.tidied.append((idle_seconds, nonce_seconds))
        if len(self.tidied) <= self.fail_tidy:
            raise TransientError("PostgreSQL is away")
        return Tidied(sessions_ended=0, tasks_expired=0)

    def retire(self, *, days: int) -> int:
        self.retired.append(days)
        if len(self.retired) <= self.fail_retire:
            raise TransientError("PostgreSQL is away")
        return 0


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "ROUND_SECONDS_MOST", 0.05)


def test_it_goes_round_by_the_settings() -> None:
    fake = Fake()
    with keeping(fake):
        eventually(lambda: len(fake.tidied) > 2)
    assert set(fake.tidied) == {(1.0, SETTINGS.nonce_seconds)}
    assert fake.retired == [7], "history is not looked at in every round"


def test_what_could_not_be_done_is_done_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(room, "RETIRE_AGAIN_SECONDS", 0.1)
    fake = Fake(fail_tidy=2, fail_retire=1)
    with keeping(fake):
        eventually(lambda: len(fake.retired) == 2)
        time.sleep(0.3)
    assert fake.retired == [7, 7]
    assert caplog.text.count("housekeeping must wait") == 3


def test_it_shows_that_it_is_alive_although_nothing_can_be_done() -> None:
    beats: list[None] = []
    with keeping(Fake(fail_tidy=1000), lambda: beats.append(None)):
        eventually(lambda: len(beats) > 2)


def test_stopping_is_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "ROUND_SECONDS_MOST", 10.0)
    fake = Fake()
    with keeping(fake) as keeper:
        eventually(lambda: fake.tidied)
        begin = time.monotonic()
        keeper.stop()
        assert time.monotonic() - begin < 2

"""How long a chart of a year takes, with a year of 30 modems in the database."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psycopg

from agent.sim.postgres import EmbeddedPostgres
from agent.store.database import Database
from agent.store.history import History
from agent.store.history_steps import Tier, choose_window
from agent.store.migrate import migrate
from tests.bench.figures import Figure, median, milliseconds, spread
from tests.store.farm import make_wishes, serial_of, slot_of

NAME = "history"
MODEMS = 30
TURNS = 15
_FILL = """
INSERT INTO modem_history (step_seconds, serial, at, samples, online, rssi_dbm, rsrp_dbm, rsrp_least_dbm, rsrp_most_dbm,
    rsrq_db, sinr_db, rx_bytes, tx_bytes)
SELECT %(step)s, serial, at, %(step)s / 30, %(step)s / 30, -60, -90 - random() * 10, -105, -85, -10, 12,
    (random() * 1e6)::bigint * %(step)s, (random() * 1e5)::bigint * %(step)s
FROM modems, generate_series(date_bin(make_interval(secs => %(step)s), now() - make_interval(days => %(days)s),
    '2000-01-01+00'), now() - interval '5 minutes', make_interval(secs => %(step)s)) AS at
"""
_SAMPLES = """
INSERT INTO modem_samples (serial, at, status, rssi_dbm, rsrp_dbm, rsrq_db, sinr_db, rx_bytes, tx_bytes)
SELECT serial, at, 'online', -60, -90 - random() * 10, -10, 12, (extract(epoch FROM at) * 1e5)::bigint, 0
FROM modems, generate_series(now() - interval '2 days', now(), interval '30 seconds') AS at
"""


def run() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="lastmile-bench-") as place:
        server = EmbeddedPostgres(Path(place) / "postgres", durable=False)
        server.start()
        try:
            url = server.create_database("history")
            migrate(url)
            return _measure(url, Path(place))
        finally:
            server.stop()


def _measure(url: str, place: Path) -> list[Figure]:
    with Database(url, timeout_seconds=60) as database:
        wishes = make_wishes(database, place / "wishes.json")
        for number in range(1, MODEMS + 1):
            wishes.register(serial_of(number), slot_of(number), None)
        history = History(database)
        _fill(url, history)
        figures = []
        for title, days, tier, goal in (
            ("a year", 365, Tier.DAY, 100.0),
            ("30 days", 30, Tier.HOUR, 200.0),
            ("a day", 1, Tier.FINE, 200.0),
        ):
            for who, serials in (("one modem", (serial_of(1),)), (f"{MODEMS} modems", None)):
                at = datetime.now(UTC)
                window = choose_window(at - timedelta(days=days), at, at=at, points=600)
                assert window.tier is tier
                turns = [milliseconds(partial(history.fetch_modems, window, serials)) for _ in range(TURNS)]
                figures.append(
                    Figure(
                        benchmark=NAME,
                        name=f"{title} of {who}",
                        value=median(turns),
                        unit="ms",
                        goal=goal,
                        note=f"{len(window.times)} steps; {spread(turns, 'ms')}",
                    )
                )
        return [*figures, _thinning(url, history)]


def _fill(url: str, history: History) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for step, days in ((300, 90), (3600, 365), (86_400, 365)):
            connection.execute(_FILL.encode(), {"step": step, "days": days})
        history.retire()  # moves what had no partition yet
        connection.execute("ALTER TABLE modem_samples DISABLE TRIGGER modem_samples_late")
        connection.execute(_SAMPLES)
        connection.execute("ALTER TABLE modem_samples ENABLE TRIGGER modem_samples_late")
        connection.execute(
            "UPDATE history_marks SET until = date_bin('5 minutes', now() - interval '7 minutes', '2000-01-01+00')"
        )
        connection.execute("VACUUM ANALYZE")


def _thinning(url: str, history: History) -> Figure:
    """What the worker does every five minutes."""
    turns = []
    for _ in range(TURNS):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("UPDATE history_marks SET until = until - interval '5 minutes' WHERE source = 'modems'")
        turns.append(milliseconds(lambda: history.advance("modems", 5)))
    return Figure(
        benchmark=NAME,
        name=f"five minutes of {MODEMS} modems into the history",
        value=median(turns),
        unit="ms",
        goal=200.0,
        note=spread(turns, "ms"),
    )

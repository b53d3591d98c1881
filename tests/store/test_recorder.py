"""What the agent reports reaches the database: in order, once, whatever happens in between."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from agent.core.clock import Deadline
from agent.core.errors import ConfigError, TransientError
from agent.modem.model import ModemState
from agent.modem.ports import CommandResult
from agent.sim.postgres import EmbeddedPostgres
from agent.store.batches import BatchWriter
from agent.store.database import Database
from agent.store.fleet import Fleet
from agent.store.inbox import CommandInbox
from agent.store.outbox_file import OutboxFile, Record, RecordKind
from agent.store.recorder import OutboxRecorder
from agent.store.records import render_record
from agent.store.wishes import HostWishes
from tests.store.farm import BEGIN, HOST, SERIAL, SLOT, eventually, make_log, make_report, make_wishes, rows, serial_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recorder(database: Database, wishes: HostWishes, tmp_path: Path) -> Iterator[OutboxRecorder]:
    wishes.register(SERIAL, SLOT, None)
    made = OutboxRecorder(database, HOST, tmp_path / "outbox.sqlite")
    made.start()
    yield made
    made.stop(Deadline.after(10))


def _flush(recorder: OutboxRecorder, seconds: float = 20) -> None:
    assert recorder.flush(Deadline.after(seconds)), "not everything was written in time"


def _logged(url: str) -> list[str]:
    return [row[0] for row in rows(url, "SELECT command FROM modem_logs ORDER BY id")]


def test_logs_reports_and_samples_are_written_within_about_a_second(
    recorder: OutboxRecorder, fleet: Fleet, database_url: str
) -> None:
    recorder.log(make_log(1))
    recorder.report(
        make_report(
            imei=SERIAL,
            iccid="8900000000000000001",
            wan_address="10.0.0.1",
            wan_address_ipv6="2001:db8::1",
            rx_bytes=2**40,
            sample=True,
        )
    )
    eventually(lambda: _logged(database_url) == ["AT+N=1"], 3)
    eventually(lambda: rows(database_url, "SELECT status FROM modems") == [("online",)], 3)
    modem = fleet.fetch_modem(SERIAL)
    assert modem is not None
    assert (modem.wan_address, modem.wan_address_ipv6, modem.rx_bytes) == ("10.0.0.1", "2001:db8::1", 2**40)
    assert (modem.rssi_dbm, modem.sinr_db, modem.reported_at) == (-60, None, BEGIN)
    (sample,) = fleet.fetch_samples(SERIAL, BEGIN)
    assert (sample.at, sample.rsrp_dbm) == (BEGIN, -90)
    assert rows(database_url, "SELECT iccid, serial FROM sims") == [("8900000000000000001", SERIAL)]
    (log,) = fleet.fetch_logs(SERIAL)
    assert (log.host, log.channel, log.outcome) == (HOST, "at", "ok")


def test_a_modem_that_leaves_keeps_who_it_is(recorder: OutboxRecorder, fleet: Fleet) -> None:
    recorder.report(make_report(imei=SERIAL, iccid="8900000000000000001", wan_address="10.0.0.1"))
    gone = BEGIN + timedelta(hours=1)
    recorder.report(make_report(state=ModemState.OFFLINE, at=gone, slot=None, path=None, interface=None))
    _flush(recorder)
    modem = fleet.fetch_modem(SERIAL)
    assert modem is not None
    assert (modem.status, modem.imei, modem.iccid, modem.slot) == ("offline", SERIAL, "8900000000000000001", SLOT)
    assert (modem.path, modem.wan_address) == (None, None)
    assert modem.last_seen < gone


def test_a_sim_that_was_taken_out_is_not_shown_any_more(recorder: OutboxRecorder, fleet: Fleet) -> None:
    recorder.report(make_report(iccid="8900000000000000001"))
    recorder.report(make_report(state=ModemState.SIM_BLOCKED))
    _flush(recorder)
    modem = fleet.fetch_modem(SERIAL)
    assert modem is not None
    assert modem.iccid is None


def test_superfluous_reports_are_left_out_and_history_is_not(recorder: OutboxRecorder, database_url: str) -> None:
    for number in range(50):
        recorder.report(make_report(wan_address="10.0.0.1", rx_bytes=number, at=BEGIN + timedelta(seconds=number)))
    for number in range(3):
        recorder.report(make_report(wan_address=f"10.0.1.{number}", at=BEGIN + timedelta(seconds=60 + number)))
    recorder.report(make_report(wan_address="10.0.1.2", sample=True, at=BEGIN + timedelta(seconds=70)))
    recorder.report(make_report(wan_address="10.0.1.2", sample=True, at=BEGIN + timedelta(seconds=71)))
    _flush(recorder)
    history = rows(database_url, "SELECT host(address) FROM address_history ORDER BY id")
    assert history == [("10.0.0.1",), ("10.0.1.0",), ("10.0.1.1",), ("10.0.1.2",)]
    assert rows(database_url, "SELECT count(*) FROM modem_samples") == [(2,)]
    assert rows(database_url, "SELECT rx_bytes FROM modems") == [(49,)]


def test_a_report_of_a_host_that_the_modem_has_left_changes_nothing(
    database: Database, database_url: str, recorder: OutboxRecorder, tmp_path: Path
) -> None:
    rows(database_url, "UPDATE modems SET status = 'offline'")
    make_wishes(database, tmp_path / "w2.json", host="farm-2").register(SERIAL, SLOT, None)
    recorder.report(make_report(state=ModemState.ONLINE))
    _flush(recorder)
    assert rows(database_url, "SELECT host, status FROM modems") == [("farm-2", "detected")]


def test_results_are_written_at_once_and_only_into_what_this_host_claimed(
    recorder: OutboxRecorder, fleet: Fleet, database: Database
) -> None:
    commands = [fleet.submit_command(SERIAL, "at", {}, "anna", 30) for _ in range(4)]
    inbox = CommandInbox(database, HOST)
    inbox.claim(3)
    begin = time.monotonic()
    recorder.finish(CommandResult(id=commands[0] or 0, succeeded=True, result={"response": "OK", "nul": "\x00"}))
    row = fleet.await_command(commands[0] or 0, Deadline.after(10))
    assert time.monotonic() - begin < 0.8
    assert (row.state, row.result) == ("done", {"response": "OK", "nul": "␀"})
    recorder.finish(
        CommandResult(id=commands[1] or 0, succeeded=False, result={}, error_code="cme", error_message="13")
    )
    recorder.finish(CommandResult(id=commands[2] or 0, succeeded=True, result={"bad": float("inf")}))
    recorder.finish(CommandResult(id=commands[3] or 0, succeeded=True, result={}))
    recorder.finish(CommandResult(id=99_999, succeeded=True, result={}))
    _flush(recorder)
    found = [fleet.fetch_command(command or 0) for command in commands[1:]]
    assert [(each.state, each.error_code) for each in found if each] == [
        ("failed", "cme"),
        ("failed", "bad_result"),
        ("pending", None),
    ]


def test_a_late_answer_replaces_the_guess_of_a_restarted_agent(
    recorder: OutboxRecorder, fleet: Fleet, database: Database
) -> None:
    command = fleet.submit_command(SERIAL, "at", {}, "anna", 30) or 0
    CommandInbox(database, HOST).claim(1)
    CommandInbox(database, HOST).claim(1)
    recorder.finish(CommandResult(id=command, succeeded=True, result={"response": "OK"}))
    recorder.finish(CommandResult(id=command, succeeded=False, result={}, error_code="twice"))
    _flush(recorder)
    row = fleet.fetch_command(command)
    assert row is not None
    assert (row.state, row.error_code) == ("done", None)


def test_rows_that_the_database_refuses_are_set_aside_and_hold_up_nothing(
    recorder: OutboxRecorder, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.log(make_log(1))
    recorder.log(make_log(2, response="garbled \x00\ud800 answer"))
    recorder.report(make_report(wan_address="not an address"))
    recorder.report(make_report(rx_bytes=2**64))
    recorder.report(make_report(operator="Operator"))
    recorder.log(make_log(3))
    _flush(recorder)
    assert _logged(database_url) == ["AT+N=1", "AT+N=2", "AT+N=3"]
    assert rows(database_url, "SELECT operator FROM modems") == [("Operator",)]
    assert rows(database_url, "SELECT response FROM modem_logs WHERE command = 'AT+N=2'") == [
        ("garbled ␀\\ud800 answer",)
    ]
    refused = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(refused) == 2
    assert recorder.waiting == 0


def test_a_stopped_database_under_load_loses_and_doubles_nothing(
    own_postgres: EmbeddedPostgres, own_url: str, tmp_path: Path
) -> None:
    with Database(own_url, timeout_seconds=1.0) as database:
        wishes = make_wishes(database, tmp_path / "wishes.json")
        for number in range(4):
            wishes.register(serial_of(number), SLOT, None)
        recorder = OutboxRecorder(database, HOST, tmp_path / "outbox.sqlite")
        recorder.start()
        stop = threading.Event()
        sent: dict[int, int] = {}

        def report(thread: int) -> None:
            count = 0
            while not stop.is_set():
                recorder.log(make_log(count, serial_of(thread)))
                count += 1
                time.sleep(0.001)
            sent[thread] = count

        threads = [threading.Thread(target=report, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for how in ("fast", "immediate", "fast"):
            time.sleep(1.2)
            _stop_postgres(own_postgres, how)
            time.sleep(1.2)
            own_postgres.start()
        stop.set()
        for thread in threads:
            thread.join(10)
        _flush(recorder, 60)
        recorder.stop(Deadline.after(10))
    for number in range(4):
        found = rows(own_url, "SELECT command FROM modem_logs WHERE serial = %s ORDER BY id", serial_of(number))
        assert [row[0] for row in found] == [f"AT+N={count}" for count in range(sent[number])]
    assert recorder.dropped == 0


def _stop_postgres(server: EmbeddedPostgres, how: str) -> None:
    if how == "immediate":
        postmaster = int((server.data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGQUIT)
        eventually(lambda: not server.running)
    else:
        server.stop()


def test_an_answer_lost_after_the_commit_doubles_nothing(
    recorder: OutboxRecorder, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = BatchWriter._write_together
    lost: list[int] = []

    def lose_the_answer(self: BatchWriter, records: Sequence[Record]) -> None:
        write(self, records)
        if len(lost) < 2:
            lost.append(len(records))
            raise TransientError("the connection was cut after the commit")

    monkeypatch.setattr(BatchWriter, "_write_together", lose_the_answer)
    for number in range(5):
        recorder.log(make_log(number))
    recorder.report(make_report(sample=True))
    _flush(recorder)
    assert lost == [6, 6]
    assert _logged(database_url) == [f"AT+N={number}" for number in range(5)]


def test_a_database_that_was_made_anew_is_written_to(recorder: OutboxRecorder, database_url: str) -> None:
    recorder.log(make_log(1))
    _flush(recorder)
    rows(database_url, "TRUNCATE modem_logs, outbox_marks")
    recorder.log(make_log(2))
    _flush(recorder)
    assert _logged(database_url) == ["AT+N=2"]
    assert rows(database_url, "SELECT count(*) FROM outbox_marks WHERE sequence > 0") == [(1,)]


def test_a_batch_written_twice_is_there_once(database: Database, database_url: str, tmp_path: Path) -> None:
    outbox = OutboxFile(tmp_path / "o", 100)
    writer = BatchWriter(database, HOST, outbox.outbox, outbox.set_aside)
    records = [Record(sequence=n, kind=RecordKind.LOG, body=render_record(make_log(n), BEGIN)) for n in (1, 2, 3)]
    writer.write(records[:2])
    writer.write(records)
    BatchWriter(database, HOST, outbox.outbox, outbox.set_aside).write(records)
    outbox.close()
    assert _logged(database_url) == ["AT+N=1", "AT+N=2", "AT+N=3"]


def test_what_waits_on_disk_outlives_a_killed_agent(
    own_postgres: EmbeddedPostgres, own_url: str, tmp_path: Path
) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from agent.core.clock import Deadline\n"
        "from agent.store.database import Database\n"
        "from agent.store.recorder import OutboxRecorder\n"
        "from tests.store.farm import HOST, make_log\n"
        "recorder = OutboxRecorder(Database(sys.argv[1], timeout_seconds=1.0), HOST, Path(sys.argv[2]))\n"
        "recorder.start()\n"
        "for number in range(700): recorder.log(make_log(number))\n"
        "recorder.flush(Deadline.after(3.0))\n"
        "print(recorder.waiting, flush=True)\n"
        "time.sleep(60)\n"
    )
    path = tmp_path / "outbox.sqlite"
    own_postgres.stop()
    with subprocess.Popen(
        [sys.executable, "-c", program, own_url, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == "700\n"
        agent.kill()
    own_postgres.start()
    with Database(own_url) as database:
        recorder = OutboxRecorder(database, HOST, path)
        recorder.log(make_log(700))
        recorder.start()
        _flush(recorder)
        recorder.stop(Deadline.after(10))
    assert _logged(own_url) == [f"AT+N={number}" for number in range(701)]


def test_a_full_outbox_gives_up_the_oldest_logs_before_anything_else(
    own_postgres: EmbeddedPostgres, own_url: str, tmp_path: Path
) -> None:
    with Database(own_url, timeout_seconds=0.5) as database:
        make_wishes(database, tmp_path / "w").register(SERIAL, SLOT, None)
        own_postgres.stop()
        recorder = OutboxRecorder(database, HOST, tmp_path / "outbox.sqlite", limit=100)
        recorder.start()
        for number in range(10):
            recorder.report(make_report(sample=True, at=BEGIN + timedelta(seconds=number)))
        for number in range(300):
            recorder.log(make_log(number))
        eventually(lambda: recorder.waiting == 100)
        assert recorder.dropped == 210
        own_postgres.start()
        _flush(recorder)
        recorder.stop(Deadline.after(10))
    assert _logged(own_url) == [f"AT+N={number}" for number in range(210, 300)]
    assert rows(own_url, "SELECT count(*) FROM modem_samples") == [(10,)]


def test_a_damaged_file_is_put_aside(database: Database, database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    path.write_bytes(b"this is no database" * 100)
    recorder = OutboxRecorder(database, HOST, path)
    recorder.start()
    recorder.log(make_log(1, None))
    _flush(recorder)
    recorder.stop(Deadline.after(10))
    assert path.with_name("outbox.sqlite.damaged").exists()
    assert _logged(database_url) == ["AT+N=1"]


def test_stopping_writes_what_is_there(database: Database, database_url: str, tmp_path: Path) -> None:
    recorder = OutboxRecorder(database, HOST, tmp_path / "outbox.sqlite")
    recorder.start()
    for number in range(1200):
        recorder.log(make_log(number))
    recorder.stop(Deadline.after(20))
    assert _logged(database_url) == [f"AT+N={number}" for number in range(1200)]


def test_a_failing_disk_loses_nothing_while_the_agent_lives(
    own_postgres: EmbeddedPostgres, own_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise TransientError("disk full")

    with Database(own_url, timeout_seconds=0.5) as database:
        recorder = OutboxRecorder(database, HOST, tmp_path / "outbox.sqlite")
        recorder.start()
        own_postgres.stop()
        monkeypatch.setattr(OutboxFile, "append", fail)
        for number in range(1200):
            recorder.log(make_log(number))
        assert not recorder.flush(Deadline.after(2))
        own_postgres.start()
        _flush(recorder)
        recorder.stop(Deadline.after(10))
    assert _logged(own_url) == [f"AT+N={number}" for number in range(1200)]


def test_a_place_where_no_file_can_be_is_the_operators_to_mend(database: Database, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError):
        OutboxRecorder(database, HOST, tmp_path / "file" / "outbox.sqlite").start()

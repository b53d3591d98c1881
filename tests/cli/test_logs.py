"""How log records leave the process: journal fields on the journal's socket, one line elsewhere."""

from __future__ import annotations

import io
import logging
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli.logs import JournalHandler, LineFormatter, start_logging, writes_to_journal
from tests.postgres_fixture import missing_service

STAND_IN_JOURNAL = """
import logging, os, pathlib, socket, sys
folder = pathlib.Path("/run/systemd/journal")
folder.mkdir(parents=True)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
    journal.bind(str(folder / "socket"))
    journal.settimeout(10)
    from agent.cli.logs import JournalHandler
    logging.getLogger("x").addHandler(JournalHandler())
    logging.getLogger("x").warning("action failed", extra={"MODEM": "867584012345678", "ERROR": "first\\nsecond"})
    sys.stdout.buffer.write(journal.recv(65536))
"""
"""Binds the journal's socket, logs one record, and prints the datagram that came."""


def make_record(message: str, level: int = logging.WARNING, **fields: object) -> logging.LogRecord:
    return logging.getLogger("agent.test").makeRecord("agent.test", level, "/x/y.py", 7, message, (), None, "f", fields)


def parse_journal(datagram: bytes) -> dict[str, str]:
    """The journal's native protocol: `KEY=text` lines, or KEY, a 64-bit length and the text."""
    fields: dict[str, str] = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        key, found, value = line.partition(b"=")
        if not found:
            (length,) = struct.unpack("<Q", datagram[:8])
            value, datagram = datagram[8 : 8 + length], datagram[9 + length :]
        fields[key.decode()] = value.decode()
    return fields


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, str]]]:
    """What the handler gives to systemd's library, put into the journal's format and read back."""
    from systemd import journal

    received: list[dict[str, str]] = []
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def sendv(*fields: str | bytes) -> None:
        parts = []
        for field in fields:
            key, _, value = (field.encode() if isinstance(field, str) else field).partition(b"=")
            parts.append(key + b"\n" + struct.pack("<Q", len(value)) + value + b"\n")
        writer.send(b"".join(parts))
        received.append(parse_journal(reader.recv(65_536)))

    monkeypatch.setattr(journal, "sendv", sendv)
    with reader, writer:
        yield received


def test_the_journal_gets_fields(sent: list[dict[str, str]]) -> None:
    JournalHandler().emit(
        make_record("action failed", MODEM="867584012345678", ACTION="open", ERROR="a\nb", STATE=None)
    )
    (fields,) = sent
    assert fields["MESSAGE"] == "action failed"
    assert fields["PRIORITY"] == "4"
    assert fields["SYSLOG_IDENTIFIER"] == "lastmile"
    assert fields["MODEM"] == "867584012345678"
    assert fields["ACTION"] == "open"
    assert fields["ERROR"] == "a\nb"
    assert fields["LOGGER"] == "agent.test"
    assert fields["CODE_LINE"] == "7"
    assert "STATE" not in fields


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, "7"), (logging.INFO, "6"), (logging.WARNING, "4"), (logging.ERROR, "3"), (logging.CRITICAL, "2")],
)
def test_levels_are_the_journal_s_priorities(sent: list[dict[str, str]], level: int, priority: str) -> None:
    JournalHandler().emit(make_record("x", level))
    assert sent[0]["PRIORITY"] == priority


def test_an_exception_is_in_the_journal_s_message(sent: list[dict[str, str]]) -> None:
    try:
        raise ValueError("deep down")
    except ValueError:
        record = make_record("worker failed")
        record.exc_info = sys.exc_info()
    JournalHandler().emit(record)
    assert sent[0]["MESSAGE"].startswith("worker failed\nTraceback")
    assert sent[0]["MESSAGE"].endswith("ValueError: deep down")


def test_a_field_that_is_the_journal_s_own_does_no_harm(sent: list[dict[str, str]]) -> None:
    JournalHandler().emit(make_record("x", PRIORITY="0", CODE_LINE="1"))
    assert sent[0]["MESSAGE"] == "x"
    assert sent[0]["PRIORITY"] == "4"


@pytest.mark.root
def test_a_record_arrives_at_the_journal_s_socket() -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        missing_service("needs root and unshare, for a /run of its own")
    script = 'mount -t tmpfs tmpfs /run && exec "$0" -c "$1"'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, sys.executable, STAND_IN_JOURNAL]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    fields = parse_journal(done.stdout)
    assert fields["MESSAGE"] == "action failed"
    assert fields["MODEM"] == "867584012345678"
    assert fields["ERROR"] == "first\nsecond"
    assert fields["PRIORITY"] == "4"


def test_one_line_elsewhere() -> None:
    line = LineFormatter().format(make_record("action failed", MODEM="867584012345678", ACTION="open"))
    assert line[8:] == " WARNING action failed MODEM=867584012345678 ACTION=open"


def test_a_field_with_a_line_break_stays_on_the_line() -> None:
    line = LineFormatter().format(make_record("command refused", ERROR="first\nsecond"))
    assert len(line.splitlines()) == 1
    assert "first" in line
    assert "second" in line


def test_only_the_journal_s_own_socket_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "err").open("w") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.delenv("JOURNAL_STREAM", raising=False)
        assert not writes_to_journal(stream)
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        assert writes_to_journal(stream)
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino + 1}")
        assert not writes_to_journal(stream)
    assert not writes_to_journal(io.StringIO())


def test_logging_starts_with_one_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    start_logging("debug")
    start_logging("warning")
    root = logging.getLogger()
    assert [type(handler) for handler in root.handlers] == [logging.StreamHandler]
    assert root.level == logging.WARNING
    assert logging.getLogger("pyroute2").level == logging.WARNING

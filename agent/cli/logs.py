"""Logging: journal fields under systemd, one readable line a record elsewhere."""

from __future__ import annotations

import logging
import os
import sys
from typing import TextIO

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def fields_of(record: logging.LogRecord) -> dict[str, str]:
    """The upper-case fields that a record carries (`MODEM`, `ACTION`, …), as text."""
    return {
        key: str(value)
        for key, value in vars(record).items()
        if key not in _STANDARD and key.isupper() and value is not None
    }


class LineFormatter(logging.Formatter):
    """`time LEVEL message MODEM=… ACTION=…`"""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        fields = " ".join(f"{key}={_on_one_line(value)}" for key, value in fields_of(record).items())
        return super().formatMessage(record) + (f" {fields}" if fields else "")


def _on_one_line(value: str) -> str:
    """What a device said may hold line breaks and escape sequences."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in value)


class JournalHandler(logging.Handler):
    """Sends each record to the journal with its fields; a record that cannot be sent goes to stderr."""

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        """Every field, the record's own ones first: they cannot take the place of the journal's."""
        from systemd import journal

        return {
            **fields_of(record),
            "MESSAGE": self.format(record),
            "PRIORITY": journal.JournalHandler.map_priority(record.levelno),
            "SYSLOG_IDENTIFIER": "lastmile",
            "LOGGER": record.name,
            "THREAD_NAME": record.threadName,
            "CODE_FILE": record.pathname,
            "CODE_LINE": record.lineno,
            "CODE_FUNC": record.funcName,
        }

    def emit(self, record: logging.LogRecord) -> None:
        from systemd import journal

        try:
            journal.sendv(*(f"{key}={value}" for key, value in self._fields(record).items()))
        except OSError:
            self.handleError(record)


def writes_to_journal(stream: TextIO) -> bool:
    """Whether `stream` is the journal's own socket (systemd.exec(5), $JOURNAL_STREAM)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def start_logging(level: str) -> None:
    """Send the process's log records where they belong."""
    handler: logging.Handler
    if writes_to_journal(sys.stderr):
        handler = JournalHandler()
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Its information lines repeat every address and route that it is asked to set.
    logging.getLogger("pyroute2").setLevel(logging.WARNING)

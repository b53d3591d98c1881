"""Exit statuses of the `lastmile` command (sysexits.h where it has a word for it)."""

from __future__ import annotations

from agent.core.errors import (
    AgentError,
    ConfigError,
    DeadlineExceeded,
    DeviceError,
    ProtocolError,
    TransientError,
)

OK = 0
FAILURE = 1
USAGE = 2
NOT_FOUND = 4
"""No such modem, token, …"""
REFUSED = 5
"""The modem said no."""
UNAVAILABLE = 69
"""EX_UNAVAILABLE: the database or the agent cannot be reached."""
SOFTWARE = 70
"""EX_SOFTWARE: a bug in lastmile."""
TEMPORARY = 75
"""EX_TEMPFAIL: no answer in time; try again."""
CONFIGURATION = 78
"""EX_CONFIG: the operator must edit something; systemd does not restart."""


class NotFoundError(AgentError):
    """What the operator named does not exist."""


def status_of(error: AgentError) -> int:
    """The exit status that tells a script what happened."""
    match error:
        case ConfigError():
            return CONFIGURATION
        case DeadlineExceeded():
            return TEMPORARY
        case TransientError():
            return UNAVAILABLE
        case NotFoundError():
            return NOT_FOUND
        case DeviceError():
            return REFUSED
        case ProtocolError():
            return USAGE
        case _:
            return SOFTWARE

"""What is asked about devices and cannot be done as it is asked; nothing was changed then."""

from __future__ import annotations

from agent.core.errors import ConfigError, TransientError


class RefusedError(ConfigError):
    """Ask for something else; the message says what is wrong."""


class PlaceError(RefusedError):
    """Not a place in the list that is asked for."""


class DeviceBusyError(RefusedError):
    """The device has a session under way: wait for its end."""


class TaskFinishedError(RefusedError):
    """The task is over: it cannot be cancelled any more."""


class QueueFullError(RefusedError):
    """As many tasks wait for the device as may."""


class UnknownFileError(RefusedError):
    """There is no stored file of the name that a download asks for."""


class DeletedError(RefusedError):
    """What is waited for is there no more."""


class FileTakenError(RefusedError):
    """There is a file of that name already."""


class FileInUseError(RefusedError):
    """A download that is not over names the file."""


class CredentialTakenError(RefusedError):
    """There is a credential of that user name already."""


class SearchPreparingError(TransientError):
    """A search by stored values that is quick as soon as a worker has made an index of them."""

    def __init__(self, progress: float) -> None:
        super().__init__(f"the search by these values is being prepared: {progress:.0%}")
        self.progress = progress

"""RPCs about files: what moves them, and what tells how it went (TR-069 A6 §A.3.2.8, §A.3.3, §A.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from agent.acs.soap.structs import AllQueuedTransfer, FileTypeArgument, QueuedTransfer, TimeWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """Fetch a file and use it (TR-069 A6 §A.3.2.8)."""

    command_key: str
    file_type: str
    """Such as `1 Firmware Upgrade Image`."""
    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    file_size: int = 0
    """Bytes; 0 when unknown."""
    target_file_name: str = ""
    delay_seconds: int = 0
    success_url: str = ""
    failure_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadResponse:
    """The file is in use (status 0), or a TransferComplete will tell (status 1; TR-069 A6 §A.3.2.8)."""

    status: int
    start_time: datetime | None = None
    complete_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Send a file away (TR-069 A6 §A.4.1.5)."""

    command_key: str
    file_type: str
    """Such as `2 Vendor Log File`."""
    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    delay_seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadResponse:
    """The file was sent (status 0), or a TransferComplete will tell (status 1; TR-069 A6 §A.4.1.5)."""

    status: int
    start_time: datetime | None = None
    complete_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDownload:
    """Fetch a file in one of at most two windows of time (TR-069 A6 §A.4.1.8)."""

    command_key: str
    file_type: str
    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    file_size: int = 0
    """Bytes; 0 when unknown."""
    target_file_name: str = ""
    windows: tuple[TimeWindow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDownloadResponse:
    """It is scheduled; a TransferComplete will tell (TR-069 A6 §A.4.1.8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTransfer:
    """Forget the transfers of a CommandKey (TR-069 A6 §A.4.1.9)."""

    command_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTransferResponse:
    """They are forgotten (TR-069 A6 §A.4.1.9)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetQueuedTransfers:
    """Which transfers of ours are not over (TR-069 A6 §A.4.1.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetQueuedTransfersResponse:
    """The transfers (TR-069 A6 §A.4.1.1)."""

    transfers: tuple[QueuedTransfer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GetAllQueuedTransfers:
    """Which transfers of anybody are not over (TR-069 A6 §A.4.1.7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetAllQueuedTransfersResponse:
    """The transfers (TR-069 A6 §A.4.1.7)."""

    transfers: tuple[AllQueuedTransfer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferComplete:
    """A transfer that we asked for is over (TR-069 A6 §A.3.3.2)."""

    command_key: str = ""
    """That of our request; some CPEs leave it empty."""
    fault_code: str = "0"
    """`0`: it went well."""
    fault_string: str = ""
    start_time: datetime | None = None
    complete_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferCompleteResponse:
    """Heard (TR-069 A6 §A.3.3.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutonomousTransferComplete:
    """A transfer that we did not ask for is over (TR-069 A6 §A.3.3.3)."""

    announce_url: str = ""
    transfer_url: str = ""
    is_download: bool = False
    file_type: str = ""
    file_size: int = 0
    """Bytes; 0 when unknown."""
    target_file_name: str = ""
    fault_code: str = "0"
    """`0`: it went well."""
    fault_string: str = ""
    start_time: datetime | None = None
    complete_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AutonomousTransferCompleteResponse:
    """Heard (TR-069 A6 §A.3.3.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDownload:
    """The CPE wants a file of a type (TR-069 A6 §A.4.2.2)."""

    file_type: str
    arguments: tuple[FileTypeArgument, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDownloadResponse:
    """Heard; the file comes by a Download, if it does (TR-069 A6 §A.4.2.2)."""

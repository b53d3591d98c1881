"""The store of devices that talk TR-069, put together for the web process and for commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.cli.accounting import accounting
from agent.cli.context import load_settings, local_admin, open_database
from agent.cli.exits import NotFoundError

if TYPE_CHECKING:
    from agent.core.settings.schema import AcsSettings
    from agent.store.audit import AuditTrail
    from agent.store.database import Database
    from agent.store.device_rows import DeviceRow
    from agent.web.services import DeviceServices


def device_services(database: Database, settings: AcsSettings) -> DeviceServices:
    """The store of devices that talk TR-069; nothing connects before it is used."""
    from agent.store.acs_statistics import AcsStatistics
    from agent.store.connection_requests import ConnectionRequests
    from agent.store.credentials import Credentials
    from agent.store.device_parameters import DeviceParameters
    from agent.store.device_waiters import make_waiters
    from agent.store.devices import Devices
    from agent.store.faults import Faults
    from agent.store.file_shelf import FileShelf
    from agent.store.files import Files
    from agent.store.recordings import Recordings
    from agent.store.saved_filters import SavedFilters
    from agent.store.search_parameters import SearchParameters
    from agent.store.session_history import SessionHistory
    from agent.store.tasks import Tasks
    from agent.web.services import DeviceServices

    waiters = make_waiters(database)
    return DeviceServices(
        settings=settings,
        waiters=waiters,
        devices=Devices(database),
        parameters=DeviceParameters(database),
        tasks=Tasks(database, waiters),
        requests=ConnectionRequests(database, waiters),
        sessions=SessionHistory(database),
        faults=Faults(database),
        files=Files(database, FileShelf(settings.file_dir), bytes_most=settings.file_bytes_most),
        credentials=Credentials(database, settings.realm),
        statistics=AcsStatistics(database),
        search=SearchParameters(database),
        saved_filters=SavedFilters(database),
        recordings=Recordings(database),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a command about devices works with."""

    database: Database
    acs: DeviceServices
    trail: AuditTrail

    def audit(self, action: str, target: str, details: dict[str, Any] | None = None) -> None:
        """Account for a change, before it is made."""
        self.trail.write(local_admin(), action, target, details)

    def find(self, name: str) -> DeviceRow:
        """The device of an id, or of a serial number that only one has. Raises NotFoundError."""
        from agent.store.device_query import DeviceFilter, DeviceOrder

        if (row := self.acs.devices.fetch(name)) is not None:
            return row
        found = self.acs.devices.fetch_page(DeviceFilter(serial_number=name), DeviceOrder(limit=5)).devices
        if len(found) > 1:
            ids = ", ".join(each.device_id for each in found)
            raise click.ClickException(f"several devices have the serial number {name!r}; name one by its id: {ids}")
        if not found:
            raise NotFoundError(f"there is no device {name!r}; `lastmile device list` lists them")
        return found[0]


@contextmanager
def open_devices(config: Path | None) -> Iterator[Opened]:
    """The store of devices, closed again at the end."""
    settings = load_settings(config)
    with open_database(settings, "device") as database:
        acs = device_services(database, settings.acs)
        try:
            with accounting(database) as trail:
                yield Opened(database=database, acs=acs, trail=trail)
        finally:
            acs.waiters.close()

"""What the commands share: the settings, the database, and output for people and for programs."""

from __future__ import annotations

import dataclasses
import getpass
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.core.settings.schema import Settings

if TYPE_CHECKING:
    from agent.core.settings.load import Loaded
    from agent.store.database import Database
    from agent.store.rows import Principal

logger = logging.getLogger(__name__)


def load_settings(config: Path | None) -> Settings:
    """The effective settings. Raises ConfigError."""
    return load_with_origins(config).settings


def load_with_origins(config: Path | None) -> Loaded:
    """The effective settings, and where each comes from. Raises ConfigError."""
    from agent.core.settings.load import load

    loaded = load(config, os.environ)
    for warning in loaded.warnings:
        click.echo(f"lastmile: {warning}", err=True)
    return loaded


logger = logging.getLogger(__name__)


@contextmanager
def open_database(settings: Settings, name: str) -> Iterator[Database]:
    """The database, closed again at the end."""
    from agent.store.database import Database

    section = settings.database
    database = Database(
        section.url.get_secret_value(),
        pool_size=section.pool_size,
        timeout_seconds=section.timeout_seconds,
        name=f"lastmile {name}",
    )
    try:
        yield database
    finally:
        database.close()


def refuse_foreign_schema(settings: Settings) -> None:
    """Raise ConfigError when the schema is not this program's; a database that is away is no reason not to start."""
    from agent.core.errors import TransientError
    from agent.store.migrate import check_schema

    try:
        check_schema(settings.database.url.get_secret_value())
    except TransientError as error:
        logger.warning("starting without the database", extra={"ERROR": str(error)})


def local_principal() -> str:
    """Who types, for `requested_by` and the audit log."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"cli:{user}"


def local_admin() -> Principal:
    """Who types, as the audit log knows them: whoever may run this command may do everything."""
    from agent.store.rows import Principal, PrincipalKind, Role

    return Principal(name=local_principal(), role=Role.ADMIN, kind=PrincipalKind.LOCAL)


def as_json(value: Any) -> str:
    """A row or several as JSON; times in ISO 8601."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False)


def plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | float) else str(value)

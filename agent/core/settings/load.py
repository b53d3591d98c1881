"""Settings from files, drop-ins, the environment and credentials: read, merged, checked, and explained.

A later source replaces what an earlier one says of the same key, as a whole (a table such as `proxy.users`
too): the defaults; the settings file; `lastmile.d/*.toml` beside it in the order of their names; variables
`LASTMILE_<SECTION>_<KEY>`; systemd credentials `<section>.<key>`. Credentials come last because they are
given to one service on purpose, while variables are inherited.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agent.core.errors import ConfigError
from agent.core.settings.fields import Setting, all_settings, holds_secret, render_value
from agent.core.settings.schema import Settings
from agent.core.settings.sources import (
    DEFAULT,
    Entry,
    Origin,
    Problem,
    read_credentials,
    read_environment,
    read_toml,
)

DEFAULT_CONFIG = Path("/etc/lastmile/lastmile.toml")
DROP_INS = "lastmile.d"
CREDENTIAL_BYTES_LIMIT = 1024 * 1024
"""What systemd itself allows for all credentials of a unit."""


class SettingsError(ConfigError):
    """The settings cannot be used; the message lists every problem found, one per line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Checked settings, where each came from (by `section.key`), and what the operator should be told."""

    settings: Settings
    origins: Mapping[str, Origin]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveRow:
    """A setting as it is in force, fit to be shown: secrets are hidden."""

    key: str
    value: str
    origin: str
    """Empty unless origins were asked for."""


def load(config: Path | None, environ: Mapping[str, str]) -> Loaded:
    """Read every source and return the settings in force.

    `config` None: /etc/lastmile/lastmile.toml, which may be absent; a path that was asked for may not.
    Raises SettingsError (a ConfigError) with every problem of every source.
    """
    main = config if config is not None else DEFAULT_CONFIG
    entries: list[Entry] = []
    problems: list[Problem] = []
    warnings: list[str] = []
    for path in _files(main, required=config is not None, problems=problems):
        found = list(_read_file(path))
        warnings += _loose_permissions(path, found)
        _sort_out(found, entries, problems)
    _sort_out(read_environment(environ), entries, problems)
    if directory := environ.get("CREDENTIALS_DIRECTORY"):
        _sort_out(_read_credential_files(Path(directory)), entries, problems)
    return _merge(entries, problems, warnings)


def merge(entries: Iterable[Entry]) -> Loaded:
    """Check entries, the later of one key winning; raises SettingsError. Pure."""
    return _merge(entries, [], [])


def render_effective(loaded: Loaded, *, origin: bool = False) -> tuple[EffectiveRow, ...]:
    """Every setting in force in the order of the schema, for `config show`."""
    return tuple(
        EffectiveRow(
            key=name,
            value=render_value(setting, getattr(getattr(loaded.settings, setting.section), setting.key)),
            origin=str(loaded.origins.get(name, DEFAULT)) if origin else "",
        )
        for name, setting in all_settings().items()
    )


def _files(main: Path, *, required: bool, problems: list[Problem]) -> Iterator[Path]:
    try:
        if main.exists():
            yield main
        elif required:
            problems.append(Problem(origin=Origin(kind="file", place=str(main)), message="there is no such file"))
        drop_ins = main.parent / DROP_INS
        if drop_ins.is_dir():
            yield from sorted(each for each in drop_ins.iterdir() if each.suffix == ".toml" and not each.is_dir())
    except OSError as error:
        problems.append(_unreadable(Path(error.filename or main), error))


def _read_file(path: Path) -> Iterator[Entry | Problem]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        yield _unreadable(path, error)
    except UnicodeDecodeError as error:
        origin = Origin(kind="file", place=str(path))
        yield Problem(origin=origin, message=f"not valid TOML: the byte at offset {error.start} is not UTF-8")
    else:
        yield from read_toml(text, str(path))


def _read_credential_files(directory: Path) -> Iterator[Entry | Problem]:
    texts: dict[str, str] = {}
    try:
        for path in sorted(directory.iterdir()):
            if path.stat().st_size > CREDENTIAL_BYTES_LIMIT:
                yield Problem(origin=Origin(kind="credential", place=path.name), message="too large to be a secret")
                continue
            texts[path.name] = path.read_text(encoding="utf-8")
    except OSError as error:
        yield _unreadable(directory, error)
    except UnicodeDecodeError:
        yield Problem(origin=Origin(kind="file", place=str(directory)), message="a credential is not UTF-8 text")
    yield from read_credentials(texts)


def _unreadable(path: Path, error: OSError) -> Problem:
    return Problem(origin=Origin(kind="file", place=str(path)), message=f"cannot be read: {error.strerror or error}")


def _loose_permissions(path: Path, found: Iterable[Entry | Problem]) -> Iterator[str]:
    secrets = [e.setting.name for e in found if isinstance(e, Entry) and holds_secret(e.setting, e.value)]
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return  # Reading it has failed as well, and said so.
    if secrets and mode & stat.S_IROTH:
        names = ", ".join(secrets)
        yield f"{path}: everybody on this machine can read {names} (mode {mode:04o}); chmod 0640 it"
    if mode & stat.S_IWOTH:
        yield f"{path}: everybody on this machine can change it (mode {mode:04o}); chmod 0640 it"


def _sort_out(found: Iterable[Entry | Problem], entries: list[Entry], problems: list[Problem]) -> None:
    for each in found:
        if isinstance(each, Entry):
            entries.append(each)
        else:
            problems.append(each)


def _merge(entries: Iterable[Entry], problems: list[Problem], warnings: list[str]) -> Loaded:
    winners = {entry.setting.name: entry for entry in entries}
    document: dict[str, dict[str, Any]] = {}
    for entry in winners.values():
        document.setdefault(entry.setting.section, {})[entry.setting.key] = entry.value
    settings = None
    try:
        # By way of JSON: only there does "strict" mean that a text is no number, yet may be a path or a
        # network.
        settings = Settings.model_validate_json(json.dumps(document, default=str), strict=True)
    except ValidationError as error:
        problems.extend(_explain(error.errors(include_url=False, include_input=False), winners))
    if settings is None or problems:
        raise SettingsError(problems)
    origins = {name: winners[name].origin if name in winners else DEFAULT for name in all_settings()}
    return Loaded(settings=settings, origins=origins, warnings=tuple(warnings))


def _explain(errors: Iterable[ErrorDetails], winners: Mapping[str, Entry]) -> Iterator[Problem]:
    """One problem per setting (a union reports once per variant) or per rule of a section."""
    messages: dict[tuple[str, ...], list[str]] = {}
    for error in errors:
        where = tuple(str(part) for part in error["loc"][:2])
        text = error["msg"].removeprefix("Value error, ")
        messages.setdefault(where, []).append(text[:1].lower() + text[1:])
    for where, texts in messages.items():
        message = "; ".join(dict.fromkeys(texts))
        entry = winners.get(".".join(where))
        if entry is None:
            yield _explain_section(".".join(where), message, winners)
        else:
            yield Problem(
                origin=entry.origin,
                key=entry.setting.name,
                value=_shorten(entry.setting, entry.value),
                message=message,
                allowed=entry.setting.allowed,
            )


def _explain_section(section: str, message: str, winners: Mapping[str, Entry]) -> Problem:
    """A rule between two keys is broken: point at the one of them that somebody has set."""
    for entry in winners.values():
        if entry.setting.section == section and re.search(rf"\b{entry.setting.key}\b", message):
            value = _shorten(entry.setting, entry.value)
            return Problem(origin=entry.origin, key=entry.setting.name, value=value, message=message)
    return Problem(origin=DEFAULT, key=section, message=message)


def _shorten(setting: Setting, value: Any) -> str:
    text = render_value(setting, value)
    return text if len(text) <= 80 else text[:77] + "..."

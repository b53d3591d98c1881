"""Where settings come from, as text: a TOML file, environment variables, credentials. Pure."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.core.settings.fields import ENVIRONMENT_PREFIX, Setting, all_settings, section_titles

_HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(#.*)?$")
_ASSIGNMENT = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value was set: a file (with its line when it could be found), a variable, a credential, or
    nowhere."""

    kind: str
    """default, file, variable or credential"""
    place: str = ""
    line: int | None = None

    def __str__(self) -> str:
        match self.kind:
            case "default":
                return "default"
            case "file":
                return f"{self.place}:{self.line}" if self.line is not None else self.place
            case _:
                return f"{self.kind} {self.place}"


DEFAULT = Origin(kind="default")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A value for one setting."""

    setting: Setting
    value: Any
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that the operator must edit. Says nothing secret."""

    origin: Origin
    message: str
    key: str = ""
    value: str = ""
    allowed: str = ""

    def __str__(self) -> str:
        subject = f"{self.key} = {self.value}" if self.value else self.key
        parts = [str(self.origin), subject, self.message]
        return ": ".join(part for part in parts if part) + (f" (allowed: {self.allowed})" if self.allowed else "")


Read = Iterator[Entry | Problem]


def read_toml(text: str, place: str) -> Read:
    """The entries of a settings file, or what is wrong with it. `place` is its path, for messages."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\s*\(at line (\d+), column (\d+)\)", str(error))
        line = int(found[1]) if found else None
        column = f" at column {found[2]}" if found else ""
        message = str(error)[: found.start()] if found else str(error)
        yield Problem(origin=Origin(kind="file", place=place, line=line), message=f"not valid TOML{column}: {message}")
        return
    lines = find_lines(text)
    for section, table in document.items():
        origin = Origin(kind="file", place=place, line=lines.get(section))
        if section not in section_titles():
            yield _unknown("section", f"[{section}]", section, section_titles(), origin)
        elif not isinstance(table, dict):
            yield Problem(
                origin=origin, key=section, message=f"this is a section: write [{section}] and its keys below"
            )
        else:
            for key, value in table.items():
                here = Origin(kind="file", place=place, line=lines.get(f"{section}.{key}"))
                yield _entry(section, key, value, here)


def read_environment(environ: Mapping[str, str]) -> Read:
    """The entries of every variable that starts with LASTMILE_, and of the TR069_ ones; see `parse_text` for values."""
    yield from _read_tr069(environ)
    by_variable = {setting.variable: setting for setting in all_settings().values()}
    for variable in sorted(name for name in environ if name.startswith(ENVIRONMENT_PREFIX)):
        origin = Origin(kind="variable", place=variable)
        if (setting := by_variable.get(variable)) is None:
            yield _unknown("variable", "", variable, by_variable, origin)
        else:
            yield Entry(setting=setting, value=parse_text(setting, environ[variable]), origin=origin)


def _read_tr069(environ: Mapping[str, str]) -> Read:
    """TR069_WORKER_PROCESSES, TR069_PORT, TR069_INTERFACE: names that users bring; LASTMILE_ACS_… outdoes them."""
    settings = all_settings()
    if workers := environ.get("TR069_WORKER_PROCESSES"):
        setting = settings["acs.workers"]
        origin = Origin(kind="variable", place="TR069_WORKER_PROCESSES")
        yield Entry(setting=setting, value=parse_text(setting, workers), origin=origin)
    address, port = environ.get("TR069_INTERFACE"), environ.get("TR069_PORT")
    if address or port:
        address, port = address or "127.0.0.1", port or "7547"
        value = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        place = "TR069_INTERFACE" if environ.get("TR069_INTERFACE") else "TR069_PORT"
        yield Entry(setting=settings["acs.listen"], value=value, origin=Origin(kind="variable", place=place))


def read_credentials(credentials: Mapping[str, str]) -> Read:
    """The entries of systemd credentials, named `section.key`; only secret settings are taken this way."""
    secrets = {name: setting for name, setting in all_settings().items() if setting.secret}
    for name in sorted(credentials):
        origin = Origin(kind="credential", place=name)
        if (setting := secrets.get(name)) is None:
            yield _unknown("credential", "", name, secrets, origin)
        else:
            yield Entry(setting=setting, value=parse_text(setting, credentials[name].rstrip("\r\n")), origin=origin)


def parse_text(setting: Setting, text: str) -> Any:
    """What a variable's text stands for: itself, or the JSON or TOML value in it where the setting wants one.

    A text that is neither is returned as it is, for the schema to accept (`auto`) or to refuse.
    """
    if setting.textual:
        return text
    try:
        return json.loads(text)
    except ValueError:
        pass  # TOML writes tables and some numbers in another way.
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return document["value"] if set(document) == {"value"} else text


def find_lines(text: str) -> dict[str, int]:
    """The line, counted from 1, of every `section` and `section.key` in a TOML text, as far as they can be
    seen."""
    lines: dict[str, int] = {}
    table: tuple[str, ...] = ()
    open_quote = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not open_quote:
            if header := _HEADER.match(line):
                table = _split_key(header[1])
                path = table
            elif assignment := _ASSIGNMENT.match(line):
                path = table + _split_key(assignment[1])
            else:
                path = ()
            for depth in (1, 2):
                if len(path) >= depth:
                    lines.setdefault(".".join(path[:depth]), number)
        open_quote = _quote_left_open(line, open_quote)
    return lines


def _split_key(dotted: str) -> tuple[str, ...]:
    parts: list[str] = re.findall(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""", dotted)
    return tuple(part.strip("\"'") for part in parts)


def _quote_left_open(line: str, open_quote: str) -> str:
    """The triple quote still open after `line`: text inside a long string is not to be taken for keys."""
    for found in re.finditer(r"\"\"\"|'''", line):
        if not open_quote:
            open_quote = found[0]
        elif open_quote == found[0]:
            open_quote = ""
    return open_quote


def _entry(section: str, key: str, value: Any, origin: Origin) -> Entry | Problem:
    settings = all_settings()
    if (setting := settings.get(f"{section}.{key}")) is not None:
        return Entry(setting=setting, value=value, origin=origin)
    known = [each.key for each in settings.values() if each.section == section]
    return _unknown("key", f"{section}.{key}", key, known, origin)


def _unknown(what: str, subject: str, name: str, known: Iterable[str], origin: Origin) -> Problem:
    # The value is left out: it may be a secret under a mistyped name.
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    allowed = "" if near or what == "variable" else ", ".join(names)
    return Problem(origin=origin, key=subject, message=f"unknown {what}{hint}", allowed=allowed)

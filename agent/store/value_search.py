"""Conditions on the stored values of devices, and an order by one: pieces of `queries/device_search.sql`. Pure.

A path may have `*` for an instance number, from its third word on: any instance will do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from agent.acs.paths import is_object, is_valid, top_of
from agent.core.errors import ProtocolError
from agent.store.device_errors import PlaceError
from agent.store.documents import clean_text

VALUE_MOST = 256
"""Characters of a value that is searched for; of the stored ones one more is looked at."""
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")
_CONDITION = re.compile(r"([A-Za-z_][A-Za-z0-9_.*:{}\[\]-]*?)(!=|\^=|>=|<=|=|~|>|<|\?|!)(.*)", re.DOTALL)


class ValueOperator(StrEnum):
    """How a stored value is to be to what is given; numbers are compared as such, all else as text."""

    EQUALS = "="
    DIFFERS = "!="
    """It is there, and none of its instances equals."""
    CONTAINS = "~"
    """Without regard to the case of ASCII letters."""
    BEGINS = "^="
    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="
    PRESENT = "?"
    ABSENT = "!"

    @property
    def takes_value(self) -> bool:
        return self not in (ValueOperator.PRESENT, ValueOperator.ABSENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueCondition:
    """What a device's stored value must be like."""

    path: str
    operator: ValueOperator
    value: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """A condition as it stands in a URL: `Device.DeviceInfo.UpTime>=3600`; ProtocolError when it is none."""
        found = _CONDITION.fullmatch(text)
        if found is None:
            raise ProtocolError("a condition is PATH, one of = != ~ ^= > >= < <= ? ! and a value", text)
        path, operator, value = found[1], ValueOperator(found[2]), found[3]
        if not is_searchable(path):
            raise ProtocolError("not the path of a parameter", path)
        if value and not operator.takes_value:
            raise ProtocolError(f"nothing may stand behind {operator.value}", value)
        if len(value) > VALUE_MOST:
            raise ProtocolError(f"a value to search for has {VALUE_MOST} characters at most")
        return cls(path=path, operator=operator, value=value)

    def __str__(self) -> str:
        return f"{self.path}{self.operator.value}{self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the values of one path are found."""

    path: str
    parameter: int | None
    """The row of `search_parameters` that is filled with them; None: they must be looked for in the chunks."""

    def compose(self, pieces: Mapping[str, bytes], number: int) -> tuple[bytes, dict[str, Any]]:
        """A piece with the columns device_id, value and number."""
        if self.parameter is not None:
            return _numbered(pieces["source_ready"], number), {f"parameter_{number}": self.parameter}
        parameters: dict[str, Any] = {f"top_{number}": top_of(self.path)}
        pattern = pattern_of(self.path)
        if pattern is None:
            return _numbered(pieces["source_path"], number), {**parameters, f"path_{number}": clean_text(self.path)}
        return _numbered(pieces["source_pattern"], number), {**parameters, f"pattern_{number}": pattern}


def is_searchable(path: str) -> bool:
    """Whether it can be the path of parameters, with `*` for any instance number from the third word on."""
    words = path.split(".")
    plain = ".".join("0" if word == "*" else word for word in words)
    return is_valid(plain) and not is_object(plain) and "*" not in "".join(words[:2])


def pattern_of(path: str) -> str | None:
    """The regular expression of a path with `*`; None when it has none."""
    if "*" not in path:
        return None
    return "^" + r"\.".join("[0-9]+" if word == "*" else re.escape(word) for word in path.split(".")) + "$"


def compose_condition(
    pieces: Mapping[str, bytes], condition: ValueCondition, source: Source, number: int
) -> tuple[bytes, dict[str, Any]]:
    """A condition on `devices`, and its parameters, whose names end with `number`."""
    found, parameters = source.compose(pieces, number)
    name = condition.operator.name.lower()
    value = clean_text(condition.value)
    is_number = _NUMBER.fullmatch(value) is not None
    if is_number and f"number_{name}" in pieces:
        piece = pieces[f"number_{name}"]
        parameters[f"number_{number}"] = float(value)
    else:
        piece = pieces[f"value_{name}"]
        if condition.operator.takes_value:
            contains = condition.operator is ValueOperator.CONTAINS
            parameters[f"value_{number}"] = like(value) if contains else value
    return _numbered(piece, number).replace(b"SOURCE", found), parameters


def like(text: str) -> str:
    """The pattern for (I)LIKE of what contains `text`."""
    return "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuePlace:
    """A place in a list that is sorted by a value: behind which device it goes on."""

    number: float | None
    """None: it goes on among the devices that do not have the value, which come last."""
    value: str
    row: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """What the list's own rows gave as their key; PlaceError for anything else."""
        try:
            number, value, row = json.loads(text)
            return cls(number=None if number is None else float(number), value=str(value or ""), row=int(row))
        except (ValueError, TypeError, RecursionError) as exc:
            raise PlaceError("not a place in this list") from exc


def compose_sorted(
    pieces: Mapping[str, bytes], source: Source, place: ValuePlace | None, *, descending: bool, number: int
) -> tuple[bytes, bytes, list[bytes], bytes, dict[str, Any]]:
    """Of the devices that have a value: key, FROM, conditions, ORDER BY, parameters."""
    found, parameters = source.compose(pieces, number)
    suffix = "_descending" if descending else ""
    conditions: list[bytes] = []
    if place is not None:
        conditions.append(pieces[f"behind_sorted{suffix}"])
        parameters |= {"after_number": place.number, "after_value": clean_text(place.value), "after_row": place.row}
    origin = pieces["from_sorted"].replace(b"SOURCE", found)
    return pieces["key_sorted"], origin, conditions, pieces[f"order_sorted{suffix}"], parameters


def compose_unsorted(
    pieces: Mapping[str, bytes], source: Source, place: ValuePlace | None, *, number: int
) -> tuple[list[bytes], dict[str, Any]]:
    """Of the devices that have none: conditions and parameters."""
    found, parameters = source.compose(pieces, number)
    conditions = [pieces["value_absent"].replace(b"SOURCE", found)]
    if place is not None:
        conditions.append(pieces["behind_unsorted"])
        parameters["after_row"] = place.row
    return conditions, parameters


def _numbered(piece: bytes, number: int) -> bytes:
    return piece.replace(b"_n)s", b"_%d)s" % number)

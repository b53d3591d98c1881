"""How the members of messages are read and written: one class for each kind of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from agent.acs.soap.document import Element
from agent.acs.soap.escape import escape
from agent.acs.soap.limits import Limits
from agent.acs.soap.reading import (
    infos_of,
    is_true,
    local_name,
    number_of,
    short_text_of,
    text_of,
    time_of,
    values_of,
)
from agent.acs.soap.structs import ParameterInfo, ParameterValue
from agent.acs.soap.value_types import WIRE_TYPES
from agent.core.errors import ProtocolError

UNKNOWN_TIME = "0001-01-01T00:00:00Z"


class Kind(Protocol):
    """One way to write a member as elements of one name."""

    def read(self, elements: Sequence[Element], limits: Limits, /) -> Any:
        """The member, from all the elements that there are of it, perhaps none. Raises ProtocolError."""

    def render(self, name: str, value: Any) -> str:
        """The member as XML, in elements of that name. Raises ValueError for what cannot be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text. `verbatim` keeps outer white space; `short` is for names and keys, whose bound is that of a name;
    `fallback` is what an absent or empty element means."""

    verbatim: bool = False
    short: bool = False
    fallback: str = ""

    def read(self, elements: Sequence[Element], limits: Limits) -> str:
        if not elements:
            return self.fallback
        text = (short_text_of if self.short else text_of)(elements[-1], limits)
        return (text if self.verbatim else text.strip()) or self.fallback

    def render(self, name: str, value: str) -> str:
        return f"<{name}>{escape(value)}</{name}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionalText:
    """A text whose element may be left out: None."""

    verbatim: bool = False

    def read(self, elements: Sequence[Element], limits: Limits) -> str | None:
        if not elements:
            return None
        text = text_of(elements[-1], limits)
        return text if self.verbatim else text.strip()

    def render(self, name: str, value: str | None) -> str:
        return "" if value is None else f"<{name}>{escape(value)}</{name}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number, `absent` when it is not there or empty. Of a `lenient` one, also when it is no number."""

    absent: int = 0
    lenient: bool = False

    def read(self, elements: Sequence[Element], _limits: Limits) -> int:
        text = (elements[-1].text or "") if elements else ""
        number = number_of(text)
        if number is not None:
            return number
        if text.strip() and not self.lenient:
            raise ProtocolError(f"{local_name(elements[-1])} is not a number", text)
        return self.absent

    def render(self, name: str, value: int) -> str:
        return f"<{name}>{int(value)}</{name}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Boolean:
    """True or not; absent is not."""

    def read(self, elements: Sequence[Element], _limits: Limits) -> bool:
        return bool(elements) and is_true(elements[-1].text or "")

    def render(self, name: str, value: bool) -> str:
        return f"<{name}>{'1' if value else '0'}</{name}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """An xs:dateTime in UTC; None is the unknown time (TR-069 A6 §A.3.2.8). An `optional` one is left out instead."""

    optional: bool = False

    def read(self, elements: Sequence[Element], _limits: Limits) -> datetime | None:
        return time_of(elements[-1].text or "") if elements else None

    def render(self, name: str, value: datetime | None) -> str:
        if value is None:
            return "" if self.optional else f"<{name}>{UNKNOWN_TIME}</{name}>"
        if value.tzinfo is None:
            raise ValueError(f"{name} has no time zone")
        return f"<{name}>{value.astimezone(UTC).replace(tzinfo=None).isoformat()}Z</{name}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strings:
    """An array of texts, each in an element `item`."""

    item: str = "string"
    array: str = "xsd:string"

    def read(self, elements: Sequence[Element], limits: Limits) -> tuple[str, ...]:
        return tuple(text_of(item, limits).strip() for element in elements for item in element)

    def render(self, name: str, value: Sequence[str]) -> str:
        # All at once when nothing needs to be escaped, as in lists of parameters.
        texts: Sequence[str] = value
        together = "".join(value)
        if escape(together) != together:
            texts = [escape(text) for text in value]
        items = f"</{self.item}><{self.item}>".join(texts)
        inner = f"<{self.item}>{items}</{self.item}>" if value else ""
        return f'<{name} SOAP-ENC:arrayType="{self.array}[{len(value)}]">{inner}</{name}>'


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """An array of ParameterValueStruct."""

    def read(self, elements: Sequence[Element], limits: Limits) -> tuple[ParameterValue, ...]:
        return values_of(elements, limits)

    def render(self, name: str, value: Sequence[ParameterValue]) -> str:
        inner = "".join([_render_value(each) for each in value])
        return f'<{name} SOAP-ENC:arrayType="cwmp:ParameterValueStruct[{len(value)}]">{inner}</{name}>'


def _render_value(value: ParameterValue) -> str:
    type_ = WIRE_TYPES.get(value.type)
    if type_ is None:
        raise ValueError(f"{value.name} has the type {value.type!r}, which CWMP does not know")
    return (
        f"<ParameterValueStruct><Name>{escape(value.name)}</Name>"
        f'<Value xsi:type="{type_}">{escape(value.value)}</Value></ParameterValueStruct>'
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Infos:
    """An array of ParameterInfoStruct."""

    def read(self, elements: Sequence[Element], limits: Limits) -> tuple[ParameterInfo, ...]:
        return infos_of(elements, limits)

    def render(self, name: str, value: Sequence[ParameterInfo]) -> str:
        inner = "".join(
            [
                f"<ParameterInfoStruct><Name>{escape(each.name)}</Name><Writable>{'1' if each.writable else '0'}"
                "</Writable></ParameterInfoStruct>"
                for each in value
            ]
        )
        return f'<{name} SOAP-ENC:arrayType="cwmp:ParameterInfoStruct[{len(value)}]">{inner}</{name}>'

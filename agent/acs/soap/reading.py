"""What an element says: texts, numbers, times, and the long lists of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from agent.acs.soap.document import Element
from agent.acs.soap.limits import Limits
from agent.acs.soap.structs import ParameterInfo, ParameterValue, parameter_info, parameter_value
from agent.acs.soap.value_types import AS_WRITTEN, type_of
from agent.core.errors import ProtocolError

_NUMBER_LEAST, _NUMBER_MOST = -(2**31), 2**32 - 1
_DIGITS_MOST = 20
_TRUE = frozenset({"1", "true", "yes", "on"})


def local_name(element: Element) -> str:
    """The name of `element` without its namespace."""
    return element.tag.rpartition("}")[2]


def children_of(element: Element) -> dict[str, list[Element]]:
    """The children by their local names, each in document order."""
    found: dict[str, list[Element]] = {}
    for child in element:
        found.setdefault(child.tag.rpartition("}")[2], []).append(child)
    return found


def text_of(element: Element, limits: Limits) -> str:
    """The text as written; raises ProtocolError when it is too long."""
    text = element.text or ""
    if len(text) > limits.text_length:
        raise ProtocolError(f"{local_name(element)[:64]} is longer than {limits.text_length} letters")
    return text


def short_text_of(element: Element, limits: Limits) -> str:
    """The text of what is a name or a key; raises ProtocolError when it is too long for one."""
    text = element.text or ""
    if len(text) > limits.name_length:
        raise ProtocolError(f"{local_name(element)[:64]} is longer than {limits.name_length} letters")
    return text


def is_true(text: str) -> bool:
    """Whether `text` is a true xs:boolean; case and white space do not count, and anything odd is false."""
    return text.strip().lower() in _TRUE


def number_of(text: str) -> int | None:
    """The number that `text` is; None when it is none, or does not fit an xs:int or xs:unsignedInt."""
    digits = text.strip()
    magnitude = digits[1:] if digits[:1] in ("-", "+") else digits
    if not (magnitude.isascii() and magnitude.isdigit()) or len(magnitude) > _DIGITS_MOST:
        return None
    number = int(digits)
    return number if _NUMBER_LEAST <= number <= _NUMBER_MOST else None


def time_of(text: str) -> datetime | None:
    """The xs:dateTime that `text` is, in UTC; without a zone it is taken to be UTC already (TR-106 A8 §3.2).

    None for the unknown time, which is in the year 1, and for what is no time at all: clocks of CPEs are what they are.
    """
    try:
        time = datetime.fromisoformat(text.strip())
        if time.year == 1:
            return None
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def values_of(lists: Iterable[Element], limits: Limits) -> tuple[ParameterValue, ...]:
    """The ParameterValueStructs of ParameterLists, in order; see GetParameterValuesResponse about names given twice.

    A struct without Value has the empty text, one without Name is left out; `arrayType` does not matter.
    Raises ProtocolError when a name or a value is too long.
    """
    return tuple(value for listing in lists for value in _values_of(listing, limits))


def _values_of(listing: Element, limits: Limits) -> list[ParameterValue]:
    # The hot path, so no look at the structs between: lxml makes an object of each element that is looked at.
    names = [(element.text or "").strip() for element in listing.iter("{*}Name")]
    elements: list[Element | None] = list(listing.iter("{*}Value"))
    if not len(names) == len(elements) == len(listing):
        names, elements = _pairs(listing, "Value")
    texts = ["" if element is None else element.text or "" for element in elements]
    _check_lengths(names, texts, limits)
    values = []
    for name, text, element in zip(names, texts, elements, strict=True):
        type_ = "string" if element is None else _type_of(element)
        if name:
            values.append(parameter_value(name, text if type_ == "string" else text.strip(), type_))
    return values


def _type_of(element: Element) -> str:
    attributes = element.values()
    if len(attributes) == 1:
        known = AS_WRITTEN.get(attributes[0])
        if known is not None:
            return known
    for name, value in element.items():
        # Of any namespace: there are three of XML Schema, and some devices declare none.
        if name.rpartition("}")[2] == "type":
            return type_of(value)
    return "string"


def infos_of(lists: Iterable[Element], limits: Limits) -> tuple[ParameterInfo, ...]:
    """The ParameterInfoStructs of ParameterLists, in order; without Writable, it is not. Raises ProtocolError when a
    name is too long."""
    return tuple(info for listing in lists for info in _infos_of(listing, limits))


def _infos_of(listing: Element, limits: Limits) -> list[ParameterInfo]:
    names = [(element.text or "").strip() for element in listing.iter("{*}Name")]
    elements: list[Element | None] = list(listing.iter("{*}Writable"))
    if not len(names) == len(elements) == len(listing):
        names, elements = _pairs(listing, "Writable")
    _check_lengths(names, (), limits)
    return [
        parameter_info(name, element is not None and is_true(element.text or ""))
        for name, element in zip(names, elements, strict=True)
        if name
    ]


def _pairs(listing: Element, second: str) -> tuple[list[str], list[Element | None]]:
    """Name and another element of each struct, for lists in which some are missing."""
    names, others = [], []
    for struct in listing:
        found = children_of(struct)
        names.append((found["Name"][-1].text or "").strip() if "Name" in found else "")
        others.append(found[second][-1] if second in found else None)
    return names, others


def _check_lengths(names: Sequence[str], texts: Sequence[str], limits: Limits) -> None:
    if max(map(len, names), default=0) > limits.name_length:
        raise ProtocolError(f"the name of a parameter is longer than {limits.name_length} letters")
    if max(map(len, texts), default=0) > limits.text_length:
        raise ProtocolError(f"a value is longer than {limits.text_length} letters")

"""What an element says: texts, numbers, times, and the long lists of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from agent.acs.soap.document import Element
from agent.acs.soap.limits import Limits
from agent.acs.soap.structs import ParameterInfo, ParameterValue, parameter_infos, parameter_values
from agent.acs.soap.value_types import AS_WRITTEN, type_of
from agent.core.errors import ProtocolError

_NUMBER_LEAST, _NUMBER_MOST = -(2**31), 2**32 - 1
_DIGITS_MOST = 20
_USUAL_NUMBERS = {str(number): number for number in range(100)}
_TRUE = frozenset({"1", "true", "yes", "on"})
_USUAL_FLAGS = {"0": False, "1": True, "false": False, "true": True}


def local_name(element: Element) -> str:
    """The name of `element` without its namespace."""
    tag = element.tag
    return tag.rpartition("}")[2] if tag[0] == "{" else tag


def children_of(element: Element) -> dict[str, list[Element]]:
    """The children by their local names, each in document order."""
    found: dict[str, list[Element]] = {}
    for child in element:
        tag = child.tag
        if tag[0] == "{":
            tag = tag.rpartition("}")[2]
        if tag in found:
            found[tag].append(child)
        else:
            found[tag] = [child]
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
    if text in _USUAL_NUMBERS:
        return _USUAL_NUMBERS[text]
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
    return tuple([value for listing in lists for value in _values_of(listing, limits)])


def _values_of(listing: Element, limits: Limits) -> list[ParameterValue]:
    # The hot path: all names, then all values, and no look at the structs between, since lxml makes an object of every
    # element that is looked at.
    names = [(element.text or "").strip() for element in listing.iter("{*}Name")]
    elements = list(listing.iter("{*}Value"))
    if len(names) == len(elements) == len(listing) and "" not in names:
        texts = [element.text or "" for element in elements]
        types = [_type_of(element) for element in elements]
    else:
        structs = _named_structs(listing)
        names = [name for name, _ in structs]
        values = [found["Value"][-1] if "Value" in found else None for _, found in structs]
        texts = ["" if element is None else element.text or "" for element in values]
        types = ["string" if element is None else _type_of(element) for element in values]
    _check_lengths(names, texts, limits)
    texts = [text if type_ == "string" else text.strip() for text, type_ in zip(texts, types, strict=True)]
    return parameter_values(names, texts, types)


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
    return tuple([info for listing in lists for info in _infos_of(listing, limits)])


def _infos_of(listing: Element, limits: Limits) -> list[ParameterInfo]:
    names = [(element.text or "").strip() for element in listing.iter("{*}Name")]
    texts = [element.text or "" for element in listing.iter("{*}Writable")]
    if not len(names) == len(texts) == len(listing) or "" in names:
        structs = _named_structs(listing)
        names = [name for name, _ in structs]
        texts = [(found["Writable"][-1].text or "") if "Writable" in found else "" for _, found in structs]
    _check_lengths(names, (), limits)
    return parameter_infos(names, [_USUAL_FLAGS[text] if text in _USUAL_FLAGS else is_true(text) for text in texts])


def _named_structs(listing: Element) -> list[tuple[str, dict[str, list[Element]]]]:
    """Name and children of each struct that has a name, for lists in which some things are missing."""
    found = [children_of(struct) for struct in listing]
    named = [((each["Name"][-1].text or "").strip() if "Name" in each else "", each) for each in found]
    return [(name, each) for name, each in named if name]


def _check_lengths(names: Sequence[str], texts: Sequence[str], limits: Limits) -> None:
    if max(map(len, names), default=0) > limits.name_length:
        raise ProtocolError(f"the name of a parameter is longer than {limits.name_length} letters")
    if max(map(len, texts), default=0) > limits.text_length:
        raise ProtocolError(f"a value is longer than {limits.text_length} letters")

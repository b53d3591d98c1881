"""What an element says: texts, numbers, times, and the long lists of parameters."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import repeat

from agent.acs.soap.document import Element
from agent.acs.soap.limits import Limits
from agent.acs.soap.structs import ParameterInfo, ParameterValue
from agent.acs.soap.value_types import AS_WRITTEN, type_of
from agent.core.errors import ProtocolError

_NUMBER_LEAST, _NUMBER_MOST = -(2**31), 2**32 - 1
_DIGITS_MOST = 20
_USUAL_NUMBERS = {str(number): number for number in range(100)}
_TRUE = frozenset({"1", "true", "yes", "on"})
_USUAL_FLAGS = {"0": False, "1": True, "false": False, "true": True}
_new = object.__new__
_set_name = ParameterValue.__dict__["name"].__set__
_set_value = ParameterValue.__dict__["value"].__set__
_set_type = ParameterValue.__dict__["type"].__set__
_set_info_name = ParameterInfo.__dict__["name"].__set__
_set_info_writable = ParameterInfo.__dict__["writable"].__set__


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
        raise _too_long(local_name(element)[:64], limits.text_length)
    return text


def short_text_of(element: Element, limits: Limits) -> str:
    """The text of what is a name or a key; raises ProtocolError when it is too long for one."""
    text = element.text or ""
    if len(text) > limits.name_length:
        raise _too_long(local_name(element)[:64], limits.name_length)
    return text


def is_true(text: str) -> bool:
    """Whether `text` is a true xs:boolean; case and white space do not count, and anything odd is false."""
    return _USUAL_FLAGS[text] if text in _USUAL_FLAGS else text.strip().lower() in _TRUE


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
    """The xs:dateTime that `text` is, in UTC; without a zone it is taken to be UTC already, as TR-106 has it.

    None for the unknown time, which is in the year 1, and for what is no time at all: clocks of CPEs are what they are.
    """
    try:
        time = datetime.fromisoformat(text.strip())
        if time.year == 1:
            return None
        return time.astimezone(UTC) if time.tzinfo is not None else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def values_of(lists: Iterable[Element], limits: Limits) -> tuple[ParameterValue, ...]:
    """The ParameterValueStructs of ParameterLists, in order; see GetParameterValuesResponse about names given twice.

    A struct without Value has the empty text, one without Name is left out; `arrayType` does not matter.
    Raises ProtocolError when a name or a value is too long.
    """
    return tuple([value for listing in lists for value in _values_of(listing, limits)])


def _values_of(listing: Element, limits: Limits) -> list[ParameterValue]:
    # The hot path: a column at a time, in loops that are not Python's where that can be. The structs between are not
    # looked at, since lxml makes an object of every element that is.
    names = [(element.text or "").strip() for element in listing.iter("{*}Name")]
    elements = list(listing.iter("{*}Value"))
    if not len(names) == len(elements) == len(listing) or "" in names:
        return _values_of_structs(listing, limits)
    texts = [element.text or "" for element in elements]
    if max(map(len, names), default=0) > limits.name_length:
        raise _too_long("the name of a parameter", limits.name_length)
    if max(map(len, texts), default=0) > limits.text_length:
        raise _too_long("a value", limits.text_length)
    types = _types_of(elements)
    if types.count("string") < len(types):
        texts = [text if type_ == "string" else text.strip() for text, type_ in zip(texts, types, strict=True)]
    # What `ParameterValue(…)` does, in a quarter of the time.
    values = list(map(_new, repeat(ParameterValue, len(names))))
    for set_member, members in ((_set_name, names), (_set_value, texts), (_set_type, types)):
        deque(map(set_member, values, members), maxlen=0)
    return values


def _types_of(elements: Sequence[Element]) -> list[str]:
    # Most have one attribute, and what it says tells that it is the type.
    attributes = [element.values() for element in elements]
    types = [AS_WRITTEN.get(each[0]) if len(each) == 1 else None for each in attributes]
    return [type_ or _type_of(element) for type_, element in zip(types, elements, strict=True)]


def _values_of_structs(listing: Element, limits: Limits) -> list[ParameterValue]:
    """The same where some struct lacks something, or has it the other way round."""
    values = []
    for name, found in _named_structs(listing, limits):
        element = found["Value"][-1] if "Value" in found else None
        type_ = "string" if element is None else _type_of(element)
        text = "" if element is None else text_of(element, limits)
        values.append(ParameterValue(name=name, value=text if type_ == "string" else text.strip(), type=type_))
    return values


def _type_of(element: Element) -> str:
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
        structs = _named_structs(listing, limits)
        names = [name for name, _ in structs]
        texts = [(found["Writable"][-1].text or "") if "Writable" in found else "" for _, found in structs]
    if max(map(len, names), default=0) > limits.name_length:
        raise _too_long("the name of a parameter", limits.name_length)
    infos = list(map(_new, repeat(ParameterInfo, len(names))))
    deque(map(_set_info_name, infos, names), maxlen=0)
    deque(map(_set_info_writable, infos, map(is_true, texts)), maxlen=0)
    return infos


def _named_structs(listing: Element, limits: Limits) -> list[tuple[str, dict[str, list[Element]]]]:
    """Name and children of each struct that has a name."""
    named = []
    for struct in listing:
        found = children_of(struct)
        name = (found["Name"][-1].text or "").strip() if "Name" in found else ""
        if len(name) > limits.name_length:
            raise _too_long("the name of a parameter", limits.name_length)
        if name:
            named.append((name, found))
    return named


def _too_long(what: str, most: int) -> ProtocolError:
    return ProtocolError(f"{what} is longer than {most} letters")

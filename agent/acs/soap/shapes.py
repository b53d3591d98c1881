"""How structures are read and written: the members of one in the order of the schema, and arrays of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agent.acs.identity import DeviceIdentity
from agent.acs.soap.document import Element
from agent.acs.soap.escape import escape
from agent.acs.soap.kinds import Kind
from agent.acs.soap.limits import Limits
from agent.acs.soap.reading import children_of, is_true, local_name, number_of, short_text_of, text_of
from agent.acs.soap.structs import Event, SetParameterAttribute
from agent.core.errors import ProtocolError


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of a message or structure: its attribute here, its element there."""

    attribute: str
    element: str
    kind: Kind
    required: bool = False
    """A message without it is no use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A structure within another whose members are attributes of the outer one here, such as FaultStruct."""

    element: str
    members: tuple[Member, ...]


Part = Member | Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A message or structure: its name in the schema, its class here, and its members in the order of the schema."""

    name: str
    make: Callable[..., Any]
    parts: tuple[Part, ...] = ()

    def read(self, element: Element, limits: Limits) -> Any:
        """What `element` holds; elements that are not members are passed over. Raises ProtocolError."""
        found = children_of(element)
        values: dict[str, Any] = {}
        for part in self.parts:
            elements = found.get(part.element, ())
            if isinstance(part, Member):
                if part.required and not elements:
                    raise ProtocolError(f"{self.name} without {part.element}")
                values[part.attribute] = part.kind.read(elements, limits)
            else:
                # Some devices put one structure more around the group.
                inner = _descendants_of(elements)
                for member in part.members:
                    values[member.attribute] = member.kind.read(inner.get(member.element, ()), limits)
        return self.make(**values)

    def render(self, value: Any) -> str:
        """The members of `value` as XML. Raises ValueError for what cannot be written."""
        return "".join(
            [
                _render(part, value)
                if isinstance(part, Member)
                else f"<{part.element}>{''.join([_render(member, value) for member in part.members])}</{part.element}>"
                for part in self.parts
            ]
        )

    def has(self, name: str) -> bool:
        """Whether a member has an element of that name."""
        return any(part.element == name for part in self.parts)


def _render(member: Member, value: Any) -> str:
    return member.kind.render(member.element, getattr(value, member.attribute))


def _descendants_of(elements: Sequence[Element]) -> dict[str, list[Element]]:
    found: dict[str, list[Element]] = {}
    for element in elements:
        for inner in element.iterdescendants():
            found.setdefault(local_name(inner), []).append(inner)
    return found


def structs_in(elements: Sequence[Element], shape: Shape) -> Iterator[Element]:
    """The structures of `shape` in `elements`: those are arrays of them, or, as some devices have it, each is one."""
    for element in elements:
        if any(shape.has(local_name(child)) for child in element):
            yield element
        else:
            yield from element


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """An array of structures."""

    shape: Shape

    def read(self, elements: Sequence[Element], limits: Limits) -> tuple[Any, ...]:
        return tuple(self.shape.read(struct, limits) for struct in structs_in(elements, self.shape))

    def render(self, name: str, value: Sequence[Any]) -> str:
        struct = self.shape.name
        inner = "".join([f"<{struct}>{self.shape.render(each)}</{struct}>" for each in value])
        return f'<{name} SOAP-ENC:arrayType="cwmp:{struct}[{len(value)}]">{inner}</{name}>'


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """Structures that follow each other without an array around them."""

    shape: Shape

    def read(self, elements: Sequence[Element], limits: Limits) -> tuple[Any, ...]:
        return tuple(self.shape.read(struct, limits) for struct in structs_in(elements, self.shape))

    def render(self, name: str, value: Sequence[Any]) -> str:
        return "".join([f"<{name}>{self.shape.render(each)}</{name}>" for each in value])


@dataclass(frozen=True, slots=True, kw_only=True)
class Variants:
    """Structures of several shapes that follow each other. Each tells its shape by `xsi:type`, or by its name when it
    is in an array."""

    shapes: tuple[Shape, ...]

    def read(self, elements: Sequence[Element], limits: Limits) -> tuple[Any, ...]:
        return tuple(self._read(struct, limits) for element in elements for struct in self._structs(element))

    def _structs(self, element: Element) -> Iterator[Element]:
        names = {shape.name for shape in self.shapes}
        inner = [child for child in element if local_name(child) in names]
        yield from inner or (element,)

    def _read(self, struct: Element, limits: Limits) -> Any:
        said = {value.rpartition(":")[2].strip() for key, value in struct.items() if key.rpartition("}")[2] == "type"}
        for shape in self.shapes:
            if shape.name in said or shape.name == local_name(struct):
                return shape.read(struct, limits)
        raise ProtocolError(f"{local_name(struct)[:64]} does not say which operation it is")

    def render(self, name: str, value: Sequence[Any]) -> str:
        return "".join([self._render(name, each) for each in value])

    def _render(self, name: str, value: Any) -> str:
        for shape in self.shapes:
            if shape.make is type(value):
                return f'<{name} xsi:type="cwmp:{shape.name}">{shape.render(value)}</{name}>'
        raise ValueError(f"{type(value).__name__} is no operation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The DeviceIdStruct (TR-069 A6 §A.3.3.1)."""

    def read(self, elements: Sequence[Element], _limits: Limits) -> DeviceIdentity:
        found = {local_name(child): child.text or "" for child in elements[-1]}
        return DeviceIdentity.parse(
            oui=found.get("OUI", ""),
            product_class=found.get("ProductClass", ""),
            serial_number=found.get("SerialNumber", ""),
            manufacturer=found.get("Manufacturer", ""),
        )

    def render(self, name: str, value: DeviceIdentity) -> str:
        return (
            f"<{name}><Manufacturer>{escape(value.manufacturer)}</Manufacturer><OUI>{escape(value.oui)}</OUI>"
            f"<ProductClass>{escape(value.product_class)}</ProductClass>"
            f"<SerialNumber>{escape(value.serial_number)}</SerialNumber></{name}>"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """An array of EventStruct. Two codes in one struct are two events, each with its key; blanks in a code are one."""

    def read(self, elements: Sequence[Element], limits: Limits) -> tuple[Event, ...]:
        events: list[Event] = []
        for element in elements:
            for struct in element:
                codes, key = [], ""
                for child in struct:
                    name = local_name(child)
                    if name == "EventCode":
                        codes.append(" ".join(short_text_of(child, limits).split()))
                    elif name == "CommandKey":
                        key = short_text_of(child, limits).strip()
                events += [Event(code=code, command_key=key) for code in codes if code]
        if len(events) > limits.events:
            raise ProtocolError(f"more than {limits.events} events")
        return tuple(events)

    def render(self, name: str, value: Sequence[Event]) -> str:
        inner = "".join(
            [
                f"<EventStruct><EventCode>{escape(each.code)}</EventCode>"
                f"<CommandKey>{escape(each.command_key)}</CommandKey></EventStruct>"
                for each in value
            ]
        )
        return f'<{name} SOAP-ENC:arrayType="cwmp:EventStruct[{len(value)}]">{inner}</{name}>'


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeChanges:
    """An array of SetParameterAttributesStruct (TR-069 A6 §A.3.2.4): what is not to change is None here."""

    def read(self, elements: Sequence[Element], limits: Limits) -> tuple[SetParameterAttribute, ...]:
        return tuple(self._read(struct, limits) for element in elements for struct in element)

    def _read(self, struct: Element, limits: Limits) -> SetParameterAttribute:
        found = children_of(struct)
        texts = {key: text_of(children[-1], limits) for key, children in found.items()}
        access = tuple(text_of(child, limits).strip() for listing in found.get("AccessList", ()) for child in listing)
        return SetParameterAttribute(
            name=texts.get("Name", "").strip(),
            notification=number_of(texts.get("Notification", ""))
            if is_true(texts.get("NotificationChange", ""))
            else None,
            access_list=access if is_true(texts.get("AccessListChange", "")) else None,
        )

    def render(self, name: str, value: Sequence[SetParameterAttribute]) -> str:
        inner = "".join([self._render(each) for each in value])
        return f'<{name} SOAP-ENC:arrayType="cwmp:SetParameterAttributesStruct[{len(value)}]">{inner}</{name}>'

    def _render(self, value: SetParameterAttribute) -> str:
        access = value.access_list or ()
        strings = "".join([f"<string>{escape(each)}</string>" for each in access])
        return (
            f"<SetParameterAttributesStruct><Name>{escape(value.name)}</Name>"
            f"<NotificationChange>{'0' if value.notification is None else '1'}</NotificationChange>"
            f"<Notification>{int(value.notification or 0)}</Notification>"
            f"<AccessListChange>{'0' if value.access_list is None else '1'}</AccessListChange>"
            f'<AccessList SOAP-ENC:arrayType="xsd:string[{len(access)}]">{strings}</AccessList>'
            "</SetParameterAttributesStruct>"
        )

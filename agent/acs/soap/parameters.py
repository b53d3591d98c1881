"""RPCs about the data model of a CPE: its parameters and objects (TR-069 A6 §A.3.2.1 to §A.3.2.7)."""

from __future__ import annotations

from dataclasses import dataclass

from agent.acs.soap.structs import ParameterAttribute, ParameterInfo, ParameterValue, SetParameterAttribute


@dataclass(frozen=True, slots=True, kw_only=True)
class SetParameterValues:
    """Write values, all or none (TR-069 A6 §A.3.2.1)."""

    parameters: tuple[ParameterValue, ...]
    parameter_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetParameterValuesResponse:
    """The values were taken (TR-069 A6 §A.3.2.1)."""

    status: int = 0
    """0 applied, 1 applied later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetParameterValues:
    """Read values; a name that ends with a dot stands for all below it (TR-069 A6 §A.3.2.2)."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GetParameterValuesResponse:
    """The values (TR-069 A6 §A.3.2.2).

    All that was sent, in its order, a name given twice too; of two values the last one counts, as a dict built from
    them has it: it was read later.
    """

    parameters: tuple[ParameterValue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GetParameterNames:
    """List what lies below a path: its children, or all (TR-069 A6 §A.3.2.3)."""

    parameter_path: str = ""
    next_level: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GetParameterNamesResponse:
    """The names (TR-069 A6 §A.3.2.3)."""

    parameters: tuple[ParameterInfo, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetParameterAttributes:
    """Change notification or access (TR-069 A6 §A.3.2.4)."""

    attributes: tuple[SetParameterAttribute, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetParameterAttributesResponse:
    """The attributes were taken (TR-069 A6 §A.3.2.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetParameterAttributes:
    """Read notification and access (TR-069 A6 §A.3.2.5)."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GetParameterAttributesResponse:
    """The attributes (TR-069 A6 §A.3.2.5)."""

    attributes: tuple[ParameterAttribute, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AddObject:
    """Make an instance of a table; its path ends with a dot (TR-069 A6 §A.3.2.6)."""

    object_name: str
    parameter_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddObjectResponse:
    """The instance is there (TR-069 A6 §A.3.2.6)."""

    instance_number: int
    status: int = 0
    """0 applied, 1 applied later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteObject:
    """Remove an instance; its path ends with a dot (TR-069 A6 §A.3.2.7)."""

    object_name: str
    parameter_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteObjectResponse:
    """The instance is gone (TR-069 A6 §A.3.2.7)."""

    status: int = 0
    """0 applied, 1 applied later."""

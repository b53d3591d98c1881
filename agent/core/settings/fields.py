"""The schema as a list of settings: what each one is called, takes, and whether it must be hidden. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from agent.core.settings.schema import Settings

HIDDEN = "***"
ENVIRONMENT_PREFIX = "LASTMILE_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key of one section."""

    section: str
    key: str
    description: str
    allowed: str
    """What a value may be, in words."""
    secret: bool
    textual: bool
    """Whether every value is a text, so that a variable's value needs no quotes."""
    default: Any

    @property
    def name(self) -> str:
        """`section.key`, as messages and the reference say it."""
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"{ENVIRONMENT_PREFIX}{self.section}_{self.key}".upper()


def all_settings() -> Mapping[str, Setting]:
    """Every setting by its name, in the order of the schema."""
    return {setting.name: setting for setting in _settings()}


@cache
def section_titles() -> Mapping[str, str]:
    """What each section is about, in the order of the schema."""
    return {name: re.sub(r"^\[\w+\]\s*", "", model.__doc__ or "") for name, model in _sections()}


def render_value(setting: Setting, value: Any) -> str:
    """`value` as it would stand in the file, with everything secret hidden; "unset" for None."""
    if value is None:
        return "unset"
    if setting.secret:
        return _render_secret(setting, value)
    return _render_plain(value)


def redact_url(url: str) -> str:
    """A libpq connection URI or string without its passwords; hidden as a whole when it is neither."""
    if "://" in url:
        # Up to the last "@": a password that should have been percent-encoded must not show its second half.
        without = re.sub(r"^([^:/?#]+://[^:@/?#]*):.*@", rf"\1:{HIDDEN}@", url, flags=re.DOTALL)
        return re.sub(r"([?&][^=&]*pass[^=&]*=)[^&]*", rf"\1{HIDDEN}", without, flags=re.IGNORECASE)
    if "=" in url:
        return re.sub(r"(\w*pass\w*\s*=\s*)('(?:\\.|[^'])*'?|\S+)", rf"\1{HIDDEN}", url, flags=re.IGNORECASE)
    return HIDDEN


def holds_secret(setting: Setting, value: Any) -> bool:
    """Whether somebody who reads this value learns a secret (a database URL may well have none)."""
    if not setting.secret or value in (None, "", {}):
        return False
    return not (setting.name == "database.url" and isinstance(value, str) and redact_url(value) == value)


def _render_secret(setting: Setting, value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(name))} = {json.dumps(HIDDEN)}" for name in value) + "}"
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if setting.name == "database.url" and isinstance(text, str):
        return json.dumps(redact_url(text))
    return HIDDEN


def _render_plain(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case Mapping():
            return (
                "{" + ", ".join(f"{json.dumps(str(key))} = {_render_plain(each)}" for key, each in value.items()) + "}"
            )
        case list() | tuple():
            return "[" + ", ".join(_render_plain(each) for each in value) + "]"
        case Path():
            return json.dumps(str(value))
        case _:
            return json.dumps(str(value), ensure_ascii=False)


def _sections() -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in Settings.model_fields.items():
        model = field.annotation
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(f"section {name} of the settings is no table")
        yield name, model


@cache
def _settings() -> tuple[Setting, ...]:
    return tuple(
        Setting(
            section=section,
            key=key,
            description=field.description or "",
            allowed=_describe(schema["properties"][key]),
            secret="password" in _formats(schema["properties"][key]),
            textual=_textual(schema["properties"][key]),
            default=field.get_default(call_default_factory=True),
        )
        for section, model in _sections()
        for schema in (model.model_json_schema(),)
        for key, field in model.model_fields.items()
    )


def _variants(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]


def _textual(schema: Mapping[str, Any]) -> bool:
    return all(each.get("type") == "string" for each in _variants(schema))


def _formats(schema: Mapping[str, Any]) -> set[str]:
    found = {schema["format"]} if "format" in schema else set()
    inner = [*schema.get("anyOf", []), schema.get("items"), schema.get("additionalProperties")]
    for each in inner:
        if isinstance(each, Mapping):
            found |= _formats(each)
    return found


def _describe(schema: Mapping[str, Any]) -> str:
    variants = _variants(schema)
    if len(variants) > 1:
        # Two families of networks read better as one thing.
        return " or ".join(dict.fromkeys(_describe(each) for each in variants))
    schema = {**schema, **variants[0]}
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(json.dumps(each) for each in schema["enum"])
    match schema.get("type"):
        case "integer":
            return "a whole number" + _describe_range(schema)
        case "number":
            return "a number" + _describe_range(schema)
        case "boolean":
            return "true or false"
        case "array":
            return "a list, each " + _describe(schema["items"])
        case "object":
            return "a table, each value " + _describe(schema["additionalProperties"])
        case _:
            return _describe_text(schema)


def _describe_range(schema: Mapping[str, Any]) -> str:
    words = []
    if "exclusiveMinimum" in schema:
        words.append(f"above {schema['exclusiveMinimum']:g}")
    if "minimum" in schema:
        words.append(f"from {schema['minimum']}")
    if "maximum" in schema:
        words.append(f"to {schema['maximum']}")
    return " " + " ".join(words) if words else ""


def _describe_text(schema: Mapping[str, Any]) -> str:
    match schema.get("format"):
        case "ipv4network" | "ipv6network":
            return "a network such as 192.0.2.0/24"
        case "path":
            return "a path"
        case _:
            most = schema.get("maxLength")
            return f"a text of at most {most} characters" if most else "a text"

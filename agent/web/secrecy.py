"""Which of a CPE's parameters hold secrets: passwords of the subscriber's network and of the CPE itself. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agent.acs.tasks import redact_arguments

HIDDEN = "***"
_SECRET = re.compile(
    r"(?:password|passwd|pwd|passphrase|presharedkey|wepkey|privatekey|encryptionkey|authkey|secret|pin|puk)[0-9]*$",
    re.IGNORECASE,
)


def is_secret(path: str) -> bool:
    """Whether the path ends so: `KeyPassphrase`, `ConnectionRequestPassword`, `PreSharedKey`."""
    return bool(_SECRET.search(path))


def hide(path: str, value: str) -> str:
    """The value, unless it is a secret; an empty one tells nothing."""
    return HIDDEN if value and is_secret(path) else value


def hide_arguments(kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A task's arguments without the secrets that it brings the device."""
    if kind != "setParameterValues":
        return redact_arguments(kind, arguments)
    values = [
        {**each, "value": hide(str(each.get("name", "")), str(each.get("value", "")))}
        for each in arguments.get("values", ())
        if isinstance(each, Mapping)
    ]
    return {**arguments, "values": values}


def hide_result(result: dict[str, Any] | None) -> dict[str, Any] | None:
    """A task's result without the secrets that the device told."""
    values = (result or {}).get("values")
    if result is None or not isinstance(values, Mapping):
        return result
    return {**result, "values": {name: hide(str(name), str(value)) for name, value in values.items()}}

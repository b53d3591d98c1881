"""Words about parameter paths: `Device.Hosts.Host.3.IPAddress` (TR-106 §3.3). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

PATH_MOST = 256
"""Longest path that is stored (TR-106 A7 §3.3 has 256 for the whole name)."""
_INSTANCE = re.compile(r"\.[0-9]+(?=\.|$)")
_VALID = re.compile(r"[A-Za-z_][A-Za-z0-9_:{}-]*(\.[A-Za-z0-9_:{}\[\]-]+)*\.?")
ROOTS = ("Device.", "InternetGatewayDevice.")


def is_valid(path: str) -> bool:
    """Whether it can be a path of a parameter or, when it ends with a dot, of an object."""
    return len(path) <= PATH_MOST and bool(_VALID.fullmatch(path))


def is_object(path: str) -> bool:
    """Whether it names an object (a partial path) instead of a parameter."""
    return path.endswith(".") or not path


@lru_cache(maxsize=16_384)
def template_of(path: str) -> str:
    """The path with `{i}` for instance numbers: what devices of one model share."""
    return _INSTANCE.sub(".{i}", path)


def top_of(path: str) -> str:
    """The first two words of a path, with their dots: `Device.Hosts.`; a parameter right below the root: all of it."""
    first = path.find(".") + 1
    second = path.find(".", first) + 1
    return path[:second] if second else path


def parent_of(path: str) -> str:
    """The object that a parameter or an object is in: `Device.Hosts.` of `Device.Hosts.Host.`"""
    return path[: path.rstrip(".").rfind(".") + 1]


def root_of(names: Iterable[str]) -> str | None:
    """`Device.` or `InternetGatewayDevice.`, as the given paths have it; None when they say nothing."""
    for name in names:
        root = name[: name.find(".") + 1]
        if root in ROOTS:
            return root
    return None

"""Who may use the proxies of a host, and for what, as this server's settings say. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from agent.core.settings.load import EffectiveRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that is asked of clients or destinations."""

    label: str
    values: Sequence[str]
    """Each to be shown by itself."""
    otherwise: str
    """What holds when there are none."""
    origin: str
    """The setting, and where its value comes from."""


def rules_of(in_force: Iterable[EffectiveRow], host: str, machine_name: str) -> tuple[Rule, ...]:
    """The users and the access list of the proxies of `host`; empty when these settings are another host's.

    All modems of a host have the same: the settings are one file a host, and proxies are made from them."""
    rows = {row.key: row for row in in_force}
    own = _value(rows, "agent.host") or machine_name
    if host != own or "proxy.users" not in rows:
        return ()
    return tuple(
        Rule(label=label, values=_texts(_value(rows, key)), otherwise=otherwise, origin=_origin(rows[key]))
        for label, key, otherwise in (
            ("Users", "proxy.users", "none: whoever comes from these networks needs no password"),
            ("Clients from", "proxy.allow", "the network of the address that the proxies listen on"),
            ("Never to", "proxy.deny_to", ""),
            ("Names asked of", "proxy.nameservers", "the carrier's resolvers, through the modem"),
            ("Connections at most", "proxy.maximum_connections", ""),
        )
    )


def _value(rows: dict[str, EffectiveRow], key: str) -> Any:
    row = rows.get(key)
    return None if row is None else tomllib.loads(f"value = {row.value}")["value"]


def _texts(value: object) -> tuple[str, ...]:
    match value:
        case dict():
            return tuple(sorted(value))
        case list():
            return tuple(str(each) for each in value)
        case "auto" | "carrier":
            return ()
        case _:
            return (str(value),)


def _origin(row: EffectiveRow) -> str:
    return f"{row.key}, {'by default' if row.origin == 'default' else row.origin}"

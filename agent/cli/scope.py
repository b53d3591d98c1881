"""The options that say what of the fleet somebody may see."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from agent.store.rows import Scope


def scope_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--host` and `--tag`, as `hosts` and `tags`."""
    host = click.option("--host", "hosts", multiple=True, help="Only modems of this host; may be given several times.")
    tag = click.option("--tag", "tags", multiple=True, help="Only devices with this tag; may be given several times.")
    return host(tag(command))


def make_scope(hosts: tuple[str, ...], tags: tuple[str, ...]) -> Scope:
    """The scope that the options say. Who is given hosts only sees no devices, and the other way round: what somebody
    is not given they do not get."""
    from agent.store.rows import EVERYTHING, Scope

    return Scope(hosts=hosts, tags=tags) if hosts or tags else EVERYTHING


def describe_scope(scope: Scope) -> str:
    """For people."""
    if scope.is_everything:
        return "everything"
    hosts = "all hosts" if scope.hosts is None else f"hosts {', '.join(scope.hosts) or 'none'}"
    tags = "all devices" if scope.tags is None else f"tags {', '.join(scope.tags) or 'none'}"
    return f"{hosts}; {tags}"

"""Link, routing and proxy of one modem: what is to be done so that its clients get through, or nowhere at all. Pure."""

from __future__ import annotations

from typing import TypeVar

from agent.modem.actions import (
    Action,
    ApplyRouting,
    ConfigureLink,
    ReleaseSession,
    ReloadProxy,
    RestartProxy,
    StartProxy,
    StopBearer,
    StopProxy,
    WriteProxyConfiguration,
)
from agent.modem.model import (
    Allocation,
    Bearer,
    Desired,
    LinkState,
    Observed,
    Route,
    RoutingState,
    Rule,
    UnitState,
)
from agent.modem.proxying import configuration_digest
from agent.modem.routing import modem_routes, modem_rules, wanted_reverse_path_filter


def plan_service(observed: Observed, desired: Desired, text: str | None) -> tuple[Action, ...]:
    """Close, then open: the rules and the `unreachable` fallback stand before the link, its route and the proxy.

    `text`: the proxy's wanted configuration; None while no resolver is known for it."""
    allocation = desired.allocation
    if allocation is None:
        return ()
    closing = _closing_changes(observed, desired, allocation)
    closed = () if closing == ApplyRouting() else (closing,)
    if not observed.control_answers:
        # What the link and its route should be is not known: they are left as they are.
        return (*closed, *_proxy_actions(observed, desired, text))
    return (
        *closed,
        *_link_actions(observed, desired),
        *_opening_actions(observed, desired, allocation, closing),
        *_proxy_actions(observed, desired, text),
    )


def usable_bearer(observed: Observed) -> Bearer | None:
    """The bearer, when there is a raw-IP link to carry it."""
    link = observed.link
    return observed.bearer if link is not None and link.raw_ip is not False else None


def _link_actions(observed: Observed, desired: Desired) -> tuple[Action, ...]:
    link, bearer = observed.link, usable_bearer(observed)
    if link is None:
        return ()
    settings = bearer.settings if bearer is not None else ()
    mtu = min((each.mtu for each in settings if each.mtu is not None), default=None)
    name = alternative_name(desired)
    if _link_as_wanted(link, frozenset(each.interface for each in settings), mtu, name, connected=bearer is not None):
        return ()
    return (ConfigureLink(link_index=link.index, settings=settings, mtu=mtu, alternative_name=name),)


def _link_as_wanted(
    link: LinkState, addresses: frozenset[object], mtu: int | None, name: str, *, connected: bool
) -> bool:
    if link.addresses != addresses or name not in link.alternative_names:
        return False
    return (link.up or not connected) and (mtu is None or link.mtu == mtu)


def alternative_name(desired: Desired) -> str:
    """A link's own lasting name, whatever number the kernel gave it."""
    return f"modem-{desired.serial}"


def _closing_changes(observed: Observed, desired: Desired, allocation: Allocation) -> ApplyRouting:
    found = observed.routing
    return ApplyRouting(
        add_rules=_of(found.families, modem_rules(allocation, desired.rule_priority)) - found.rules,
        add_routes=_of(found.families, modem_routes(allocation, None, None)) - found.routes,
    )


Ruling = TypeVar("Ruling", Rule, Route)


def _of(families: tuple[int, ...], wanted: frozenset[Ruling]) -> frozenset[Ruling]:
    return frozenset(each for each in wanted if each.family in families)


def _opening_actions(
    observed: Observed, desired: Desired, allocation: Allocation, closing: ApplyRouting
) -> tuple[Action, ...]:
    """The bearer's own route, and the removal of everything that does not belong."""
    link_index = observed.link.index if observed.link is not None else None
    found, bearer = observed.routing, usable_bearer(observed)
    wanted_rules = _of(found.families, modem_rules(allocation, desired.rule_priority, bearer))
    wanted_routes = _of(found.families, modem_routes(allocation, bearer, link_index))
    changes = ApplyRouting(
        add_rules=wanted_rules - found.rules - closing.add_rules,
        add_routes=wanted_routes - found.routes - closing.add_routes,
        delete_rules=found.rules - wanted_rules,
        delete_routes=found.routes - wanted_routes,
        relax_reverse_path_filter_of=None if _filter_as_wanted(found) else link_index,
    )
    return () if changes == ApplyRouting() else (changes,)


def _filter_as_wanted(found: RoutingState) -> bool:
    wanted = wanted_reverse_path_filter(found.reverse_path_filter_of_all)
    return found.reverse_path_filter in (None, wanted)


def _proxy_actions(observed: Observed, desired: Desired, text: str | None) -> tuple[Action, ...]:
    found = observed.proxy
    if text is None or desired.proxy is None:
        return ()
    active = found.unit is UnitState.ACTIVE
    if not active and observed.hardware is None:
        return ()
    if found.configuration != text:
        return (WriteProxyConfiguration(text=text), ReloadProxy() if active else StartProxy())
    if not active:
        return (StartProxy(),)
    if not found.listening:
        return () if found.starting else (RestartProxy(),)
    if found.loaded != configuration_digest(text):
        return (ReloadProxy(),)
    return ()


def plan_tear_down(observed: Observed, desired: Desired) -> tuple[Action, ...]:
    """For a disabled modem: the proxy first, so that nothing of it can leak; then the bearer, then the routing."""
    actions: list[Action] = []
    if observed.proxy.unit is not UnitState.INACTIVE:
        actions.append(StopProxy())
    if observed.bearer is not None and observed.responsive:
        actions.append(StopBearer(session=observed.bearer.session))
    actions.extend(ReleaseSession(session=session) for session in observed.stray_sessions)
    link = observed.link
    if link is not None and link.addresses:
        actions.append(
            ConfigureLink(link_index=link.index, settings=(), mtu=None, alternative_name=alternative_name(desired))
        )
    if observed.routing.rules or observed.routing.routes:
        actions.append(ApplyRouting(delete_rules=observed.routing.rules, delete_routes=observed.routing.routes))
    return tuple(actions)

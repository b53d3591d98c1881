"""Rules of alerts and whom to tell, as admins look after them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Response
from pydantic import BaseModel

from agent.alert.parameters import PARAMETERS
from agent.core.clock import Deadline
from agent.core.errors import ConfigError
from agent.store.alert_rows import RuleRow, TargetRow
from agent.store.alert_rules import NameTakenError, RuleDraft
from agent.store.alert_targets import TargetDraft
from agent.web.endpoint import Answer, Call, NoBody, Query
from agent.web.errors import ApiError
from agent.web.finding import not_found
from agent.web.schemas_alerts import (
    Delivery,
    DeliveryPage,
    DeliveryQuery,
    KindList,
    KindView,
    ParameterView,
    RuleBody,
    RuleList,
    RuleView,
    TargetBody,
    TargetList,
    TargetMade,
    TargetView,
    TestQuery,
)
from agent.web.waiting import waiting_place

Made = TypeVar("Made")


def list_kinds(call: Call[Query, NoBody]) -> KindList:
    """What rules there can be."""
    del call
    kinds = (
        KindView(kind=kind, parameters=tuple(ParameterView.model_validate(each) for each in parameters))
        for kind, parameters in PARAMETERS.items()
    )
    return KindList(kinds=tuple(kinds))


def list_rules(call: Call[Query, NoBody]) -> RuleList:
    """Every rule."""
    return RuleList(rules=tuple(RuleView.model_validate(row) for row in call.services.monitoring.rules.list()))


def show_rule(call: Call[Query, NoBody]) -> RuleView:
    """One rule."""
    return RuleView.model_validate(_find_rule(call))


def add_rule(call: Call[Query, RuleBody]) -> Answer:
    """A new rule."""
    draft = _draft(call.body)
    call.trail.write(call.caller, "alert_rule.add", draft.name, call.body.model_dump(mode="json"))
    made = _writing("rule", lambda: call.services.monitoring.rules.add(draft, call.caller.name))
    return Answer(content=RuleView.model_validate(made), status=HTTPStatus.CREATED)


def change_rule(call: Call[Query, RuleBody]) -> RuleView:
    """Make a rule another one."""
    row, draft = _find_rule(call), _draft(call.body)
    call.trail.write(call.caller, "alert_rule.change", row.name, before=_state(row))
    changed = _writing("rule", lambda: call.services.monitoring.rules.change(row.id, draft))
    if changed is None:
        raise _no_such_rule()
    call.trail.after(_state(changed))
    return RuleView.model_validate(changed)


def remove_rule(call: Call[Query, NoBody]) -> Response:
    """Forget a rule; its alerts close."""
    row = _find_rule(call)
    call.trail.write(call.caller, "alert_rule.remove", row.name, before=_state(row))
    if not call.services.monitoring.rules.remove(row.id):
        raise _no_such_rule()
    return Response(status=HTTPStatus.NO_CONTENT)


def list_targets(call: Call[Query, NoBody]) -> TargetList:
    """Every target."""
    return TargetList(targets=tuple(TargetView.model_validate(row) for row in call.services.monitoring.targets.list()))


def show_target(call: Call[Query, NoBody]) -> TargetView:
    """One target."""
    return TargetView.model_validate(_find_target(call))


def add_target(call: Call[Query, TargetBody]) -> Answer:
    """A new target."""
    draft = _target_draft(call.body)
    call.trail.write(call.caller, "alert_target.add", draft.name, _shown(call.body.kind.value, draft.settings))
    made = _writing("target", lambda: call.services.monitoring.targets.add(draft, call.caller.name))
    shown = TargetMade(target=TargetView.model_validate(made), secret=made.secret)
    return Answer(content=shown, status=HTTPStatus.CREATED)


def change_target(call: Call[Query, TargetBody]) -> TargetView:
    """Make a target another one of its kind."""
    row, draft = _find_target(call), _target_draft(call.body)
    if draft.kind is not row.kind:
        message = f"this target is of the kind {row.kind.value}: make a new one"
        raise ApiError(HTTPStatus.BAD_REQUEST, "target_refused", message)
    call.trail.write(call.caller, "alert_target.change", row.name, before=_target_state(row))
    changed = _writing("target", lambda: call.services.monitoring.targets.change(row.id, draft))
    if changed is None:
        raise _no_such_target()
    call.trail.after({**_target_state(changed), "new_secret": draft.secret is not None})
    return TargetView.model_validate(changed)


def remove_target(call: Call[Query, NoBody]) -> Response:
    """Forget a target."""
    row = _find_target(call)
    call.trail.write(call.caller, "alert_target.remove", row.name, before=_target_state(row))
    if not call.services.monitoring.targets.remove(row.id):
        raise _no_such_target()
    return Response(status=HTTPStatus.NO_CONTENT)


def try_target(call: Call[TestQuery, NoBody]) -> Delivery:
    """Send a test, and say how it went."""
    row, targets = _find_target(call), call.services.monitoring.targets
    call.trail.write(call.caller, "alert_target.test", row.name)
    wait = call.query.wait
    place: AbstractContextManager[None] = waiting_place(call.services) if wait else nullcontext()
    with place:
        delivery = targets.await_delivery(targets.add_test(row.id, call.caller.name), Deadline.after(wait))
    if delivery is None:
        raise _no_such_target()
    return Delivery.model_validate(delivery)


def list_deliveries(call: Call[DeliveryQuery, NoBody]) -> DeliveryPage:
    """What became of telling a target."""
    row, query = _find_target(call), call.query
    found = call.services.monitoring.targets.list_deliveries(row.id, before_id=query.before_id, limit=query.limit + 1)
    shown = tuple(Delivery.model_validate(each) for each in found[: query.limit])
    return DeliveryPage(deliveries=shown, next_before_id=shown[-1].id if len(found) > query.limit else None)


def _draft(body: RuleBody) -> RuleDraft:
    return RuleDraft(
        name=body.name,
        kind=body.kind,
        severity=body.severity,
        parameters=body.parameters,
        duration_seconds=body.duration_seconds,
        clear_seconds=body.clear_seconds,
        repeat_seconds=body.repeat_seconds,
        enabled=body.enabled,
        hosts=body.hosts,
        tags=body.tags,
        targets=body.targets,
    )


def _target_draft(body: TargetBody) -> TargetDraft:
    return TargetDraft(
        name=body.name,
        kind=body.kind,
        settings=body.settings,
        least_severity=body.least_severity,
        enabled=body.enabled,
        secret=body.secret,
    )


def _writing(what: str, write: Callable[[], Made]) -> Made:
    try:
        return write()
    except NameTakenError as error:
        raise ApiError(HTTPStatus.CONFLICT, f"{what}_exists", str(error)) from error
    except ConfigError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, f"{what}_refused", str(error)) from error


def _state(row: RuleRow) -> dict[str, Any]:
    return RuleView.model_validate(row).model_dump(mode="json", exclude={"open_alerts", "created_at", "updated_at"})


def _target_state(row: TargetRow) -> dict[str, Any]:
    shown = _shown(row.kind.value, dict(row.settings))
    return {**shown, "least_severity": row.least_severity.value, "enabled": row.enabled}


def _shown(kind: str, settings: Any) -> dict[str, Any]:
    """A target as the audit log keeps it: what stands behind the host of a webhook's URL is often a secret."""
    shown = dict(settings)
    if "url" in shown:
        parts = urlsplit(str(shown.pop("url")))
        shown["host"] = f"{parts.scheme}://{parts.netloc}"
    return {"kind": kind, **shown}


def _find_rule(call: Call[Query, BaseModel]) -> RuleRow:
    row = call.services.monitoring.rules.fetch(call.number("rule_id"))
    if row is None:
        raise _no_such_rule()
    return row


def _find_target(call: Call[Query, BaseModel]) -> TargetRow:
    row = call.services.monitoring.targets.fetch(call.number("target_id"))
    if row is None:
        raise _no_such_target()
    return row


def _no_such_rule() -> ApiError:
    return not_found("rule_not_found", "there is no rule of this id")


def _no_such_target() -> ApiError:
    return not_found("target_not_found", "there is no target of this id")

"""Faults of devices."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response

from agent.web.device_requests import FaultQuery
from agent.web.endpoint import Call, NoBody, Query
from agent.web.finding import not_found
from agent.web.schemas_devices import Fault, FaultPage


def list_faults(call: Call[FaultQuery, NoBody]) -> FaultPage:
    """Some faults."""
    query = call.query
    found = call.services.acs.faults.fetch_page(
        device_id=query.device, code=query.code, before_id=query.before_id, limit=query.limit + 1
    )
    faults = tuple(Fault.model_validate(row) for row in found[: query.limit])
    return FaultPage(faults=faults, next_before_id=faults[-1].id if len(found) > query.limit else None)


def delete_fault(call: Call[Query, NoBody]) -> Response:
    """Forget a fault, so that what it stopped is tried again."""
    faults = call.services.acs.faults
    row = faults.fetch(call.number("fault_id"))
    if row is not None:
        call.services.audit.write(
            call.caller, "device.fault.delete", row.device_id, {"channel": row.channel, "code": row.code}
        )
        row = faults.delete(row.id)
    if row is None:
        raise not_found("fault_not_found", "there is no fault of this id")
    return Response(status=HTTPStatus.NO_CONTENT)

"""What a path names, or 404."""

from __future__ import annotations

from http import HTTPStatus

from pydantic import BaseModel

from agent.store.device_rows import DeviceRow
from agent.web.endpoint import Call, Query
from agent.web.errors import ApiError


def find_device(call: Call[Query, BaseModel]) -> DeviceRow:
    """The device of the path's `{device_id}`."""
    row = call.services.acs.devices.fetch(call.path["device_id"])
    if row is None:
        raise no_such_device()
    return row


def no_such_device() -> ApiError:
    return not_found("device_not_found", "there is no device of this id")


def not_found(code: str, message: str) -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, code, message)

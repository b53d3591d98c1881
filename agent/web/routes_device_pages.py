"""The endpoints about recordings, kept filters, summaries, and the list of devices as a file."""

from __future__ import annotations

from http import HTTPStatus

from agent.store.rows import Role
from agent.web import views_device_pages, views_recordings
from agent.web.device_requests import DeviceQuery, MessageQuery, RecentQuery, RecordingBody, SavedFilterBody
from agent.web.endpoint import Endpoint
from agent.web.schemas_device_pages import (
    DeviceSummary,
    RecordedMessages,
    RecordedSessions,
    Recording,
    SavedFilter,
    SavedFilters,
    SessionHistory,
)

_MISSING = (HTTPStatus.NOT_FOUND,)

DEVICE_PAGES = (
    Endpoint(
        name="exportDevices",
        method="GET",
        path="/devices/export",
        view=views_device_pages.export_devices,
        role=Role.VIEWER,
        summary="Get the list of devices as a file",
        description="Comma-separated values, in the order and with the filters of the list; `fields` and `columns` "
        "choose what is in it. What a spreadsheet could take for a formula has an apostrophe in front.",
        query=DeviceQuery,
        media_type="text/csv",
    ),
    Endpoint(
        name="getDeviceSummary",
        method="GET",
        path="/devices/{device_id}/summary",
        view=views_device_pages.show_summary,
        role=Role.VIEWER,
        summary="Show a device at a glance",
        description="Made of its stored values, from TR-098 or TR-181 alike.",
        answer=DeviceSummary,
        errors=_MISSING,
    ),
    Endpoint(
        name="getRecording",
        method="GET",
        path="/devices/{device_id}/recording",
        view=views_recordings.show_recording,
        role=Role.VIEWER,
        summary="Show whether a device's sessions are recorded",
        answer=Recording,
        errors=_MISSING,
    ),
    Endpoint(
        name="startRecording",
        method="PUT",
        path="/devices/{device_id}/recording",
        view=views_recordings.start_recording,
        role=Role.OPERATOR,
        summary="Record a device's sessions for some time",
        description="Messages are kept without their secrets, until the time is over or 32 MiB have been kept.",
        body=RecordingBody,
        answer=Recording,
        errors=_MISSING,
    ),
    Endpoint(
        name="stopRecording",
        method="DELETE",
        path="/devices/{device_id}/recording",
        view=views_recordings.stop_recording,
        role=Role.OPERATOR,
        summary="Record a device's sessions no longer",
        answer=Recording,
        errors=_MISSING,
    ),
    Endpoint(
        name="listRecordedSessions",
        method="GET",
        path="/devices/{device_id}/recorded",
        view=views_recordings.list_recorded,
        role=Role.VIEWER,
        summary="List a device's recorded sessions",
        answer=RecordedSessions,
        errors=_MISSING,
    ),
    Endpoint(
        name="listRecordedMessages",
        method="GET",
        path="/devices/{device_id}/recorded/{session_tag}",
        view=views_recordings.list_messages,
        role=Role.VIEWER,
        summary="List the messages of a recorded session",
        query=MessageQuery,
        answer=RecordedMessages,
        errors=_MISSING,
    ),
    Endpoint(
        name="deleteRecordedSessions",
        method="DELETE",
        path="/devices/{device_id}/recorded",
        view=views_recordings.delete_recorded,
        role=Role.OPERATOR,
        summary="Forget what was recorded of a device",
        successes=(HTTPStatus.NO_CONTENT,),
        errors=_MISSING,
    ),
    Endpoint(
        name="listDeviceFilters",
        method="GET",
        path="/device-filters",
        view=views_device_pages.list_filters,
        role=Role.VIEWER,
        summary="List the filters of devices that you keep, and those that others share",
        answer=SavedFilters,
    ),
    Endpoint(
        name="saveDeviceFilter",
        method="POST",
        path="/device-filters",
        view=views_device_pages.save_filter,
        role=Role.VIEWER,
        summary="Keep a filter of devices under a name",
        description="In the place of your own of that name. To share it takes the role operator.",
        body=SavedFilterBody,
        answer=SavedFilter,
        errors=(HTTPStatus.CONFLICT,),
    ),
    Endpoint(
        name="deleteDeviceFilter",
        method="DELETE",
        path="/device-filters/{filter_id}",
        view=views_device_pages.delete_filter,
        role=Role.VIEWER,
        summary="Forget a filter of devices",
        description="An own one; an admin also one that others share.",
        successes=(HTTPStatus.NO_CONTENT,),
        errors=_MISSING,
    ),
    Endpoint(
        name="listSessionHistory",
        method="GET",
        path="/session-history",
        view=views_recordings.list_recent,
        role=Role.VIEWER,
        summary="List past sessions of all devices",
        description="Newest first, of the last 30 days.",
        query=RecentQuery,
        answer=SessionHistory,
    ),
)

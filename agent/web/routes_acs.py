"""The endpoints about TR-069 besides devices: sessions, faults, files, credentials, numbers."""

from __future__ import annotations

from http import HTTPStatus

from agent.store.rows import Role
from agent.web import views_credentials, views_faults, views_files, views_sessions
from agent.web.device_requests import (
    CredentialBody,
    FaultQuery,
    FileFactsQuery,
    FileQuery,
    HistoryQuery,
    SessionQuery,
)
from agent.web.endpoint import Endpoint
from agent.web.schemas_devices import (
    Credential,
    Credentials,
    DeviceSessions,
    FaultPage,
    File,
    FilePage,
    OpenSessions,
    SessionStatistics,
    Statistics,
)

_MISSING = (HTTPStatus.NOT_FOUND,)
_TAKEN = (HTTPStatus.CONFLICT,)

SESSIONS_AND_FAULTS = (
    Endpoint(
        name="listSessions",
        method="GET",
        path="/sessions",
        view=views_sessions.list_sessions,
        role=Role.VIEWER,
        summary="List sessions under way",
        query=SessionQuery,
        answer=OpenSessions,
    ),
    Endpoint(
        name="getSessionStatistics",
        method="GET",
        path="/sessions/stats",
        view=views_sessions.show_session_statistics,
        role=Role.VIEWER,
        summary="Get sessions and discoveries in numbers",
        answer=SessionStatistics,
    ),
    Endpoint(
        name="getDeviceSessions",
        method="GET",
        path="/sessions/{serial_number}",
        view=views_sessions.show_sessions_of,
        role=Role.VIEWER,
        summary="Show the sessions of a device",
        description="By its serial number: those under way, and past ones.",
        query=HistoryQuery,
        answer=DeviceSessions,
        errors=_MISSING,
    ),
    Endpoint(
        name="getStatistics",
        method="GET",
        path="/stats",
        view=views_sessions.show_statistics,
        role=Role.VIEWER,
        summary="Get devices, tasks, faults and sessions in numbers",
        answer=Statistics,
    ),
    Endpoint(
        name="listFaults",
        method="GET",
        path="/faults",
        view=views_faults.list_faults,
        role=Role.VIEWER,
        summary="List open faults",
        description="Newest first. For older ones give `next_before_id` as `before_id`.",
        query=FaultQuery,
        answer=FaultPage,
    ),
    Endpoint(
        name="deleteFault",
        method="DELETE",
        path="/faults/{fault_id}",
        view=views_faults.delete_fault,
        role=Role.OPERATOR,
        summary="Delete a fault",
        description="What it stopped is tried in the device's next session.",
        successes=(HTTPStatus.NO_CONTENT,),
        errors=_MISSING,
    ),
)

FILES_AND_CREDENTIALS = (
    Endpoint(
        name="listFiles",
        method="GET",
        path="/files",
        view=views_files.list_files,
        role=Role.VIEWER,
        summary="List files for CPEs",
        description="In the order of their names. For the next page give `next_after` as `after`.",
        query=FileQuery,
        answer=FilePage,
    ),
    Endpoint(
        name="getFile",
        method="GET",
        path="/files/{name}",
        view=views_files.show_file,
        role=Role.VIEWER,
        summary="Show what is known of a file",
        answer=File,
        errors=_MISSING,
    ),
    Endpoint(
        name="getFileContent",
        method="GET",
        path="/files/{name}/content",
        view=views_files.send_content,
        role=Role.OPERATOR,
        summary="Get a file",
        media_type="application/octet-stream",
        errors=(*_MISSING, HTTPStatus.INSUFFICIENT_STORAGE),
    ),
    Endpoint(
        name="addFile",
        method="POST",
        path="/files/{name}",
        view=views_files.add_file,
        role=Role.OPERATOR,
        summary="Add a file",
        description="The body is the file, of acs.file_bytes_most at most. Other characters than letters, digits and "
        "._+- become _ in its name.",
        query=FileFactsQuery,
        takes_bytes=True,
        answer=File,
        successes=(HTTPStatus.CREATED,),
        errors=(*_TAKEN, HTTPStatus.INSUFFICIENT_STORAGE),
    ),
    Endpoint(
        name="deleteFile",
        method="DELETE",
        path="/files/{name}",
        view=views_files.delete_file,
        role=Role.ADMIN,
        summary="Delete a file",
        successes=(HTTPStatus.NO_CONTENT,),
        errors=(*_MISSING, *_TAKEN, HTTPStatus.INSUFFICIENT_STORAGE),
    ),
    Endpoint(
        name="listCredentials",
        method="GET",
        path="/credentials",
        view=views_credentials.list_credentials,
        role=Role.ADMIN,
        summary="List what CPEs may log in with",
        description="Never the passwords.",
        answer=Credentials,
    ),
    Endpoint(
        name="addCredential",
        method="POST",
        path="/credentials",
        view=views_credentials.add_credential,
        role=Role.ADMIN,
        summary="Let a CPE in by a user name and a password",
        body=CredentialBody,
        answer=Credential,
        successes=(HTTPStatus.CREATED,),
        errors=_TAKEN,
    ),
    Endpoint(
        name="deleteCredential",
        method="DELETE",
        path="/credentials/{username}",
        view=views_credentials.delete_credential,
        role=Role.ADMIN,
        summary="Let nobody in by a user name any more",
        successes=(HTTPStatus.NO_CONTENT,),
        errors=_MISSING,
    ),
)

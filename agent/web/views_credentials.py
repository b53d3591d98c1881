"""What CPEs may log in with."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response

from agent.store.credentials import check
from agent.store.device_errors import CredentialTakenError, RefusedError
from agent.web.device_requests import CredentialBody
from agent.web.endpoint import Answer, Call, NoBody, Query
from agent.web.errors import ApiError
from agent.web.finding import not_found
from agent.web.schemas_devices import Credential, Credentials


def list_credentials(call: Call[Query, NoBody]) -> Credentials:
    """Every credential, without what could be used to log in."""
    rows = call.services.acs.credentials.list()
    return Credentials(credentials=tuple(Credential.model_validate(row) for row in rows))


def add_credential(call: Call[Query, CredentialBody]) -> Answer:
    """Let a CPE in by a user name and a password."""
    body, credentials = call.body, call.services.acs.credentials
    password = body.password.get_secret_value()
    try:
        check(body.username, password, body.device_id)
        call.services.audit.write(call.caller, "credential.add", body.username, {"device_id": body.device_id})
        row = credentials.add(body.username, password, body.device_id)
    except CredentialTakenError as error:
        raise ApiError(HTTPStatus.CONFLICT, "credential_exists", f"{error}: delete it first") from error
    except RefusedError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "credential_refused", str(error)) from error
    return Answer(content=Credential.model_validate(row), status=HTTPStatus.CREATED)


def delete_credential(call: Call[Query, NoBody]) -> Response:
    """Let nobody in by this user name any more."""
    credentials, username = call.services.acs.credentials, call.path["username"]
    known = credentials.fetch(username)
    if known is not None:
        call.trail.write(call.caller, "credential.remove", known.username, before={"device_id": known.device_id})
    if known is None or not credentials.remove(username):
        raise not_found("credential_not_found", "there is no credential of this user name")
    return Response(status=HTTPStatus.NO_CONTENT)

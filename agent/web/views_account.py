"""What a person does about their own account: password, second factor, and the browsers they are signed in with."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response, request
from pydantic import BaseModel

from agent.store.operators import OperatorSecrets
from agent.store.passwords import WeakPasswordError, check_password
from agent.store.rows import PrincipalKind
from agent.web.endpoint import Call, NoBody, Query
from agent.web.errors import ApiError
from agent.web.finding import not_found
from agent.web.identity import client_address, csrf_token_of, set_session_cookie
from agent.web.schemas_access import (
    CodeBody,
    ConfirmBody,
    OperatorSession,
    OperatorSessions,
    PasswordBody,
    RecoveryCodes,
    SessionRenewed,
    TotpOffer,
)
from agent.web.second_factor import make_recovery_codes, make_secret, provisioning_uri, qr_code, take_code
from agent.web.sign_in import SignInRefusedError, sign_in
from agent.web.views_auth import refuse_sign_in


def change_password(call: Call[Query, PasswordBody]) -> Response:
    """Set one's own password; every other browser is signed out."""
    body, access = call.body, call.services.access
    found = _confirm(call, body.current.get_secret_value(), body.code)
    new = body.new.get_secret_value()
    try:
        check_password(new, found.name)
    except WeakPasswordError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "weak_password", str(error)) from error
    call.trail.write(call.caller, "operator.password", found.name)
    access.operators.set_password(found.name, access.passwords.hash(new))
    return _renew(call, found.name)


def begin_totp(call: Call[Query, ConfirmBody]) -> TotpOffer:
    """Offer an authenticator a secret."""
    found = _confirm(call, call.body.password.get_secret_value(), call.body.code)
    secret = make_secret()
    if not call.services.access.operators.begin_totp(found.name, secret):
        raise ApiError(HTTPStatus.CONFLICT, "totp_exists", "there is an authenticator already: remove it first")
    uri = provisioning_uri(found.name, secret, call.services.machine_name)
    return TotpOffer(secret=secret, uri=uri, qr_code=qr_code(uri))


def confirm_totp(call: Call[Query, CodeBody]) -> RecoveryCodes:
    """Have the authenticator count, since it gives good codes; from now on a sign-in needs one."""
    operators, name = call.services.access.operators, _own_name(call)
    found = operators.fetch_secrets(name)
    if found is None or found.totp_secret is None or found.totp_confirmed:
        raise ApiError(HTTPStatus.CONFLICT, "no_totp_offered", "no authenticator waits to be confirmed")
    call.trail.write(call.caller, "operator.totp.add", name)
    if not take_code(operators, found, call.body.code):
        raise ApiError(HTTPStatus.BAD_REQUEST, "code_refused", "this is not the authenticator's code of now")
    codes, digests = make_recovery_codes()
    operators.replace_recovery_codes(name, found.id, digests)
    return RecoveryCodes(codes=codes)


def remove_totp(call: Call[Query, ConfirmBody]) -> Response:
    """Ask for no codes any more."""
    found = _confirm(call, call.body.password.get_secret_value(), call.body.code)
    call.trail.write(call.caller, "operator.totp.remove", found.name)
    call.services.access.operators.end_totp(found.name)
    return _renew(call, found.name)


def renew_recovery_codes(call: Call[Query, ConfirmBody]) -> RecoveryCodes:
    """New recovery codes; the old ones are void."""
    found = _confirm(call, call.body.password.get_secret_value(), call.body.code)
    if not found.totp_confirmed:
        raise ApiError(HTTPStatus.CONFLICT, "no_totp", "without an authenticator there is nothing to recover from")
    call.trail.write(call.caller, "operator.recovery_codes", found.name)
    codes, digests = make_recovery_codes()
    call.services.access.operators.replace_recovery_codes(found.name, found.id, digests)
    return RecoveryCodes(codes=codes)


def list_own_sessions(call: Call[Query, NoBody]) -> OperatorSessions:
    """The browsers in which one is signed in."""
    rows = call.services.access.sessions.list(_own_name(call))
    shown = (OperatorSession.model_validate(row) for row in rows)
    current = call.known.session
    return OperatorSessions(sessions=tuple(each.model_copy(update={"current": each.id == current}) for each in shown))


def end_own_session(call: Call[Query, NoBody]) -> Response:
    """Sign one of one's browsers out."""
    name = _own_name(call)
    call.trail.write(call.caller, "session.close", name, {"session": call.number("session_id")})
    if not call.services.access.sessions.end(call.number("session_id"), name):
        raise not_found("session_not_found", "there is no such session")
    return Response(status=HTTPStatus.NO_CONTENT)


def end_other_sessions(call: Call[Query, NoBody]) -> Response:
    """Sign all of one's browsers out but this one."""
    name = _own_name(call)
    call.trail.write(call.caller, "session.close", name, {"session": "all others"})
    ended = call.services.access.sessions.end_all(name, keep=call.known.session)
    call.trail.after({"ended": ended})
    return Response(status=HTTPStatus.NO_CONTENT)


def _own_name(call: Call[Query, BaseModel]) -> str:
    if call.caller.kind is not PrincipalKind.OPERATOR:
        message = "a token has no account: this is for operators who have signed in"
        raise ApiError(HTTPStatus.CONFLICT, "no_account", message)
    return call.caller.name


def _confirm(call: Call[Query, BaseModel], password: str, code: str) -> OperatorSecrets:
    """The caller's own account, since they know its password: whoever only has the browser does not."""
    name, services = _own_name(call), call.services
    try:
        return sign_in(
            services.access,
            call.trail,
            name=name,
            password=password,
            code=code,
            address=client_address(services.settings),
        )
    except SignInRefusedError as error:
        raise refuse_sign_in(error) from error


def _renew(call: Call[Query, BaseModel], name: str) -> Response:
    """A new session for this browser, since the change has ended all."""
    services = call.services
    secrets = services.access.operators.fetch_secrets(name)
    if call.known.session is None or secrets is None:
        return Response(status=HTTPStatus.NO_CONTENT)
    address, agent = client_address(services.settings), request.headers.get("User-Agent", "")
    token = services.access.sessions.open(secrets.id, secrets.version, address, agent)
    if token is None:
        return Response(status=HTTPStatus.NO_CONTENT)
    renewed = SessionRenewed(csrf_token=csrf_token_of(token))
    response = Response(renewed.model_dump_json(), mimetype="application/json")
    set_session_cookie(response, services.settings, token)
    return response

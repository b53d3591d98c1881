"""The pages before the others: sign in, sign out, and the one-time link that sets a password."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, g, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from agent.core.errors import ConfigError
from agent.store.audit import Outcome
from agent.store.operators import OperatorTakenError
from agent.store.passwords import WeakPasswordError, check_password
from agent.store.rows import Principal, PrincipalKind, Role
from agent.store.setup_links import LinkSpentError, SetupLink
from agent.web.errors import ApiError
from agent.web.identity import clear_session_cookie, client_address, identify, set_session_cookie
from agent.web.pages.context import all_services
from agent.web.pages.guard import page, safe_next
from agent.web.sign_in import MESSAGES, Refusal, SignInRefusedError, sign_in

FORM_BYTES_MOST = 8 * 1024

blueprint = Blueprint("signing_in", __name__)


@blueprint.get("/login")
def show_login() -> Response | AnyResponse:
    """The form; whoever is signed in already is sent on."""
    following = safe_next(request.args.get("next", "/"))
    if identify(all_services()) is not None:
        return redirect(following, HTTPStatus.SEE_OTHER)
    return _login_form(following=following)


@blueprint.post("/login")
def take_login() -> Response | AnyResponse:
    """Check what was typed, and open a session."""
    _refuse_foreign_form()
    services = all_services()
    form = request.form
    name, following = form.get("name", "").strip(), safe_next(form.get("next", "/"))
    address = client_address(services.settings)
    try:
        found = sign_in(
            services.access,
            services.audit,
            name=name,
            password=form.get("password", ""),
            code=form.get("code", "").strip(),
            address=address,
        )
    except SignInRefusedError as error:
        return _login_form(following=following, name=name, refused=error)
    return _open_session(found.id, found.version, found.name, following)


@blueprint.post("/logout")
@page(Role.VIEWER)
def log_out() -> Response | AnyResponse:
    """End this browser's session."""
    services = all_services()
    if g.identity.session is not None:
        services.access.sessions.end(g.identity.session)
        address = client_address(services.settings)
        services.audit.write(g.principal, "session.close", g.principal.name, address=address, outcome=Outcome.DONE)
    response = redirect("/login", HTTPStatus.SEE_OTHER)
    assert isinstance(response, Response)
    clear_session_cookie(response, services.settings)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@blueprint.get("/setup/<token>")
def show_setup(token: str) -> Response | AnyResponse:
    """The form that sets a password."""
    link = all_services().access.links.fetch(token)
    return _setup_form(link) if link is not None else _spent()


@blueprint.post("/setup/<token>")
def take_setup(token: str) -> Response | AnyResponse:
    """Set the password, use the link up, and open a session."""
    _refuse_foreign_form()
    services = all_services()
    access, address = services.access, client_address(services.settings)
    link = access.links.fetch(token)
    if link is None:
        return _spent()
    password = request.form.get("password", "")
    name = link.name or request.form.get("name", "").strip()
    if password != request.form.get("again", ""):
        return _setup_form(link, name=name, problem="The two passwords are not the same.")
    try:
        check_password(password, name)
        row = access.links.use(token, name, access.passwords.hash(password))
    except LinkSpentError:
        return _spent()
    except (WeakPasswordError, OperatorTakenError, ConfigError) as error:
        return _setup_form(link, name=name, problem=f"{str(error)[:1].upper()}{str(error)[1:]}.")
    nobody = Principal(name=row.name, role=row.role, kind=PrincipalKind.OPERATOR)
    action = "operator.add" if link.name is None else "operator.password"
    details = {"by": "setup link", "made_by": link.created_by}
    services.audit.write(nobody, action, row.name, details, address=address, outcome=Outcome.DONE)
    return _open_session(row.id, row.version, row.name, "/")


def _open_session(operator: int, version: int, name: str, following: str) -> Response | AnyResponse:
    services = all_services()
    address = client_address(services.settings)
    # Always a new token: one that somebody planted in this browser before is worth nothing.
    token = services.access.sessions.open(operator, version, address, request.headers.get("User-Agent", ""))
    row = services.access.operators.fetch(name)
    if token is None or row is None:
        return _login_form(following=following, name=name, refused=SignInRefusedError(Refusal.WRONG))
    services.audit.write(row.principal, "session.open", name, address=address, outcome=Outcome.DONE)
    response = redirect(following, HTTPStatus.SEE_OTHER)
    assert isinstance(response, Response)
    set_session_cookie(response, services.settings, token)
    return response


def _login_form(*, following: str, name: str = "", refused: SignInRefusedError | None = None) -> Response:
    status = HTTPStatus.OK
    headers: dict[str, str] = {}
    problem = ""
    if refused is not None:
        problem = MESSAGES[refused.refusal][:1].upper() + MESSAGES[refused.refusal][1:] + "."
        status = HTTPStatus.UNAUTHORIZED
        if refused.refusal is Refusal.TOO_MANY:
            status = HTTPStatus.TOO_MANY_REQUESTS
            headers["Retry-After"] = f"{refused.retry_seconds:.0f}"
            problem = f"Too many failed attempts: try again in {_minutes(refused.retry_seconds)}."
    needs_setup = not all_services().access.operators.has_admin()
    text = render_template(
        "login.html",
        following=following,
        name=name,
        problem=problem,
        ask_code=refused is not None and refused.refusal is Refusal.CODE_NEEDED,
        needs_setup=needs_setup,
    )
    return make_response(text, status, headers)


def _setup_form(link: SetupLink, *, name: str = "", problem: str = "") -> Response:
    text = render_template("setup.html", link=link, name=link.name or name, problem=problem)
    return make_response(text, HTTPStatus.BAD_REQUEST if problem else HTTPStatus.OK)


def _spent() -> Response:
    return make_response(render_template("setup_spent.html"), HTTPStatus.GONE)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def _refuse_foreign_form() -> None:
    """No page of another site may sign a browser in here. Browsers say whose form it is by Origin, which was checked
    for all requests, or by Sec-Fetch-Site."""
    request.max_content_length = FORM_BYTES_MOST
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise ApiError(HTTPStatus.FORBIDDEN, "origin_refused", "this form was sent by another site")
    if request.headers.get("Origin", "").partition("://")[2].lower() not in (
        "",
        request.headers.get("Host", "").lower(),
    ):
        raise ApiError(HTTPStatus.FORBIDDEN, "origin_refused", "this form was sent by another site")

"""The list of devices."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from agent.store.rows import Role
from agent.web.pages import device_list
from agent.web.pages.context import services
from agent.web.pages.guard import page, signed_in

blueprint = Blueprint("devices", __name__)
PATHS_SHOWN = 40


@blueprint.get("/devices")
@page(Role.VIEWER)
def show_list() -> str | Response:
    """The list; a form that adds a condition or a column is answered with the list's new address."""
    address = device_list.adopt_forms(_asked())
    if address is not None:
        return redirect(address, 303)
    return render_template("devices.html", found=_look(), operators=device_list.OPERATORS)


@blueprint.get("/devices/_list")
@page(Role.VIEWER)
def show_list_part() -> str:
    """What changes of the list."""
    return render_template("parts/device_list.html", found=_look())


@blueprint.get("/devices/_paths")
@page(Role.VIEWER)
def show_paths() -> str:
    """Paths of the data models that have the text in them, for those who type one."""
    text = next((request.args[name] for name in ("q", "path", "column") if request.args.get(name)), "")
    return render_template("parts/paths.html", paths=services().acs.search.suggest(text, PATHS_SHOWN))


def _look() -> device_list.DeviceLines:
    return device_list.look(services().acs, signed_in(), _asked())


def _asked() -> str:
    return request.query_string.decode("utf-8", "replace")

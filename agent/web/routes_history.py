"""The endpoints about measurements over time."""

from __future__ import annotations

from http import HTTPStatus

from agent.store.rows import Role
from agent.web import views_history
from agent.web.endpoint import Endpoint
from agent.web.schemas_history import FleetHistoryQuery, HistoryQuery, HistoryView, ModemHistoryQuery

_HOW = "The finer the steps, the less far back they go: see [history] in the settings."

HISTORY = (
    Endpoint(
        name="getModemHistory",
        method="GET",
        path="/modems/{serial}/history",
        view=views_history.show_modem_history,
        role=Role.VIEWER,
        summary="Get what was measured of a modem",
        description=f"Signal, traffic, and how much of its samples it was online. {_HOW}",
        query=ModemHistoryQuery,
        answer=HistoryView,
        errors=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        name="getFleetHistory",
        method="GET",
        path="/history/modems",
        view=views_history.show_fleet_history,
        role=Role.VIEWER,
        summary="Get what was measured of all modems",
        description=f"Signals are means over all modems, traffic is theirs together. {_HOW}",
        query=FleetHistoryQuery,
        answer=HistoryView,
    ),
    Endpoint(
        name="getSessionHistory",
        method="GET",
        path="/history/sessions",
        view=views_history.show_session_history,
        role=Role.VIEWER,
        summary="Get how many sessions have ended, and how",
        description=f"CWMP sessions by outcome, and the mean duration of those that were completed. {_HOW}",
        query=HistoryQuery,
        answer=HistoryView,
    ),
)

"""Every family of pages: one blueprint each, in a module of its own. A new one is added here."""

from __future__ import annotations

from flask import Blueprint

from agent.web.pages import (
    account,
    alerts,
    audit,
    cpe_lists,
    device,
    device_parameters,
    devices,
    modems,
    operators,
    overview,
    settings,
    signing_in,
)

FAMILIES: tuple[Blueprint, ...] = (
    signing_in.blueprint,
    overview.blueprint,
    alerts.blueprint,
    modems.blueprint,
    devices.blueprint,
    device.blueprint,
    device_parameters.blueprint,
    cpe_lists.blueprint,
    account.blueprint,
    operators.blueprint,
    audit.blueprint,
    settings.blueprint,
)

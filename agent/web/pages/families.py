"""Every family of pages: one blueprint each, in a module of its own. A new one is added here."""

from __future__ import annotations

from flask import Blueprint

from agent.web.pages import modems, overview, signing_in

FAMILIES: tuple[Blueprint, ...] = (signing_in.blueprint, overview.blueprint, modems.blueprint)

"""The settings as they are in force, and where each value comes from."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, render_template, request

from agent.core.settings.fields import all_settings, section_titles
from agent.store.rows import Role
from agent.web.pages.context import services
from agent.web.pages.guard import page

blueprint = Blueprint("settings", __name__)

DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingShown:
    """One setting, as the page shows it."""

    key: str
    value: str
    origin: str
    description: str
    allowed: str

    @property
    def is_set(self) -> bool:
        """Whether somebody has set it."""
        return self.origin != DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of the settings file."""

    name: str
    title: str
    settings: tuple[SettingShown, ...]


@blueprint.get("/settings")
@page(Role.ADMIN)
def show() -> str:
    """The page."""
    only_set = request.args.get("only") == "set"
    sections = tuple(section for section in read_sections(only_set=only_set) if section.settings)
    return render_template("settings.html", sections=sections, only_set=only_set)


def read_sections(*, only_set: bool) -> tuple[Section, ...]:
    """What is in force in this process, section by section."""
    known, titles = all_settings(), section_titles()
    found: dict[str, list[SettingShown]] = {name: [] for name in titles}
    for row in services().in_force:
        setting = known[row.key]
        shown = SettingShown(
            key=setting.key,
            value=row.value,
            origin=row.origin,
            description=setting.description,
            allowed=setting.allowed,
        )
        if shown.is_set or not only_set:
            found[setting.section].append(shown)
    return tuple(Section(name=name, title=titles[name], settings=tuple(settings)) for name, settings in found.items())

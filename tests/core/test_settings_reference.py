"""docs/configuration.md says what the schema says."""

from __future__ import annotations

from pathlib import Path

from agent.core.settings.fields import all_settings
from agent.core.settings.reference import render_reference

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_in_docs_is_the_rendered_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_reference(), (
        "run: python -m agent.core.settings.reference > docs/configuration.md"
    )


def test_every_setting_says_what_it_means() -> None:
    for setting in all_settings().values():
        assert setting.description.endswith("."), setting.name
        assert f"`{setting.key}`" in render_reference()

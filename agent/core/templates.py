"""Where the Jinja2 templates of the proxies and of the pages are."""

from __future__ import annotations

from pathlib import Path


def templates_directory() -> Path:
    """The folder of the templates: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "templates"
    return installed if installed.is_dir() else package.parent / "templates"

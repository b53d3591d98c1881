"""Where the templates of the pages are."""

from __future__ import annotations

from pathlib import Path

import agent


def web_templates() -> Path:
    """The folder of the pages' templates: inside the installed package, or beside it in a checkout."""
    package = Path(agent.__file__).parent
    installed = package / "templates"
    return (installed if installed.is_dir() else package.parent / "templates") / "web"

"""Values of devices as people read them. Pure."""

from __future__ import annotations

import json
import re

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,15})?")
_BETWEEN_TAGS = re.compile(r">\s*<")
_PIECE = re.compile(r"<[^>]*>|[^<]+")
PRETTY_MOST = 256 * 1024
_TASKS = {
    "getParameterValues": "Read values",
    "refreshObject": "Read anew",
    "setParameterValues": "Set values",
    "setParameterAttributes": "Set attributes",
    "addObject": "Add an object",
    "deleteObject": "Delete an object",
    "download": "Download a file",
    "upload": "Send a file",
    "scheduleInform": "Inform later",
    "getRPCMethods": "Name its methods",
    "reboot": "Reboot",
    "factoryReset": "Back to factory settings",
}


def is_number(value: str | None) -> bool:
    """Whether it is to stand at the right, as numbers do."""
    return value is not None and _NUMBER.fullmatch(value) is not None


def pretty_json(value: object) -> str:
    """JSON in lines."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def pretty_xml(text: str) -> str:
    """XML with a line for each element; texts, and what is no XML, stay as they are."""
    if len(text) > PRETTY_MOST or not text.lstrip().startswith("<"):
        return text
    lines: list[str] = []
    depth, line = 0, ""
    for piece in _PIECE.findall(_BETWEEN_TAGS.sub("><", text.strip())):
        if not piece.startswith("<"):
            line += piece
        elif piece.startswith("</"):
            depth = max(0, depth - 1)
            lines.append(f"{line}{piece}" if line else f"{'  ' * depth}{piece}")
            line = ""
        else:
            if line:
                lines.append(line)
            line = f"{'  ' * depth}{piece}"
            if piece.endswith("/>") or piece.startswith("<?"):
                lines.append(line)
                line = ""
            else:
                depth += 1
    return "\n".join([*lines, line] if line else lines)


def task_words(kind: str) -> str:
    """A kind of task as people say it."""
    return _TASKS.get(kind, kind)


FILTERS = {each.__name__: each for each in (is_number, pretty_json, pretty_xml, task_words)}
